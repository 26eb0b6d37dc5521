"""History to record: the same for the same numbers, so that two processes make the same batch."""

from __future__ import annotations

from ohmesh.model.task import TaskFailure, TaskState, TaskView
from ohmesh.ports.ledger import Batch, Event

START_MS = 1_700_000_000_000
KINDS = ("text", "image", "vision")
STATES = (TaskState.SUCCEEDED, TaskState.SUCCEEDED, TaskState.DEAD, TaskState.CANCELLED, TaskState.TIMED_OUT)


def finished(number: int, *, value: bytes = b"\x2a") -> TaskView:
    state = STATES[number % len(STATES)]
    failed = state in (TaskState.DEAD, TaskState.TIMED_OUT)
    return TaskView(
        task_id=f"01HF{number:022d}",
        kind=KINDS[number % len(KINDS)],
        state=state,
        priority=number % 4,
        attempts=4 if failed else 1,
        max_attempts=4,
        submitted_ms=START_MS + number,
        started_ms=START_MS + number + 3,
        # Ends come out of order, and several at the same millisecond.
        finished_ms=START_MS + number + (number * 7919) % 40 // 2,
        due_ms=number % 2,
        host=f"host-{number % 4}",
        agent=f"host-{number % 4}/text-{number % 3}",
        failures=(TaskFailure("ValueError", f"no {number}", "Traceback ..."),) if failed else (),
        value=b"" if failed else value,
    )


def batch(position: int, *, rows: int = 5, source: str = "shard-0", follows: int = -1) -> Batch:
    """Batch `position` of a source whose every sequence means `rows` tasks and an event."""
    first = position * rows
    return Batch(
        source=source,
        position=position,
        tasks=[finished(number) for number in range(first, first + rows)],
        events=[
            Event(START_MS + position, "epoch" if position % 2 else "snapshot", source, f"at {position}")
        ],
        follows=follows,
    )
