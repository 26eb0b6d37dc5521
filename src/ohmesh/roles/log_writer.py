"""The one writer of a shard's log: each append is resolved before the next is composed.

An append is resolved when its acknowledgement came, or when the entry at expected + 1 has been read: ours means that it
landed, another's means that this writer has been replaced. Until then the same bytes with the same expected sequence
are sent again; the expected sequence makes that harmless, for at most one of them can land. (Half of the appends in
flight when a server is killed have landed, and a retry of one that landed is refused for its sequence: so a refusal
is looked up, never believed.)
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from ohmesh.errors import AppendUnresolved, EngineUnavailable, Fenced, LogCorrupt, SequenceConflict
from ohmesh.ports.entropy import Entropy
from ohmesh.ports.log import Log
from ohmesh.protocols.queue.rows import LOG_VERSION, LogFrame, Row, digest, encode_log_frame


@dataclass(frozen=True, slots=True)
class LogWriterConfig:
    """Pauses between tries while the engine does not answer: doubled from the first to the last."""

    first_pause_ms: int = 10
    last_pause_ms: int = 500


class TailLost(LogCorrupt):
    """The log ends before what was acknowledged to this writer: a power cut took its tail."""

    code = "tail_lost"


class LogWriter:
    """Appends rows after `last`, whose digest is `previous`. Not safe for two callers at once: it has one."""

    def __init__(self, log: Log, name: str, entropy: Entropy, config: LogWriterConfig) -> None:
        self._log = log
        self._name = name
        self._entropy = entropy
        self._config = config
        self.last = 0
        self.previous = b""
        self.appended_bytes = 0
        self.repeats = 0

    def seek(self, last: int, previous: bytes) -> None:
        """Continue after the entry at `last` (0: an empty log), whose digest is `previous`."""
        self.last = last
        self.previous = previous

    async def append(self, epoch: int, rows: list[Row]) -> int:
        """Write one frame and return its sequence once it is known to be there.

        Raises Fenced when another writer's entry stands in its place, TailLost when the log has become shorter.
        Waits for as long as the engine is away."""
        frame = LogFrame(LOG_VERSION, epoch, self._entropy.bits(63), self.previous, rows)
        data = encode_log_frame(frame)
        await self._resolve(data)
        self.last += 1
        self.previous = digest(data)
        self.appended_bytes += len(data)
        return self.last

    async def _resolve(self, data: bytes) -> None:
        pause_ms = self._config.first_pause_ms
        while True:
            refused = False
            try:
                await self._log.append(self._name, data, expected=self.last)
                return
            except SequenceConflict:
                refused = True
            except (AppendUnresolved, EngineUnavailable):
                pass
            self.repeats += 1
            if await self._landed(data, refused=refused):
                return
            await asyncio.sleep(pause_ms / 1000 * (0.5 + self._entropy.bits(16) / 131072))
            pause_ms = min(2 * pause_ms, self._config.last_pause_ms)

    async def _landed(self, data: bytes, *, refused: bool) -> bool:
        """True: ours is at expected + 1. False: not known, try again. Raises Fenced or TailLost."""
        try:
            entries = await self._log.read(self._name, first=self.last + 1, limit=1)
            bounds = await self._log.bounds(self._name)
        except EngineUnavailable:
            return False
        if entries and entries[0].sequence == self.last + 1:
            if entries[0].data == data:
                return True
            raise Fenced(
                f"Entry {self.last + 1} of log {self._name} was written by another dispatcher.",
                hint="This process has been replaced; nothing that it decided since was told to anyone.",
            )
        if bounds.last < self.last:
            raise TailLost(
                f"Log {self._name} ends at {bounds.last}; entry {self.last} was acknowledged before.",
                hint="Its server lost unsynced data (power cut); use durability: fsync where that must not happen.",
            )
        if refused and bounds.last > self.last:
            raise Fenced(
                f"Log {self._name} ends at {bounds.last}, beyond {self.last + 1}: it was trimmed by another."
            )
        return False
