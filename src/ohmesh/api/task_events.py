"""GET /v1/tasks/{task_id}/events: one task, as a stream that ends with it.

    event: task        how it stands now (as GET /v1/tasks/{task_id})
    event: progress    what the running task says of itself: done, total, share, note, attempt, at_ms
    event: end         how it ended (as GET /v1/result/{task_id}), and the stream is over

Progress is stored nowhere, so a reader that comes back begins with the task as it is then, and misses no end.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

from starlette.requests import Request
from starlette.responses import Response

from ohmesh.api.door import Door, base_of
from ohmesh.api.event_stream import Told, stream_response
from ohmesh.errors import InvalidArgument
from ohmesh.model.message import Progress
from ohmesh.model.task import FINAL_STATES
from ohmesh.operations import arguments as a
from ohmesh.operations.parameter import parse_arguments
from ohmesh.operations.results import TaskDescription
from ohmesh.operations.tasks import get_tasks, outcome_of, result
from ohmesh.roles.client import Client
from ohmesh.roles.client_tracker import unknown_task

PATH = "/v1/tasks/{task_id}/events"
_END_PATIENCE_S = 30.0


async def task_events(door: Door, request: Request) -> Response:
    if request.query_params:
        raise InvalidArgument("A stream of a task takes no parameters.")
    mesh, task_id = door.mesh(), request.path_params["task_id"]
    found = await get_tasks(mesh, parse_arguments(a.GetTasks, {"task_ids": [task_id]}))
    if not found.tasks:
        raise unknown_task(task_id)
    story = _story(mesh, found.tasks[0])
    return stream_response(door.streams, door.config, story, base=base_of(request))


async def _story(mesh: Client, task: TaskDescription) -> AsyncGenerator[Told, None]:
    yield Told("task", task)
    if task.state in FINAL_STATES:
        yield Told("end", await result(mesh, a.Result(task_id=task.task_id, wait_s=_END_PATIENCE_S)))
        return
    handle = await mesh.watch(task.task_id)
    async for step in handle.progress():
        yield Told("progress", _plain(step))
    yield Told("end", outcome_of(await handle.end()))


def _plain(step: Progress) -> dict[str, object]:
    return {
        "task_id": step.task_id,
        "attempt": step.attempt,
        "done": step.done,
        "total": step.total,
        "share": step.share,
        "note": step.note,
        "at_ms": step.at_ms,
    }
