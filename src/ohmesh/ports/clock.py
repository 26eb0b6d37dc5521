"""Time, as roles may see it. Waiting is done with asyncio, whose loop the simulator replaces."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    def now_ms(self) -> int:
        """Wall clock, milliseconds since 1970; may step."""
        ...

    def monotonic_ms(self) -> int:
        """Never steps back; its zero means nothing."""
        ...

    def monotonic_us(self) -> int:
        """The same in microseconds, as exactly as there is."""
        ...
