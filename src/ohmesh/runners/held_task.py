"""A task between its grant and its outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs

from ohmesh.model.envelope import join
from ohmesh.model.task import Grant, ItemFailure, OpenedItems, Outcome, OutcomeStatus, TaskFailure

if TYPE_CHECKING:
    from ohmesh.runners.agent_load import AgentLoad


class HeldTask:
    """`late_at_ns`: by then its code should have started; `estimate_ns`: how long it was thought to run."""

    __slots__ = ("agent", "estimate_ns", "failures", "grant", "is_cancelled", "late_at_ns", "parts", "place")

    def __init__(self, grant: Grant, agent: AgentLoad, *, late_at_ns: int, estimate_ns: int) -> None:
        self.grant = grant
        self.agent = agent
        self.late_at_ns = late_at_ns
        self.estimate_ns = estimate_ns
        self.is_cancelled = False
        # Of an envelope: the items before `place` are accounted for by parts (first item, items, values) and failures.
        self.place = 0
        self.parts: list[tuple[int, int, bytes]] = []
        self.failures: list[ItemFailure] = []

    def take_items(self, outcome: Outcome, first: int, items: int) -> None:
        """The next items of this envelope, as a row tells of them; one that was seen before tells nothing."""
        if first < self.place:
            return
        self.place = first
        if outcome.status is OutcomeStatus.SUCCEEDED:
            self.parts.append((self.place, items, outcome.value))
        else:
            self.failures.append(
                ItemFailure(
                    self.place, outcome.status, outcome.failure, outcome.started_ms, outcome.retry_after_ms
                )
            )
        self.place += items

    def ended_by(self, outcome: Outcome, item: int) -> Outcome:
        """`outcome` is what became of this task when its process died; of an envelope that is said of its `item`, or,
        where nobody blames one, of what was not done."""
        if not self.grant.items:
            return outcome
        if outcome.status in (OutcomeStatus.TIMED_OUT, OutcomeStatus.CRASHED):
            self.take_items(outcome, max(item, self.place), 1)
        # One that was stopped in its midst has begun, though nothing of it may have been committed yet.
        is_begun = self.place > 0 or outcome.status is OutcomeStatus.CANCELLED
        return self.envelope_outcome(outcome) if is_begun else outcome

    def envelope_outcome(self, end: Outcome) -> Outcome:
        """Of the whole: its times are those of `end`."""
        values = [value for _, _, value in self.parts]
        count = sum(items for _, items, _ in self.parts)
        value = join(values, count) if count else b""
        if count == self.grant.items:
            return structs.replace(end, status=OutcomeStatus.SUCCEEDED, value=value, failure=None)
        finished = [first + step for first, items, _ in self.parts for step in range(items)]
        return structs.replace(
            end,
            status=OutcomeStatus.OPENED,
            value=value,
            failure=None,
            retry_after_ms=-1,
            opened=OpenedItems(finished, self.failures),
        )

    def outcome(
        self,
        status: OutcomeStatus,
        *,
        failure: TaskFailure | None = None,
        started_ms: int = 0,
        ended_ms: int = 0,
    ) -> Outcome:
        """One that carries no value."""
        grant = self.grant
        return Outcome(grant.lease, grant.task_id, status, b"", failure, started_ms, ended_ms)

    def unstarted_outcome(self) -> Outcome:
        """Also of an envelope that was stopped in its midst: what it has done is done."""
        if self.place:
            return self.envelope_outcome(self.outcome(OutcomeStatus.OPENED))
        return self.outcome(OutcomeStatus.CANCELLED if self.is_cancelled else OutcomeStatus.RETURNED)
