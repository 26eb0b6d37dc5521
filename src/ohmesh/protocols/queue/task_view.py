"""A task of the table as others see it: a person who asks for it, the submitter who hears its end."""

from __future__ import annotations

from ohmesh.model.complexity import complexity_of
from ohmesh.model.task import TaskResult, TaskState, TaskView
from ohmesh.protocols.queue.task_record import Task


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
        complexity=complexity_of(submission.weight).value,
        items=submission.items,
    )


def result(task: Task) -> TaskResult:
    """How it ended, as its submitter hears it."""
    failure = task.failures[-1] if task.failures and task.state is not TaskState.SUCCEEDED else None
    return TaskResult(
        task.submission.task_id, task.state, task.value, failure, task.attempts + task.losses, task.opened
    )
