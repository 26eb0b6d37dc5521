"""So many requests a minute for each caller, counted in windows of a minute that begin with the first request.

The headers are those of the IETF draft "RateLimit header fields for HTTP" (httpapi-ratelimit-headers-10).
"""

from __future__ import annotations

import math

from msgspec import Struct

from ohmesh.api.keyring import Caller
from ohmesh.errors import TooManyRequests

WINDOW_S = 60


class _Window(Struct):
    ends_s: float
    used: int = 0


class RateLimit:
    """One window for each caller; callers are the token and the keys, so there are few."""

    def __init__(self) -> None:
        self._windows: dict[str, _Window] = {}

    def take(self, caller: Caller, now_s: float) -> dict[str, str]:
        """Count one request; the headers of its answer. TooManyRequests when the minute is used up."""
        window = self._windows.get(caller.name)
        if window is None or window.ends_s <= now_s:
            window = self._windows[caller.name] = _Window(now_s + WINDOW_S)
        if window.used >= caller.requests_per_minute:
            raise TooManyRequests(
                f"{caller.requests_per_minute} requests in {WINDOW_S} s are what this token may ask.",
                retry_after_ms=math.ceil((window.ends_s - now_s) * 1000),
            )
        window.used += 1
        return self.headers(caller, now_s)

    def headers(self, caller: Caller, now_s: float) -> dict[str, str]:
        """What is left, and for how long."""
        window = self._windows.get(caller.name, _Window(now_s + WINDOW_S))
        left = caller.requests_per_minute - window.used
        return {
            "RateLimit-Policy": f'"minute";q={caller.requests_per_minute};w={WINDOW_S}',
            "RateLimit": f'"minute";r={left};t={max(0, math.ceil(window.ends_s - now_s))}',
        }
