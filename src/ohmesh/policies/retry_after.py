"""How long a server asks us to wait (RFC 9110, section 10.2.3)."""

from __future__ import annotations

from email.utils import parsedate_to_datetime


def retry_after_ms(value: str, now_s: float) -> int | None:
    """From `now_s`, by a Retry-After (seconds, or a date); None when it says nothing readable."""
    value = value.strip()
    if value.isascii() and value.isdecimal():
        return int(value[:9]) * 1_000
    try:
        date = parsedate_to_datetime(value)
        return max(0, round((date.timestamp() - now_s) * 1_000))
    except (ValueError, OverflowError):
        return None
