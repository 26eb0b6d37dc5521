"""One task as a shard holds it."""

from __future__ import annotations

from sys import intern

from msgspec import Struct
from msgspec.structs import replace

from ohmesh.model.task import FormerTask, Submission, TaskEdit, TaskFailure, TaskState

MAX_EDITS_KEPT = 3


class Task(Struct, array_like=True, gc=False):
    """One task as the shard holds it. `order` rises with submission; `lease` is 0 unless an agent holds it now.

    request: the wish that queued it again, "" when none did. is_purged: no longer among the dead letters.
    opened: items of an envelope that are tasks of their own. edits: what it was before, the oldest first."""

    submission: Submission
    order: int
    submitted_ms: int
    state: TaskState = TaskState.QUEUED
    attempts: int = 0
    losses: int = 0
    lease: int = 0
    agent: str = ""
    granted_ms: int = 0
    timeout_ms: int = 0
    started_ms: int = 0
    finished_ms: int = 0
    due_ms: int = 0
    value: bytes = b""
    failures: tuple[TaskFailure, ...] = ()
    request: str = ""
    is_purged: bool = False
    opened: tuple[int, ...] = ()
    edits: tuple[FormerTask, ...] = ()

    @property
    def task_id(self) -> str:
        return self.submission.task_id

    @property
    def count(self) -> int:
        """How many tasks it is: of an envelope the items that are no tasks of their own."""
        return self.submission.items - len(self.opened) if self.submission.items else 1


def edited(task: Task, edit: TaskEdit | None, at_ms: int) -> tuple[Submission, tuple[FormerTask, ...]]:
    """What it is from now on, and what it was before."""
    former = task.submission
    if edit is None:
        return former, task.edits
    submission = replace(
        former,
        payload=former.payload if edit.payload is None else edit.payload,
        priority=former.priority if edit.priority is None else edit.priority,
        timeout_ms=former.timeout_ms if edit.timeout_ms is None else edit.timeout_ms,
        weight=former.weight if edit.weight is None else edit.weight,
    )
    before = FormerTask(at_ms, former.payload, former.priority, former.timeout_ms)
    return submission, (*task.edits[1 - MAX_EDITS_KEPT :], before)


def without_payload(submission: Submission) -> Submission:
    """A task that succeeded never runs again: its payload is let go, its name, kind and weight stay. Every submission
    that was read has brought a copy of its kind's name; those that are kept for long share one."""
    return Submission(
        submission.task_id,
        intern(submission.kind),
        b"",
        submission.priority,
        submission.created_ms,
        weight=submission.weight,
        items=submission.items,
    )
