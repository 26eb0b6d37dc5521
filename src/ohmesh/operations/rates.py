"""Rates and limits as people write them: `100/s`, `6000/m`, `10/h`, `1/d`."""

from __future__ import annotations

import re

from ohmesh.errors import InvalidArgument
from ohmesh.model.limit import CONCURRENCY, KindLimit, LimitStanding

_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_RATE = re.compile(r"(\d{1,7})/(s|m(?:in)?|h|d)")
_HINT = "Write so many a second, minute, hour or day: 100/s, 6000/m, 10/h, 1/d."


def parse_rate(text: str) -> tuple[int, int]:
    """`100/s` as (100, 1000): so many in so many milliseconds. Raises InvalidArgument."""
    match = _RATE.fullmatch(text.replace(" ", ""))
    if match is None or not int(match[1]):
        raise InvalidArgument(f"{text!r} is not a rate.", hint=_HINT)
    return int(match[1]), _UNITS_MS[match[2][0]]


def limit_of(rate: str, burst: int, concurrency: int) -> KindLimit:
    """Without a burst, what comes in a second may start at once, and one task at least."""
    count, per_ms = parse_rate(rate) if rate else (0, 0)
    if count and not burst:
        burst = max(1, count * 1_000 // per_ms)
    return KindLimit(count, per_ms, burst, concurrency)


def rate_text(limit: KindLimit) -> str:
    """As `parse_rate` reads it; "" where no rate is limited."""
    unit = next((name for name, per_ms in _UNITS_MS.items() if per_ms == limit.per_ms), f"{limit.per_ms} ms")
    return f"{limit.count}/{unit}" if limit.count else ""


def limit_text(limit: KindLimit) -> str:
    """`100/s, 100 at once, 5 at a time`."""
    parts = [f"{rate_text(limit)}, {limit.burst} at once"] if limit.count else []
    return ", ".join([*parts, f"{limit.concurrency} at a time"] if limit.concurrency else parts)


def why_held_back(standing: LimitStanding) -> str:
    """What the limit waits for, where it holds something back."""
    if standing.held_back == CONCURRENCY:
        return f"{standing.running} of {standing.limit.concurrency} run already"
    return f"the next may start in {standing.wait_ms / 1000:.1f} s"
