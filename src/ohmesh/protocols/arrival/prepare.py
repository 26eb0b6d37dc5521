"""Prepare and commit, the side that asks: agents report before T that they could act, and whether they do depends on
how many can.

    prepare --> PREPARED answers --> verdict: COMMIT when the rate is met, ABORT when it no longer can be, or at the
    last moment in which a verdict still reaches agents before T --> recorded --> told to everybody --> T

A verdict is told only once it is recorded, by a write that fails where one stands already. So of two who believe that
they ask, one decides; and a successor that finds none aborts, for nobody can have been told anything else. Everybody is
told the same: who is prepared acts at T, who is not does not. Who never hears, does not act and rolls back (`holding`):
the quorum guards the decision, it does not make it atomic, and the report says who did not act.

Invariants: one verdict is told, and stands; COMMIT only with the rate met by what was heard before; nothing is told
before it is recorded.
Source: J. Gray, L. Lamport, Consensus on Transaction Commit, 2006 (two-phase commit); C. Mohan et al., Transaction
Management in the R* Distributed Database Management System, 1986 (presumed abort).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from msgspec import Struct

from ohmesh.errors import InvalidArgument
from ohmesh.model.verdict_order import Verdict
from ohmesh.protocols.arrival.counts import Counts, sum_counts
from ohmesh.protocols.arrival.gather import Gather, GatherConfig
from ohmesh.protocols.arrival.operation import NO_TIME, Event, Heard, SectorRecord
from ohmesh.protocols.arrival.target_state import Knowledge


class VerdictReason(StrEnum):
    RATE_MET = "rate_met"
    RATE_OUT_OF_REACH = "rate_out_of_reach"
    OUT_OF_TIME = "out_of_time"
    NO_RECORD = "no_record"
    BY_HAND = "by_hand"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareConfig:
    """rate: prepared of sent, for a COMMIT. verdict_lead_ms: before T; a verdict that leaves later is no use.
    window_ms: after T; who hears a COMMIT by then still acts, late."""

    rate: float = 0.95
    verdict_lead_ms: float = 100.0
    window_ms: float = 500.0

    def __post_init__(self) -> None:
        if not (0 < self.rate <= 1 and self.verdict_lead_ms >= 0 and 0 < self.window_ms < float("inf")):
            raise InvalidArgument(
                f"A rate of {self.rate}, a lead of {self.verdict_lead_ms} ms and a window of {self.window_ms} ms do "
                "not fit.",
                hint="The rate is above 0 and at most 1, the lead not below 0, the window above 0.",
            )


class VerdictRecord(Struct, frozen=True):
    """What is to be recorded, and then told. `counts`: of the preparation, as it was decided upon."""

    operation: str
    verdict: Verdict
    reason: VerdictReason
    decided_ms: float
    counts: Counts


class Prepare:
    """`now_ms` of every call is mesh time; a call with an earlier one than before is taken as of now."""

    def __init__(
        self,
        operation: str,
        records: Iterable[SectorRecord],
        target_ms: float,
        config: PrepareConfig | None = None,
    ) -> None:
        """Raises InvalidArgument: a record has another T, or a sector has two."""
        self.operation = operation
        self.config = config or PrepareConfig()
        self.target_ms = target_ms
        self.decide_by_ms = target_ms - self.config.verdict_lead_ms
        self.verdict: VerdictRecord | None = None
        self.is_recorded = False
        self.records: dict[int, SectorRecord] = {}
        for record in records:
            if record.target_ms != target_ms or record.sector in self.records:
                raise InvalidArgument(
                    f"Operation {operation} at T = {target_ms} cannot take a record of sector {record.sector} at "
                    f"T = {record.target_ms}.",
                    hint="One record for each sector, all with the T of the operation.",
                )
            self.records[record.sector] = record
        self._now_ms = float("-inf")

    @property
    def counts(self) -> Counts:
        return sum_counts(record.counts() for record in self.records.values())

    @property
    def wake_ms(self) -> float | None:
        """When to call `tick`; None once there is a verdict."""
        return None if self.verdict is not None else self.decide_by_ms

    @property
    def tellable(self) -> Verdict | None:
        """What anybody who asks may be told; None while there is nothing that a successor would find."""
        return self.verdict.verdict if self.verdict is not None and self.is_recorded else None

    def tick(self, now_ms: float) -> VerdictRecord | None:
        """The verdict, if it is made by this call: to be recorded, then `recorded` is to be called."""
        was_decided = self.verdict is not None
        self._advance(now_ms)
        self._look()
        return None if was_decided else self.verdict

    def take(self, sector: int, event: Event, now_ms: float) -> Heard:
        """READY is PREPARED here. What comes when it is too late for a verdict changes the records only."""
        self._advance(now_ms)
        record = self.records.get(sector)
        if record is None:
            return Heard(0, len(event.rows))
        heard = record.take(event)
        self._look()
        return heard

    def abort(self, now_ms: float) -> VerdictRecord | None:
        """By hand. None where there is a verdict already; it stands."""
        self._advance(now_ms)
        if self.verdict is not None:
            return None
        self._decide(Verdict.ABORT, VerdictReason.BY_HAND, self._now_ms)
        return self.verdict

    def recorded(self) -> Verdict:
        """The verdict is where a successor finds it: tell everybody who was asked."""
        assert self.verdict is not None, "a verdict is made before it is recorded"
        self.is_recorded = True
        return self.verdict.verdict

    def resume(self, found: VerdictRecord | None, now_ms: float) -> VerdictRecord | None:
        """With what stands recorded: after a takeover, and where recording was refused because another had done it;
        that is the verdict then. Returns what is to be recorded now, if anything: without a record and with the time
        over nobody was told, so it is ABORT; with time left it goes on."""
        self._now_ms = max(self._now_ms, now_ms)
        if found is not None:
            self.verdict, self.is_recorded = found, True
        elif self.verdict is None and self._now_ms >= self.decide_by_ms:
            self._decide(Verdict.ABORT, VerdictReason.NO_RECORD, self._now_ms)
            return self.verdict
        return None

    def acting(self) -> Gather:
        """After a COMMIT: who acts, gathered until T plus the window. Who was prepared is under way until it says that
        it acted; what others said stays."""
        assert self.tellable is Verdict.COMMIT, "only what was committed is acted upon"
        window_ms = self.config.window_ms
        config = GatherConfig(window_ms=window_ms, timeout_ms=2 * window_ms, rate=self.config.rate)
        start_ms = self.target_ms - window_ms
        records = [_under_way(record, config.target_ms(start_ms)) for record in self.records.values()]
        return Gather(self.operation, records, start_ms, config)

    def _advance(self, now_ms: float) -> None:
        self._now_ms = max(self._now_ms, now_ms)
        if self.verdict is None and self._now_ms >= self.decide_by_ms:
            counts = self.counts
            reason = VerdictReason.OUT_OF_TIME if counts.sent else VerdictReason.NOBODY
            self._decide(Verdict.ABORT, reason, self.decide_by_ms)

    def _look(self) -> None:
        if self.verdict is not None:
            return
        counts = self.counts
        if counts.meets(self.config.rate):
            self._decide(Verdict.COMMIT, VerdictReason.RATE_MET, self._now_ms)
        elif not counts.sent:
            self._decide(Verdict.ABORT, VerdictReason.NOBODY, self._now_ms)
        elif not counts.can_meet(self.config.rate):
            self._decide(Verdict.ABORT, VerdictReason.RATE_OUT_OF_REACH, self._now_ms)

    def _decide(self, verdict: Verdict, reason: VerdictReason, at_ms: float) -> None:
        self.verdict = VerdictRecord(self.operation, verdict, reason, at_ms, self.counts)


def _under_way(prepared: SectorRecord, target_ms: float) -> SectorRecord:
    acting = SectorRecord(prepared.sector, prepared.rows, target_ms)
    was_ready = prepared.knowledge == Knowledge.READY
    acting.knowledge[:] = np.where(was_ready, np.uint8(Knowledge.TRANSIT), prepared.knowledge)
    acting.offsets_ms[:] = np.where(was_ready, NO_TIME, prepared.offsets_ms)
    acting.deliveries[:] = prepared.deliveries
    acting.reasons[:] = prepared.reasons
    acting.needed_ms[:] = prepared.needed_ms
    acting.available_ms[:] = prepared.available_ms
    return acting
