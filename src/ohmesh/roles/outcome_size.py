"""How large an outcome is, and what becomes of one that no message holds."""

from __future__ import annotations

from ohmesh.errors import PayloadTooLarge
from ohmesh.model.frame import MAX_FRAME_BYTES
from ohmesh.model.task import Outcome, OutcomeStatus, TaskFailure
from ohmesh.protocols.queue.sizes import failure_bytes

OUTCOME_OVERHEAD_BYTES = 128
MAX_OUTCOME_BYTES = MAX_FRAME_BYTES - 1_024


def outcome_bytes(outcome: Outcome) -> int:
    size = len(outcome.value) + OUTCOME_OVERHEAD_BYTES
    return size if outcome.failure is None else size + failure_bytes(outcome.failure)


def sendable(outcome: Outcome) -> Outcome:
    """One that is too large could never be sent, and its task would wait for ever."""
    size = outcome_bytes(outcome)
    if size <= MAX_OUTCOME_BYTES:
        return outcome
    message = f"The outcome takes {size} bytes, one message holds {MAX_OUTCOME_BYTES}."
    return Outcome(
        outcome.lease,
        outcome.task_id,
        OutcomeStatus.FAILED_PERMANENTLY,
        failure=TaskFailure(PayloadTooLarge.__name__, message),
        started_ms=outcome.started_ms,
        ended_ms=outcome.ended_ms,
    )
