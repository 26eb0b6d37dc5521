"""GET /v1/tasks/{task_id}/events: one task, as a stream that ends with it.

    event: task        how it stands now (as GET /v1/tasks/{task_id})
    event: progress    what the running task says of itself: done, total, share, note, attempt, at_ms
    event: end         how it ended (as GET /v1/result/{task_id}), and the stream is over

GET /v1/tasks/{task_id}/stream: what a task yields.

    id: 1.0            attempt and number; sent back as Last-Event-ID nothing of that attempt comes twice
    event: item        an item as it is yielded; a higher attempt, or number 0 again, begins anew
    event: end         as above; `error` where it ended without a value

Progress is stored nowhere, so a reader that comes back begins with the task as it is then, and misses no end.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

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
from ohmesh.operations.streams import items
from ohmesh.operations.tasks import get_tasks, outcome_of, result
from ohmesh.roles.client import Client
from ohmesh.roles.client_stream import NOTHING_BEFORE
from ohmesh.roles.client_tracker import unknown_task

PATH = "/v1/tasks/{task_id}/events"
STREAM_PATH = "/v1/tasks/{task_id}/stream"
RESUME = "Last-Event-ID"
_CURSOR_MAX_CHARS = 40
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


async def task_stream(door: Door, request: Request) -> Response:
    """What a task yields, behind Last-Event-ID or else from its first item on."""
    if request.query_params:
        raise InvalidArgument("A stream of a task takes no parameters.")
    mesh, task_id = door.mesh(), request.path_params["task_id"]
    found = await get_tasks(mesh, parse_arguments(a.GetTasks, {"task_ids": [task_id]}))
    if not found.tasks:
        raise unknown_task(task_id)
    after = _place(request.headers.get(RESUME, ""))
    return stream_response(door.streams, door.config, _items(mesh, task_id, after), base=base_of(request))


async def _items(mesh: Client, task_id: str, after: tuple[int, int]) -> AsyncGenerator[Told, None]:
    async with aclosing(items(mesh, task_id, after)) as stream:
        async for item in stream:
            yield Told("item", item, f"{item.attempt}.{item.number}")
    yield Told("end", await result(mesh, a.Result(task_id=task_id, wait_s=_END_PATIENCE_S)))


def _place(cursor: str) -> tuple[int, int]:
    """ "2.17" is item 17 of attempt 2."""
    if not cursor:
        return NOTHING_BEFORE
    attempt, dot, number = cursor.partition(".")
    if not (dot and attempt.isdecimal() and number.isdecimal() and len(cursor) <= _CURSOR_MAX_CHARS):
        raise InvalidArgument(
            f"{RESUME} {cursor[:_CURSOR_MAX_CHARS]!r} names no item.",
            hint="Send the id of an event, as 2.17.",
        )
    return int(attempt), int(number)


STREAMS = (
    (
        PATH,
        task_events,
        "task_events",
        "Follow one task until its end.",
        "Server-sent events: `task` at first, `progress` whenever it says how far it is, `end` at last.",
    ),
    (
        STREAM_PATH,
        task_stream,
        "task_stream",
        "Read what a task yields, as it does.",
        "Server-sent events: an `item` for each, `end` at last. `Last-Event-ID` goes on behind the event of that id.",
    ),
)
