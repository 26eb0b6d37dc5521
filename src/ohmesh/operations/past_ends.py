"""Ends of tasks that the dispatchers hold no longer: history may still know them, and their values.

History is the second place to look, never the first, and what it cannot say now is no error of its own: whoever asks
is told that the mesh does not hold the task, as if there were no history.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from ohmesh.errors import OhmeshError, UnknownTask
from ohmesh.model.envelope import parts_of, place_of, split
from ohmesh.model.task import TaskResult, TaskState, TaskView
from ohmesh.operations.moments import written
from ohmesh.roles.client import Client


async def past_views(client: Client, task_ids: Sequence[str]) -> dict[str, TaskView]:
    """By id; nothing for those that history does not know, and for all where it cannot be asked now."""
    if not task_ids:
        return {}
    try:
        return await _last_ends(client, task_ids)
    except OhmeshError:
        return {}


async def past_end(client: Client, task_id: str, unknown: UnknownTask) -> TaskResult:
    """How a task ended that is `unknown` to the dispatchers; raises that, with what history knows of it."""
    try:
        view = (await _last_ends(client, [task_id])).get(task_id)
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


async def _last_ends(client: Client, task_ids: Sequence[str]) -> dict[str, TaskView]:
    """Items of an envelope that became no tasks of their own are found in its line."""
    found = await client.history.last_ends(task_ids)
    parts = {task_id: parts_of(task_id) for task_id in task_ids if task_id not in found}
    inside = {task_id: part for task_id, part in parts.items() if part is not None}
    if inside:
        envelopes = await client.history.last_ends(
            sorted({envelope_id for envelope_id, _ in inside.values()})
        )
        for task_id, (envelope_id, index) in inside.items():
            envelope = envelopes.get(envelope_id)
            item = _item_of(envelope, task_id, index) if envelope is not None else None
            if item is not None:
                found[task_id] = item
    return found


def _item_of(envelope: TaskView, task_id: str, index: int) -> TaskView | None:
    place = place_of(index, envelope.items, envelope.opened)
    if place is None:
        return None
    value = split(envelope.value)[place] if envelope.value else b""
    return structs.replace(envelope, task_id=task_id, items=0, opened=(), value=value)
