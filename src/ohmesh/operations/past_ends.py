"""Ends of tasks that the dispatchers hold no longer: history may still know them, and their values.

History is the second place to look, never the first, and what it cannot say now is no error of its own: whoever asks
is told that the mesh does not hold the task, as if there were no history.
"""

from __future__ import annotations

from collections.abc import Sequence

from ohmesh.errors import OhmeshError, UnknownTask
from ohmesh.model.task import TaskResult, TaskState, TaskView
from ohmesh.operations.moments import written
from ohmesh.roles.client import Client


async def past_views(client: Client, task_ids: Sequence[str]) -> dict[str, TaskView]:
    """By id; nothing for those that history does not know, and for all where it cannot be asked now."""
    if not task_ids:
        return {}
    try:
        return await client.history.last_ends(task_ids)
    except OhmeshError:
        return {}


async def past_end(client: Client, task_id: str, unknown: UnknownTask) -> TaskResult:
    """How a task ended that is `unknown` to the dispatchers; raises that, with what history knows of it."""
    try:
        view = (await client.history.last_ends([task_id])).get(task_id)
    except OhmeshError as error:
        unknown.hint = f"It may have ended long ago, and history cannot be asked now: {error.message}"
        raise unknown from error
    if view is None:
        raise unknown
    if view.state is TaskState.SUCCEEDED and view.value_omitted_bytes:
        raise UnknownTask(
            f"Task {task_id} succeeded at {written(view.finished_ms)}; the mesh no longer holds its result, and of "
            f"{view.value_omitted_bytes} bytes it was too large for history.",
            hint="`ohmesh tasks get` shows the rest; ledger.value_bytes_max says what history keeps.",
        )
    failure = view.failures[-1] if view.failures and view.state is not TaskState.SUCCEEDED else None
    return TaskResult(task_id, view.state, view.value, failure, view.attempts)
