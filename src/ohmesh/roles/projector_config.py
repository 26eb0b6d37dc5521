"""What a projector is given, and its bounds."""

from __future__ import annotations

from dataclasses import dataclass

from ohmesh.errors import InvalidArgument
from ohmesh.ports.blobs import Blobs
from ohmesh.ports.clock import Clock
from ohmesh.ports.ledger import Ledger
from ohmesh.ports.log import Log
from ohmesh.ports.state import State


@dataclass(frozen=True, slots=True)
class ProjectorPorts:
    log: Log
    blobs: Blobs
    state: State
    ledger: Ledger
    clock: Clock


@dataclass(frozen=True, slots=True)
class ProjectorConfig:
    """A stretch is read, folded and recorded as one batch; in memory there is never more than one per shard.

    poll_ms, poll_idle_ms: pause before the next look at a log that had news, doubled up to the second without any.
    stretch_frames, stretch_bytes, stretch_tasks: a stretch ends at the first of them (bytes as the last one averaged).
    yield_bytes: how much is folded before the event loop has its turn; about a millisecond.
    publish_every_ms, publish_every_frames: how old the published position may be; it holds the log's trimming back.
    retry_ms, retry_max_ms: pause after a failure of the ledger or the engine, doubled.
    recovered_tasks: ends that a snapshot knows and history does not, recorded at once; beyond it the oldest are left
        out, and an event says how many. openings: epochs of the ledger that are compared with the log's.
    max_attempts: what a task shows that was submitted without its own.
    """

    poll_ms: int = 50
    poll_idle_ms: int = 1000
    stretch_frames: int = 64
    stretch_bytes: int = 4_000_000
    stretch_tasks: int = 10_000
    yield_bytes: int = 64_000
    publish_every_ms: int = 500
    publish_every_frames: int = 64
    retry_ms: int = 100
    retry_max_ms: int = 10_000
    recovered_tasks: int = 20_000
    openings: int = 1000
    max_attempts: int = 4

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 1:
                raise InvalidArgument(
                    f"{name} = {getattr(self, name)} is not a bound.", hint="Give at least 1."
                )
