"""What one sender has said on one subject and does not know to be heard: numbered, kept, and sent again.

Invariants: numbers rise by one; a frame is kept until it is heard or given up, and is sent again byte for byte; what is
kept is bounded, and a full outbox refuses instead of forgetting. A subject with many readers has no outbox: there is no
one who could say that all has been heard.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from ohmesh.errors import Backpressure
from ohmesh.model.fleet_message import FramesHeard


@dataclass(frozen=True, slots=True)
class OutboxConfig:
    """resend_us: how long a frame waits to be heard before it is sent again; doubled each time, up to resend_most_us.
    resend_frames: sent again at once, at most."""

    frames: int = 512
    bytes: int = 8 << 20
    resend_us: int = 250_000
    resend_most_us: int = 5_000_000
    resend_frames: int = 64


class Resend(NamedTuple):
    """frames: that the other side misses, to be sent again now. wants_word: it waits for others, which are not kept;
    any new frame, an empty one too, tells it by its `oldest` that they will not come."""

    frames: list[bytes]
    wants_word: bool


@dataclass(slots=True)
class _Kept:
    data: bytes
    due_us: int
    wait_us: int


class Outbox:
    """For one life (`term`) of `sender` and one `flow`, its subject."""

    def __init__(self, sender: str, term: int, flow: str, config: OutboxConfig | None = None) -> None:
        self._address = (sender, term, flow)
        self._config = config or OutboxConfig()
        self._kept: dict[int, _Kept] = {}  # ascending
        self._next = 1
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def oldest(self) -> int:
        """The lowest number that would still be sent again; the next one where nothing would."""
        return next(iter(self._kept), self._next)

    def add(self, encode: Callable[[int, int], bytes], now_us: int) -> bytes:
        """Number a frame, keep it and return it: `encode(sequence, oldest)` makes it.

        Raises Backpressure: too much is not heard yet."""
        if len(self._kept) >= self._config.frames or self._bytes >= self._config.bytes:
            raise Backpressure(
                f"{len(self._kept)} frames for {self._address[2]} are not heard yet.",
                retry_after_ms=self._config.resend_us // 1000,
                hint="Wait until the other side hears, or give them up.",
            )
        data = encode(self._next, self.oldest)
        self._kept[self._next] = _Kept(data, now_us + self._config.resend_us, self._config.resend_us)
        self._bytes += len(data)
        self._next += 1
        return data

    def hear(self, heard: FramesHeard, now_us: int) -> Resend:
        """Forget what has arrived."""
        if (heard.sender, heard.term, heard.flow) != self._address:
            return Resend([], False)
        missing = set(heard.missing)
        for number in list(self._kept):
            if number <= heard.through or (number <= heard.highest and number not in missing):
                self._bytes -= len(self._kept.pop(number).data)
        again = [number for number in self._kept if number in missing]
        return Resend(self._again(again, now_us), len(again) < len(missing))

    def due(self, now_us: int) -> list[bytes]:
        """What has waited long enough to be sent again."""
        return self._again([number for number, one in self._kept.items() if one.due_us <= now_us], now_us)

    def next_due_us(self) -> int | None:
        """When `due` has something next; None while nothing is kept."""
        return min((one.due_us for one in self._kept.values()), default=None)

    def give_up(self) -> int:
        """Forget everything that is kept; how many frames that were. The next one tells the other side."""
        count = len(self._kept)
        self._kept.clear()
        self._bytes = 0
        return count

    def _again(self, numbers: list[int], now_us: int) -> list[bytes]:
        again = [self._kept[number] for number in numbers[: self._config.resend_frames]]
        for one in again:
            one.wait_us = min(2 * one.wait_us, self._config.resend_most_us)
            one.due_us = now_us + one.wait_us
        return [one.data for one in again]
