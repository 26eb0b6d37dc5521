"""The tokens of a selector, and the error that points at one of them."""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import NamedTuple

from ohmesh.errors import InvalidSelector

EXCERPT_CHARACTERS = 76
SHOWN_CHARACTERS = 40
KEYWORDS = frozenset({"and", "or", "not", "in"})

_WORD = r"[^\s'\"(),=<>!&|\\\x00-\x1f\x7f]+"
_TOKEN = re.compile(
    rf"(?P<operator>==|!=|<=|>=|[=<>])|(?P<mark>[(),])|(?P<word>{_WORD})"
    r"|(?P<quoted>'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")",
    re.DOTALL,
)
_BLANKS = re.compile(r"\s*")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_BARE = re.compile(_WORD)
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_NOT_SHOWN = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")


class Lexeme(Enum):
    KEYWORD = auto()
    WORD = auto()
    QUOTED = auto()
    OPERATOR = auto()
    MARK = auto()
    END = auto()


class Token(NamedTuple):
    """`text` of a keyword is in lower case, that of a quoted value is what the quotes hold."""

    lexeme: Lexeme
    text: str
    position: int

    def shown(self) -> str:
        """As errors name it, cut where it is long."""
        if self.lexeme is Lexeme.END:
            return "the end"
        return repr(self.text if len(self.text) <= SHOWN_CHARACTERS else f"{self.text[:SHOWN_CHARACTERS]}...")


def tokens_of(text: str) -> list[Token]:
    """All tokens, the last one END. InvalidSelector where none begins."""
    broken = _SURROGATE.search(text)
    if broken is not None:
        raise fault(text, broken.start(), f"{broken.group()!r} is no character.", hint="Write valid Unicode.")
    found: list[Token] = []
    position = _end_of_blanks(text, 0)
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _no_token(text, position)
        found.append(_token(match, position))
        position = _end_of_blanks(text, match.end())
    found.append(Token(Lexeme.END, "", len(text.rstrip())))
    return found


def can_be_bare(text: str) -> bool:
    """Whether it reads as one word, without quotes."""
    return _BARE.fullmatch(text) is not None and text.lower() not in KEYWORDS


def in_quotes(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def fault(text: str, position: int, message: str, *, hint: str = "") -> InvalidSelector:
    """An error that shows `text` with a caret under `position`."""
    start = 0
    if len(text) > EXCERPT_CHARACTERS:
        start = max(0, min(position - EXCERPT_CHARACTERS // 2, len(text) - EXCERPT_CHARACTERS))
    shown = _NOT_SHOWN.sub(" ", text[start : start + EXCERPT_CHARACTERS])
    excerpt = f"    {shown.rstrip()}\n    {' ' * (position - start)}^"
    return InvalidSelector(message, excerpt=excerpt, position=position, hint=hint)


def _end_of_blanks(text: str, position: int) -> int:
    match = _BLANKS.match(text, position)
    return match.end() if match else position


def _token(match: re.Match[str], position: int) -> Token:
    text = match.group()
    if match.lastgroup == "operator":
        return Token(Lexeme.OPERATOR, "=" if text == "==" else text, position)
    if match.lastgroup == "mark":
        return Token(Lexeme.MARK, text, position)
    if match.lastgroup == "quoted":
        return Token(Lexeme.QUOTED, _ESCAPED.sub(r"\1", text[1:-1]), position)
    if text.lower() in KEYWORDS:
        return Token(Lexeme.KEYWORD, text.lower(), position)
    return Token(Lexeme.WORD, text, position)


def _no_token(text: str, position: int) -> InvalidSelector:
    character = text[position]
    if character in "'\"":
        return fault(text, position, "This quote is not closed.", hint=f"End the value with {character}.")
    hints = {"&": "Write `and`.", "|": "Write `or`.", "!": "Write `not`, or != for unequal."}
    hint = hints.get(character, "Put a value with such characters in quotes.")
    return fault(text, position, f"{character!r} means nothing here.", hint=hint)
