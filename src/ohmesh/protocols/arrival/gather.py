"""Scatter and gather: many are asked, and the operation is decided as soon as enough of them are ready.

T is the start plus a window; answers are gathered until T plus the window again, and never past the timeout. It is
decided once: when the rate is met, when nobody is left who may still answer, or at the deadline, whichever is first.
Rate is ready of sent, where sent is every target that was not skipped (counts).

Invariants: the decision is a function of what arrived up to its moment, and never changes. What comes later changes
the records, which stay true, and nothing else. At the deadline every target has a final state.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ohmesh.errors import InvalidArgument
from ohmesh.protocols.arrival.counts import Counts, sum_counts
from ohmesh.protocols.arrival.operation import Event, Heard, SectorRecord
from ohmesh.protocols.arrival.report import OperationReport, columns_of, judge


@dataclass(frozen=True, slots=True, kw_only=True)
class GatherConfig:
    """window_ms: from the start to T, and from T to the end of gathering. timeout_ms: from the start; the end whatever
    the window is. rate: of those that were sent, how many have to be ready."""

    window_ms: float = 500.0
    timeout_ms: float = 5_000.0
    rate: float = 0.95

    def __post_init__(self) -> None:
        if not 0 < self.window_ms <= self.timeout_ms < float("inf"):
            raise InvalidArgument(
                f"A window of {self.window_ms:g} ms and a timeout of {self.timeout_ms:g} ms do not fit.",
                hint="T lies a window after the start, so give a timeout that is not shorter, both above 0.",
            )
        if not 0 < self.rate <= 1:
            raise InvalidArgument(f"A rate of {self.rate} cannot be met.", hint="Above 0, at most 1.")

    def target_ms(self, start_ms: float) -> float:
        """T, for the records of an operation that starts then."""
        return start_ms + self.window_ms

    def deadline_ms(self, start_ms: float) -> float:
        return start_ms + min(2 * self.window_ms, self.timeout_ms)


class Gather:
    """`now_ms` of every call is mesh time; a call with an earlier one than before is taken as of now."""

    def __init__(
        self,
        operation: str,
        records: Iterable[SectorRecord],
        start_ms: float,
        config: GatherConfig | None = None,
    ) -> None:
        """Raises InvalidArgument: a record has another T, or a sector has two."""
        self.operation = operation
        self.config = config or GatherConfig()
        self.start_ms = start_ms
        self.target_ms = self.config.target_ms(start_ms)
        self.deadline_ms = self.config.deadline_ms(start_ms)
        self.records: dict[int, SectorRecord] = {}
        for record in records:
            if record.target_ms != self.target_ms or record.sector in self.records:
                raise InvalidArgument(
                    f"Operation {operation} at T = {self.target_ms} cannot take a record of sector "
                    f"{record.sector} at T = {record.target_ms}.",
                    hint="One record for each sector, all with the T of the operation.",
                )
            self.records[record.sector] = record
        self.decision: OperationReport | None = None
        self.is_closed = False
        self._counts = {sector: record.counts() for sector, record in self.records.items()}
        self._total = sum_counts(self._counts.values())
        self._now_ms = start_ms

    @property
    def counts(self) -> Counts:
        """As of now; after the decision with what came late."""
        return self._total

    @property
    def wake_ms(self) -> float | None:
        """When to call `tick`; None once all is over."""
        return None if self.is_closed else self.deadline_ms

    def tick(self, now_ms: float) -> OperationReport | None:
        """The decision, if it is made by this call."""
        was_decided = self.decision is not None
        self._advance(now_ms)
        self._look()
        return None if was_decided else self.decision

    def take(self, sector: int, event: Event, now_ms: float) -> Heard:
        """Something was done or heard. What comes at the deadline or after it is late: it changes the record only."""
        self._advance(now_ms)
        record = self.records.get(sector)
        if record is None:
            return Heard(0, len(event.rows))
        heard = record.take(event)
        self._recount(sector)
        self._look()
        return heard

    def report(self) -> OperationReport:
        """As of now, with what came late; its outcome is what the records say, `decision` is what was decided."""
        return self._report(self._now_ms)

    def extend(self, extra_ms: float, now_ms: float) -> Gather:
        """Gather for longer, over the same records, with a decision of its own: what a quorum that has to WAIT may
        recommend. This one stays decided as it was; tell the new one what comes from now on.

        Raises InvalidArgument: it is not decided yet, or nothing is left until the timeout."""
        limit_ms = self.start_ms + self.config.timeout_ms
        if self.decision is None or not extra_ms > 0 or now_ms >= limit_ms:
            raise InvalidArgument(
                f"Operation {self.operation} cannot be gathered {extra_ms:g} ms longer.",
                hint="Only once it is decided, for a time above 0, and before its timeout.",
            )
        longer = Gather(self.operation, self.records.values(), self.start_ms, self.config)
        longer.deadline_ms = min(now_ms + extra_ms, limit_ms)
        longer._now_ms = now_ms
        return longer

    def _advance(self, now_ms: float) -> None:
        """Time passes, before anything else happens: at the deadline it is over, with what was known before."""
        self._now_ms = max(self._now_ms, now_ms)
        if self._now_ms >= self.deadline_ms:
            self._close()

    def _look(self) -> None:
        if self._total.is_settled or self._total.meets(self.config.rate):
            self._decide(self._now_ms)

    def _close(self) -> None:
        if self.is_closed:
            return
        self.is_closed = True
        for sector, record in self.records.items():
            record.close()
            self._recount(sector)
        self._decide(self.deadline_ms)

    def _recount(self, sector: int) -> None:
        before, after = self._counts[sector], self.records[sector].counts()
        self._counts[sector] = after
        self._total += after - before

    def _decide(self, at_ms: float) -> None:
        if self.decision is None:
            self.decision = self._report(at_ms)

    def _report(self, at_ms: float) -> OperationReport:
        return OperationReport(
            self.operation,
            judge(self._total, self.config.rate),
            self._total,
            self.config.rate,
            at_ms,
            at_ms - self.start_ms,
            columns_of(self.records.values()),
        )
