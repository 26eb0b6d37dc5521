"""Priority: one scale everywhere, CRITICAL > HIGH > NORMAL > LOW, on the wire 3, 2, 1, 0."""

from __future__ import annotations

from enum import IntEnum

from ohmesh.errors import InvalidArgument


class Priority(IntEnum):
    LOW = 0
    NORMAL = 1
    HIGH = 2
    CRITICAL = 3


_ALIASES = {"MEDIUM": Priority.NORMAL, "BACKGROUND": Priority.LOW}


def parse_priority(value: str | int | Priority) -> Priority:
    """Accept a Priority, its wire number, or its name in any case (`medium` = NORMAL, `background` = LOW)."""
    try:
        if isinstance(value, int):
            return Priority(value)
        name = value.strip().upper()
        if name.isdecimal():
            return Priority(int(name))
        return _ALIASES[name] if name in _ALIASES else Priority[name]
    except (KeyError, ValueError, AttributeError):
        raise InvalidArgument(
            f"{value!r} is not a priority.", hint="Use CRITICAL, HIGH, NORMAL or LOW."
        ) from None
