"""How many columns of a terminal a text takes, and how it is cut to so many.

East Asian wide characters take two columns and combining marks none (Unicode's annex 11). Control characters are
shown as `?`: text that comes from a task must not move the cursor of whoever reads it.
"""

from __future__ import annotations

import unicodedata

ELLIPSIS = "..."
_WIDE = frozenset("WF")
_NO_WIDTH = frozenset({"Mn", "Me", "Cf"})
_CONTROL = frozenset({"Cc", "Cs"})
_BIDIRECTIONAL = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def text_width(text: str) -> int:
    return len(text) if text.isascii() else sum(map(_character_width, text))


def padded(text: str, width: int, *, right: bool = False) -> str:
    """`text`, cut or filled up with spaces to exactly `width` columns."""
    text = shortened(text, width)
    space = " " * (width - text_width(text))
    return space + text if right else text + space


def shortened(text: str, width: int) -> str:
    """`text` where it fits, else its beginning and `...`."""
    if text_width(text) <= width:
        return text
    room, taken = width - len(ELLIPSIS), 0
    for at, character in enumerate(text):
        taken += _character_width(character)
        if taken > room:
            return text[:at] + ELLIPSIS[: max(0, width)]
    return text


def one_line(text: str) -> str:
    """With single spaces for every break and `?` for what a terminal would obey instead of showing."""
    line = " ".join(text.split())
    if line.isprintable():
        return line
    return "".join("?" if _is_command(character) else character for character in line)


def _is_command(character: str) -> bool:
    return unicodedata.category(character) in _CONTROL or character in _BIDIRECTIONAL


def _character_width(character: str) -> int:
    if character.isascii():
        return 1
    if unicodedata.category(character) in _NO_WIDTH:
        return 0
    return 2 if unicodedata.east_asian_width(character) in _WIDE else 1
