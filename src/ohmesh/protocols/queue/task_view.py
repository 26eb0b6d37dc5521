"""A task of the table as others see it: a person who asks for it, the submitter who hears its end."""

from __future__ import annotations

from msgspec.structs import replace

from ohmesh.model.complexity import complexity_of
from ohmesh.model.task import FormerTask, TaskResult, TaskState, TaskView
from ohmesh.protocols.queue.sizes import failure_bytes
from ohmesh.protocols.queue.task_record import Task

VIEW_BYTES = 300


def view(task: Task, default_max_attempts: int = 0) -> TaskView:
    """The task as a person asks for it."""
    submission = task.submission
    return TaskView(
        task_id=submission.task_id,
        kind=submission.kind,
        state=task.state,
        priority=submission.priority,
        attempts=task.attempts + task.losses,
        max_attempts=submission.max_attempts or default_max_attempts,
        submitted_ms=task.submitted_ms,
        started_ms=task.started_ms or (task.granted_ms if task.lease else 0),
        finished_ms=task.finished_ms,
        due_ms=task.due_ms,
        host=task.agent.rpartition("/")[0],
        agent=task.agent,
        failures=task.failures,
        value=task.value,
        order=task.order,
        complexity=complexity_of(submission.weight),
        items=submission.items,
        opened=task.opened,
        timeout_ms=submission.timeout_ms,
    )


def with_payloads(task: Task, shown: TaskView, size: int, limit_bytes: int) -> tuple[TaskView, int]:
    """With what it was submitted with and was before its edits, the newest first as far as a page of `size` has room;
    of the rest only how large it is is said. The first payload of a page is shown whatever its size."""
    payload, omitted_bytes = task.submission.payload, 0
    if size + len(payload) > limit_bytes and size > VIEW_BYTES + sum(map(failure_bytes, task.failures)):
        payload, omitted_bytes = b"", len(payload)
    size += len(payload)
    edits: list[FormerTask] = []
    for former in reversed(task.edits):
        if size + len(former.payload) > limit_bytes:
            former = replace(former, payload=b"", omitted_bytes=len(former.payload))  # noqa: PLW2901
        size += len(former.payload) + VIEW_BYTES // 4
        edits.insert(0, former)
    changed = {"payload": payload, "payload_omitted_bytes": omitted_bytes, "edits": tuple(edits)}
    return replace(shown, **changed), size


def result(task: Task) -> TaskResult:
    """How it ended, as its submitter hears it."""
    failure = task.failures[-1] if task.failures and task.state is not TaskState.SUCCEEDED else None
    return TaskResult(
        task.submission.task_id, task.state, task.value, failure, task.attempts + task.losses, task.opened
    )
