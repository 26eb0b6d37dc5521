"""Values: from a token to the base unit of its field, and back to the shortest exact text."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from difflib import get_close_matches

from ohmesh.errors import InvalidSelector
from ohmesh.registry.selector.schema import Field, FieldType
from ohmesh.registry.selector.tokens import Lexeme, Token, can_be_bare, fault, in_quotes
from ohmesh.registry.selector.tree import Glob, Value

MAX_MAGNITUDE = 10**15
DECIMALS = 12
UNITS_MS = {"d": 86_400_000, "h": 3_600_000, "min": 60_000, "s": 1_000, "ms": 1}

_QUANTITY = re.compile(r"([+-]?[0-9]{1,16}(?:\.[0-9]{1,12})?)([a-zA-Z%]*)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EXPECTED = {
    FieldType.NUMBER: "a number, such as 3 or 2.5",
    FieldType.RATIO: "a share, such as 80% or 0.8",
    FieldType.DURATION: f"a duration with its unit ({', '.join(reversed(UNITS_MS))}), such as 400ms or 2min",
    FieldType.TIME: "a time, such as 2026-01-31 or 2026-01-31T10:00",
}
_UNITS: dict[FieldType, dict[str, Decimal]] = {
    FieldType.NUMBER: {"": Decimal(1)},
    FieldType.RATIO: {"": Decimal(1), "%": Decimal("0.01")},
    FieldType.DURATION: {unit: Decimal(size) for unit, size in UNITS_MS.items()},
}


def read_value(text: str, token: Token, field: Field) -> Value:
    """What `token` of the selector `text` means for `field`. InvalidSelector when it cannot be one of its values."""
    if field.type is FieldType.TEXT:
        return _glob_or_text(token, token.text)
    if field.type is FieldType.CHOICE:
        return _choice(text, token, field)
    value = _time(token.text) if field.type is FieldType.TIME else _quantity(token.text, field.type)
    if value is None:
        raise fault(text, token.position, f"{field.name} is {_EXPECTED[field.type]}; {token.shown()} is not.")
    return value


def write_value(value: Value, field: Field) -> str:
    """The canonical text: read_value gives `value` again."""
    if isinstance(value, Glob):
        return value.pattern
    if isinstance(value, str):
        return value if can_be_bare(value) and not _has_wildcard(value) else in_quotes(value)
    if field.type is FieldType.TIME:
        moment = _EPOCH + timedelta(milliseconds=value)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if field.type is FieldType.DURATION:
        unit = next(unit for unit, size in UNITS_MS.items() if size == 1 or (value and value % size == 0))
        return f"{_decimal(value if unit == 'ms' else int(value) // UNITS_MS[unit])}{unit}"
    return _decimal(value)


def closest(word: str, known: tuple[str, ...]) -> str:
    """ " Did you mean ...?" for the known word that is nearest, or nothing."""
    near = get_close_matches(word.lower(), known, n=1, cutoff=0.6)
    return f"Did you mean {near[0]}?" if near else ""


def expected_value(field: Field) -> str:
    """What stands behind an operator, for errors."""
    if field.type is FieldType.CHOICE:
        return f"one of {', '.join(field.choices)}"
    return _EXPECTED.get(field.type, "a word, or a text in quotes")


def glob_pattern(pattern: str) -> re.Pattern[str]:
    """Each part is taken at the first place it fits and never tried again, so matching cannot explode."""
    first, *rest = (
        "".join("." if one == "?" else re.escape(one) for one in part) for part in pattern.split("*")
    )
    if not rest:
        return re.compile(first, re.DOTALL)
    middle = "".join(f"(?>.*?{part})" for part in rest[:-1] if part)
    return re.compile(f"{first}{middle}.*{rest[-1]}", re.DOTALL)


def _glob_or_text(token: Token, text: str) -> str | Glob:
    if token.lexeme is Lexeme.QUOTED or not _has_wildcard(text):
        return text
    return Glob(re.sub(r"\*+", "*", text))


def _has_wildcard(text: str) -> bool:
    return "*" in text or "?" in text


def _choice(text: str, token: Token, field: Field) -> str | Glob:
    value = _glob_or_text(token, token.text.lower())
    if isinstance(value, Glob):
        matches = glob_pattern(value.pattern).fullmatch
        if any(matches(choice) for choice in field.choices):
            return value
    elif value in field.choices:
        return value
    raise _no_choice(text, token, field)


def _no_choice(text: str, token: Token, field: Field) -> InvalidSelector:
    hint = f"{closest(token.text, field.choices)} It is {expected_value(field)}.".strip()
    return fault(text, token.position, f"{field.name} is never {token.shown()}.", hint=hint)


def _quantity(text: str, field_type: FieldType) -> int | float | None:
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return None
    number, unit = Decimal(match[1]), match[2].lower()
    size = _UNITS[field_type].get(unit)
    if size is None:
        if unit or number:
            return None
        size = Decimal(1)  # zero is zero in every unit
    value = number * size
    return _plain(value) if abs(value) <= MAX_MAGNITUDE else None


def _plain(value: Decimal) -> int | float:
    """A whole number is an int, so that 2 and 2.0 are one value."""
    rounded = round(value, DECIMALS)
    whole = int(rounded)
    if whole == rounded:
        return whole
    number = float(rounded)
    return int(number) if number.is_integer() else number


def _decimal(value: float) -> str:
    """Without an exponent."""
    return format(Decimal(repr(value)), "f")


def _time(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return (moment.astimezone(UTC) - _EPOCH) // timedelta(
            milliseconds=1
        )  # astimezone keeps to years 1 to 9999
    except (ValueError, OverflowError):
        return None
