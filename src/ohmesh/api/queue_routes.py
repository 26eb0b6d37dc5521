"""The endpoints of an older queue, for programs that know them; what they hand in are ordinary tasks of the mesh.

    POST /submit-task, /submit   {"type": "text", "data": "..."}              -> {"task_id"}
    POST /enqueue                multipart: file, task_type ("image")         -> {"task_id"}
    GET  /status/{task_id}       {"task_id", "status"}, and result or error where there is one
    GET  /result/{task_id}       {"task_id", "result"}, or {"task_id", "status"} while there is none
    GET  /workers                [{"id", "last_seen", "tasks_in_progress", "status"}]

Read sanely: an unknown id is 404, a task that waits for its next attempt is pending, a failure has its reason, and a
type that is neither built in nor run by any worker is refused instead of waiting for ever.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec import UNSET, Struct, UnsetType
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response

from ohmesh.api.door import CALLER, Door, json_object, json_response
from ohmesh.api.idempotency import HEADER, key_of, task_key
from ohmesh.errors import BodyRefused, UnknownKind
from ohmesh.model.agent import Liveness
from ohmesh.model.task import TaskState
from ohmesh.operations import arguments as a
from ohmesh.operations.mesh import list_workers
from ohmesh.operations.parameter import parse_arguments
from ohmesh.operations.results import TaskDescription, Value
from ohmesh.operations.tasks import get_tasks, submit
from ohmesh.roles.client_tracker import unknown_task

BUILT_IN_TYPES = ("text", "image")
DEFAULT_TYPE = "image"
_FORM_FIELDS_MAX = 16
_GONE = (Liveness.OFFLINE, Liveness.LEFT)
_WORDS = {
    TaskState.SUBMITTED: "pending",
    TaskState.QUEUED: "pending",
    TaskState.RETRYING: "pending",
    TaskState.RUNNING: "processing",
    TaskState.SUCCEEDED: "done",
    TaskState.FAILED: "failed",
    TaskState.DEAD: "failed",
    TaskState.TIMED_OUT: "timeout",
    TaskState.CANCELLED: "cancelled",
}


class QueueTask(Struct, frozen=True):
    """`data`: the text; of an image its file as base64."""

    type: a.Kind
    data: str


class Receipt(Struct, frozen=True):
    task_id: str


class QueueStatus(Struct, frozen=True, omit_defaults=True):
    """`status`: pending, processing, done, failed, timeout, cancelled. `result` once done, `error` once failed."""

    task_id: str
    status: str | UnsetType = UNSET
    result: Value | UnsetType = UNSET
    error: str | UnsetType = UNSET


class QueueWorker(Struct, frozen=True):
    """`last_seen`: seconds since 1970. `status`: healthy or offline."""

    id: str
    last_seen: float
    tasks_in_progress: int
    status: str


async def submit_task(door: Door, request: Request) -> Response:
    body = await request.body()
    task = parse_arguments(QueueTask, json_object(body), strict=True)
    return await _submitted(door, request, body, task.type, task.data)


async def enqueue(door: Door, request: Request) -> Response:
    """The whole body makes a repeated request the same, so a client that repeats it must keep its boundary."""
    body = await request.body()
    async with request.form(max_files=1, max_fields=_FORM_FIELDS_MAX) as form:
        file, kind = form.get("file"), form.get("task_type", DEFAULT_TYPE)
        if not isinstance(file, UploadFile):
            raise BodyRefused(
                "The form has no file.", hint="Send multipart/form-data: curl -F file=@photo.jpg URL/enqueue"
            )
        if not isinstance(kind, str):
            raise BodyRefused("task_type is a file, not a text.")
        content = await file.read()
    return await _submitted(door, request, body, kind, content)


async def status(door: Door, request: Request) -> Response:
    task = await _task(door, request)
    return json_response(
        QueueStatus(task.task_id, _WORDS[task.state], result=_result(task), error=_error(task))
    )


async def result(door: Door, request: Request) -> Response:
    task = await _task(door, request)
    if task.state is TaskState.SUCCEEDED:
        return json_response(QueueStatus(task.task_id, result=_result(task)))
    return json_response(QueueStatus(task.task_id, _WORDS[task.state], error=_error(task)))


async def workers(door: Door, _request: Request) -> Response:
    found = await list_workers(door.mesh(), a.ListWorkers())
    return json_response(
        [
            QueueWorker(
                worker.host,
                worker.last_seen_ms / 1000,
                worker.running,
                "offline" if worker.liveness in _GONE else "healthy",
            )
            for worker in found
        ]
    )


Handler = Callable[[Door, Request], Awaitable[Response]]
ENDPOINTS: tuple[tuple[str, str, Handler], ...] = (
    ("POST", "/submit-task", submit_task),
    ("POST", "/submit", submit_task),
    ("POST", "/enqueue", enqueue),
    ("GET", "/status/{task_id}", status),
    ("GET", "/result/{task_id}", result),
    ("GET", "/workers", workers),
)


async def _submitted(door: Door, request: Request, body: bytes, kind: str, data: str | bytes) -> Response:
    key = key_of(request.headers.get(HEADER, ""))
    what = b"\0".join([request.url.path.encode(), body])
    caller: str = request.scope[CALLER]
    named = {"kind": kind, "arguments": [data], "key": task_key(caller, key, what)}
    wish = parse_arguments(a.Submit, named, strict=True)

    async def produce() -> Response:
        await _check_kind(door, kind)
        return json_response(Receipt((await submit(door.mesh(), wish)).task_id))

    return await door.answers.once(caller, key, what, produce)


async def _check_kind(door: Door, kind: str) -> None:
    if kind in BUILT_IN_TYPES:
        return
    known = {each for worker in await list_workers(door.mesh(), a.ListWorkers()) for each in worker.kinds}
    if kind not in known:
        raise UnknownKind(
            f"No worker of this mesh has ever run tasks of type {kind!r}.",
            hint=f"There are: {', '.join(sorted({*BUILT_IN_TYPES, *known}))}. /v1/submit takes any kind.",
        )


async def _task(door: Door, request: Request) -> TaskDescription:
    wanted = parse_arguments(a.GetTasks, {"task_ids": [request.path_params["task_id"]]})
    found = await get_tasks(door.mesh(), wanted)
    if not found.tasks:
        raise unknown_task(wanted.task_ids[0])
    return found.tasks[0]


def _result(task: TaskDescription) -> object:
    return task.value if task.state is TaskState.SUCCEEDED else UNSET


def _error(task: TaskDescription) -> str | UnsetType:
    return str(task.failures[-1]) if task.failures and task.state is not TaskState.SUCCEEDED else UNSET
