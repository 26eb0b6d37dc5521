"""A sector while the orchestrator is away: it goes on alone, keeps what came of everything, and hands it over.

    ATTACHED --silence--> ALONE --a word of the same or a higher term--> ATTACHED, and all that is kept is handed over

What was ordered before goes on: leads release it at its time, answers are counted, and at its end the record says what
is true. Alone, the sector may begin operations on its own agents, and none that concern others; a verdict of prepare
and commit is never made here, so who waits for one drops its work (`holding`).

A record is kept until the orchestrator says that it has it, whether it was away or not: an answer that comes late, or
a hand-over that gets lost, is handed over again. Records merge (`operation`), so twice does no harm.

Invariants: orders of a lower term than the highest that was heard are refused; what is kept is bounded, the oldest that
are over go first, and how many went unheard is counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from ohmesh.errors import Backpressure, Fenced, InvalidArgument
from ohmesh.protocols.arrival.operation import Event, Heard, SectorRecord

RETRY_AFTER_MS = 1_000


class Attachment(StrEnum):
    ATTACHED = "attached"
    ALONE = "alone"


@dataclass(frozen=True, slots=True, kw_only=True)
class AutonomyConfig:
    """silence_ms: without a word of the orchestrator for so long, the sector is alone. operations: kept at most."""

    silence_ms: int = 10_000
    operations: int = 1_024

    def __post_init__(self) -> None:
        if self.silence_ms < 1 or self.operations < 1:
            raise InvalidArgument(
                f"AutonomyConfig has silence_ms {self.silence_ms} and operations {self.operations}.",
                hint="Both are at least 1.",
            )


@dataclass(slots=True, eq=False)
class KeptOperation:
    """ends_ms: mesh time; then its record is closed. version: rises with every change, so that an acknowledgement of an
    older one is known. is_local: it was begun here."""

    operation: str
    record: SectorRecord
    ends_ms: float
    is_local: bool = False
    is_over: bool = False
    version: int = 1
    handed: int = 0  # the version that was handed over last


class SectorAutonomy:
    """`now_ms` of `heard` and `tick` is monotonic; times of operations are mesh time."""

    def __init__(self, sector: int, now_ms: int, config: AutonomyConfig | None = None) -> None:
        self.sector = sector
        self.config = config or AutonomyConfig()
        self.attachment = Attachment.ATTACHED
        self.term = 0
        self.unheard = 0  # operations that were dropped before anybody had them
        self._heard_ms = now_ms
        self._kept: dict[str, KeptOperation] = {}  # in the order in which they began

    def __len__(self) -> int:
        return len(self._kept)

    def heard(self, term: int, now_ms: int) -> bool:
        """A word of the orchestrator. True when the sector was alone until now: hand everything over.

        Raises Fenced: the word is of one that has been replaced."""
        if term < self.term:
            raise Fenced(
                f"An orchestrator of term {term} spoke to sector {self.sector}, which has heard term {self.term}.",
                hint="It has been replaced, and has to stop.",
            )
        is_new = term > self.term
        if is_new:  # a successor has none of what its predecessor was handed
            for kept in self._kept.values():
                kept.handed = 0
        was_alone = self.attachment is Attachment.ALONE
        self.term, self._heard_ms, self.attachment = term, max(self._heard_ms, now_ms), Attachment.ATTACHED
        return was_alone or is_new

    def tick(self, now_ms: int, mesh_ms: float) -> bool:
        """Whether the sector is alone from now on. Operations that are over by mesh time `mesh_ms` are closed."""
        for kept in self._kept.values():
            if not kept.is_over and mesh_ms >= kept.ends_ms:
                kept.is_over = True
                kept.record.close()
                kept.version += 1
        is_silent = now_ms - self._heard_ms >= self.config.silence_ms
        turns = is_silent and self.attachment is Attachment.ATTACHED
        if turns:
            self.attachment = Attachment.ALONE
        return turns

    def begin(self, operation: str, record: SectorRecord, ends_ms: float, *, term: int | None = None) -> bool:
        """An operation that was ordered at that term, or one of the sector's own (None). False: it is known already.

        Raises Fenced: an order of a lower term. InvalidArgument: a record of another sector. Backpressure: no room, for
        nothing that is kept is over."""
        if record.sector != self.sector:
            raise InvalidArgument(
                f"Operation {operation} is on sector {record.sector}, this is {self.sector}."
            )
        if term is not None and term < self.term:
            raise Fenced(
                f"Operation {operation} was ordered at term {term}; term {self.term} was heard since."
            )
        if operation in self._kept:
            return False
        self._make_room()
        self._kept[operation] = KeptOperation(operation, record, ends_ms, term is None)
        return True

    def take(self, operation: str, event: Event) -> Heard:
        """Something was done or heard, in time or late. Of an operation that is not kept (any more) all rows are
        unknown: such an answer is passed on, for the record that the orchestrator has."""
        kept = self._kept.get(operation)
        if kept is None:
            return Heard(0, len(event.rows))
        kept.version += 1
        return kept.record.take(event)

    def hand_over(self) -> list[KeptOperation]:
        """What the orchestrator has not been told in its present state. Empty while the sector is alone."""
        if self.attachment is Attachment.ALONE:
            return []
        news = [kept for kept in self._kept.values() if kept.handed < kept.version]
        for kept in news:
            kept.handed = kept.version
        return news

    def repeat(self) -> None:
        """What was handed over and not acknowledged may have got lost: it is handed over again."""
        for kept in self._kept.values():
            kept.handed = 0

    def acknowledged(self, versions: Iterable[tuple[str, int]]) -> None:
        """The orchestrator has stored these. What is over and has not changed since is dropped."""
        for operation, version in versions:
            kept = self._kept.get(operation)
            if kept is not None and kept.is_over and kept.version == version:
                del self._kept[operation]

    def _make_room(self) -> None:
        if len(self._kept) < self.config.operations:
            return
        oldest = next((name for name, kept in self._kept.items() if kept.is_over), None)
        if oldest is None:
            raise Backpressure(
                f"Sector {self.sector} has {len(self._kept)} operations under way.",
                retry_after_ms=RETRY_AFTER_MS,
            )
        del self._kept[oldest]
        self.unheard += 1
