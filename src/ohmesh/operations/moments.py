"""Moments as people say them: how long ago (2h, 1d, 90s), or when (2026-11-26T10:00, in UTC unless it says where).

The units and the meaning of a time without a zone are those of the selector language. Nothing is guessed: what is
neither is refused, with both forms named.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from ohmesh.errors import InvalidArgument

FORMS = "how long ago, such as 30min, 2h or 1d, or a time, such as 2026-01-31 or 2026-01-31T10:00+01:00"
LONGEST_MS = 100 * 365 * 86_400_000
_UNITS_MS = {"ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)([a-z]+)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Moment:
    """`ago_ms` before whenever it is asked for, or else `at_ms` since 1970."""

    ago_ms: int = 0
    at_ms: int = 0

    def resolved_ms(self, now_ms: int) -> int:
        """Milliseconds since 1970, at least 1: 0 is the word for no bound."""
        return max(1, self.at_ms or now_ms - self.ago_ms)


def parse_moment(name: str, text: str) -> Moment:
    """InvalidArgument begins with `name`, so that a door can call it by what was typed."""
    said = text.strip().lower()
    duration = _DURATION.fullmatch(said)
    if duration is not None:
        return Moment(ago_ms=_duration_ms(name, text, Decimal(duration[1]), duration[2]))
    at_ms = _time_ms(text.strip())
    if at_ms is None:
        raise InvalidArgument(f"{name}: {text!r} is no moment.", hint=f"Say {FORMS}.")
    return Moment(at_ms=max(1, at_ms))


def parse_instant_ms(name: str, text: str) -> int:
    """A time alone, in milliseconds since 1970; InvalidArgument begins with `name`."""
    at_ms = _time_ms(text.strip())
    if at_ms is None:
        raise InvalidArgument(
            f"{name}: {text!r} is no instant.", hint="Say it as in 2026-11-27T20:00:00Z, or +5s from now."
        )
    return max(1, at_ms)


def parse_duration_ms(name: str, text: str) -> int:
    """`30s`, `5min`, `2h`, `1d`; InvalidArgument begins with `name`."""
    duration = _DURATION.fullmatch(text.strip().lower())
    if duration is None:
        raise InvalidArgument(f"{name}: {text!r} is no duration.", hint="Say it as in 30s, 5min, 2h or 1d.")
    return _duration_ms(name, text, Decimal(duration[1]), duration[2])


def written(at_ms: int) -> str:
    """2026-11-26T10:00:00Z; with milliseconds where there are any. It is read back as the same moment."""
    moment = _EPOCH + timedelta(milliseconds=at_ms)
    return moment.isoformat(timespec="milliseconds" if at_ms % 1000 else "seconds").replace("+00:00", "Z")


def _duration_ms(name: str, text: str, count: Decimal, unit: str) -> int:
    size = _UNITS_MS.get(unit)
    if size is None:
        raise InvalidArgument(
            f"{name}: {unit!r} in {text!r} is no unit of time.", hint=f"The units are {', '.join(_UNITS_MS)}."
        )
    duration_ms = int(count * size)
    if duration_ms > LONGEST_MS:
        raise InvalidArgument(f"{name}: {text!r} is longer ago than any mesh.", hint=f"Say {FORMS}.")
    return duration_ms


def _time_ms(text: str) -> int | None:
    """A year alone, or a number, is no time: too much could be meant by it."""
    if "-" not in text:
        return None
    try:
        moment = datetime.fromisoformat(text.upper())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return (moment.astimezone(UTC) - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        return None
