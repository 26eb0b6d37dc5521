"""The one writer of a shard's log: each append is resolved before the next is composed.

An append is resolved when its acknowledgement came, or when the entry at expected + 1 has been read: ours means that it
landed, another's means that this writer has been replaced. Until then the same bytes with the same expected sequence
are sent again; the expected sequence makes that harmless, for at most one of them can land. (Half of the appends in
flight when a server is killed have landed, and a retry of one that landed is refused for its sequence: so a refusal
is looked up, never believed.)

A power cut gives sequences out again, and then a late append of a writer that was replaced can fit after all. Such a
ghost is of a lower epoch than the entry before it; it is left standing and written past, as readers read past it.
Until our epoch has begun in the log, an entry of a lower one is no ghost: then it was us who came too late.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from ohmesh.errors import (
    AppendUnresolved,
    EngineFailed,
    EngineUnavailable,
    Fenced,
    LogCorrupt,
    OhmeshError,
    SequenceConflict,
)
from ohmesh.ports.entropy import Entropy
from ohmesh.ports.log import Log
from ohmesh.protocols.queue.rows import (
    LOG_VERSION,
    LogFrame,
    Row,
    decode_log_frame,
    digest,
    encode_log_frame,
)


@dataclass(frozen=True, slots=True)
class LogWriterConfig:
    """Pauses between tries while the engine does not answer: doubled from the first to the last."""

    first_pause_ms: int = 10
    last_pause_ms: int = 500


@dataclass(frozen=True, slots=True)
class Blocked:
    """The engine answers, but has taken no append since `since_s` of the loop's time, lately because of `refusal`."""

    since_s: float
    refusal: OhmeshError


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
        self.ghosts = 0
        self.blocked: Blocked | None = None
        self._begun_epoch = 0

    def seek(self, last: int, previous: bytes) -> None:
        """Continue after the entry at `last` (0: an empty log), whose digest is `previous`."""
        self.last = last
        self.previous = previous

    async def append(self, epoch: int, rows: list[Row]) -> int:
        """Write one frame and return its sequence once it is known to be there.

        Raises Fenced when another writer's entry stands in its place, TailLost when the log has become shorter.
        Waits for as long as the engine is away."""
        frame_id = self._entropy.bits(63)
        while True:
            data = encode_log_frame(LogFrame(LOG_VERSION, epoch, frame_id, self.previous, rows))
            landed = await self._resolve(data, epoch)
            self.last += 1
            self.previous = digest(landed)
            self.appended_bytes += len(landed)
            if landed is data:
                self._begun_epoch = epoch
                return self.last
            self.ghosts += 1

    async def _resolve(self, data: bytes, epoch: int) -> bytes:
        """What stands at expected + 1 now: `data`, or the ghost of a lower epoch."""
        pause_ms = self._config.first_pause_ms
        begun_s = asyncio.get_running_loop().time()
        try:
            while True:
                refusal = await self._refusal(data)
                if refusal is None:
                    return data
                self.repeats += 1
                landed = await self._landed(data, epoch, Blocked(begun_s, refusal))
                if landed is not None:
                    return landed
                await asyncio.sleep(pause_ms / 1000 * (0.5 + self._entropy.bits(16) / 131072))
                pause_ms = min(2 * pause_ms, self._config.last_pause_ms)
        finally:
            self.blocked = None

    async def _refusal(self, data: bytes) -> OhmeshError | None:
        """Why it is not known to have landed; None: it has.

        An answer that is no answer (no room, a limit of the account) is no end either: what is decided stays decided,
        and room may come back."""
        try:
            sequence = await self._log.append(self._name, data, expected=self.last)
        except (SequenceConflict, AppendUnresolved, EngineUnavailable, EngineFailed) as error:
            return error
        if sequence == self.last + 1:
            return None
        return EngineFailed(f"An append after {self.last} was acknowledged as {sequence}.")

    async def _landed(self, data: bytes, epoch: int, blocked: Blocked) -> bytes | None:
        """What is at expected + 1, `data` where it is ours; None: not known, try again. Raises Fenced or TailLost."""
        try:
            entries = await self._log.read(self._name, first=self.last + 1, limit=1)
            bounds = await self._log.bounds(self._name)
        except EngineUnavailable:
            self.blocked = None  # it is away, as everybody sees
            return None
        if entries and entries[0].sequence == self.last + 1:
            if entries[0].data == data:
                return data
            found = decode_log_frame(entries[0].data, entries[0].sequence)
            if found.epoch < epoch == self._begun_epoch:
                return entries[0].data
            raise Fenced(
                f"Entry {self.last + 1} of log {self._name} was written by another dispatcher.",
                hint="This process has been replaced; nothing that it decided since was told to anyone.",
            )
        if bounds.last < self.last:
            raise TailLost(
                f"Log {self._name} ends at {bounds.last}; entry {self.last} was acknowledged before.",
                hint="Its server lost unsynced data (power cut); use durability: fsync where that must not happen.",
            )
        if isinstance(blocked.refusal, SequenceConflict) and bounds.last > self.last:
            raise Fenced(
                f"Log {self._name} ends at {bounds.last}, beyond {self.last + 1}: it was trimmed by another."
            )
        self.blocked = blocked
        return None
