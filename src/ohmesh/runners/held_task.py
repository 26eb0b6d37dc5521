"""A task between its grant and its outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ohmesh.model.task import Grant, Outcome, OutcomeStatus, TaskFailure

if TYPE_CHECKING:
    from ohmesh.runners.agent_load import AgentLoad


class HeldTask:
    """`late_at_ns`: by then its code should have started; `estimate_ns`: how long it was thought to run."""

    __slots__ = ("agent", "estimate_ns", "grant", "is_cancelled", "late_at_ns")

    def __init__(self, grant: Grant, agent: AgentLoad, *, late_at_ns: int, estimate_ns: int) -> None:
        self.grant = grant
        self.agent = agent
        self.late_at_ns = late_at_ns
        self.estimate_ns = estimate_ns
        self.is_cancelled = False

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
        return self.outcome(OutcomeStatus.CANCELLED if self.is_cancelled else OutcomeStatus.RETURNED)
