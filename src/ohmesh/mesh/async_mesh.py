"""AsyncMesh: every verb of the task plane as a method, over one client."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from ohmesh.errors import InvalidArgument, OhmeshError, UnknownTask
from ohmesh.mesh.batching import Batching, capabilities_of
from ohmesh.mesh.bounding import Bounding
from ohmesh.mesh.care_verbs import CareVerbs
from ohmesh.mesh.conflict_verbs import ConflictVerbs
from ohmesh.mesh.fleet_verbs import FleetVerbs
from ohmesh.mesh.mending import Mending
from ohmesh.mesh.observation import Observation
from ohmesh.mesh.opening import Agent, connected, embedded, hold, kind_of
from ohmesh.mesh.scheduling import Scheduling
from ohmesh.mesh.state_verbs import StateVerbs
from ohmesh.mesh.webhook_verbs import WebhookVerbs
from ohmesh.model.message import Progress
from ohmesh.model.priority import Priority, parse_priority
from ohmesh.operations import arguments as a
from ohmesh.operations import history as history_operations
from ohmesh.operations import mesh as mesh_operations
from ohmesh.operations import queues as queue_operations
from ohmesh.operations import tasks as task_operations
from ohmesh.operations.history_arguments import ListEvents, ListHistory
from ohmesh.operations.history_results import HistoryEvents, TaskHistory
from ohmesh.operations.past_ends import past_end
from ohmesh.operations.results import (
    Cancellation,
    ChangedTasks,
    MeshStatus,
    PurgedQueue,
    QueueList,
    QueueState,
    TaskDescription,
    TaskList,
    WorkerList,
)
from ohmesh.policies.complexity import Estimator, complexity_of_task
from ohmesh.roles.client import Client, TaskRequest
from ohmesh.roles.client_handle import TaskHandle
from ohmesh.roles.client_payload import encode_arguments, key_of_arguments, value_of
from ohmesh.roles.client_tracker import unknown_task

MAX_MS = 10_000_000_000  # a bit over 115 days

M = TypeVar("M")
P = ParamSpec("P")
R = TypeVar("R")


class Opening:
    """A mesh about to be opened: `mesh = await AsyncMesh.connect()`, or `async with AsyncMesh.connect() as mesh`."""

    def __init__(self, enter: Callable[[], AbstractAsyncContextManager[Client]]) -> None:
        self._enter = enter
        self._mesh: AsyncMesh | None = None

    def __await__(self) -> Generator[object, None, AsyncMesh]:
        return self.open().__await__()

    async def open(self) -> AsyncMesh:
        client, leave = await hold(self._enter())
        return AsyncMesh(client, leave=leave)

    async def __aenter__(self) -> AsyncMesh:
        self._mesh = await self
        return self._mesh

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._mesh is not None:
            await self._mesh.__aexit__(kind, error, trace)


def takes_task(
    prepare: Callable[Concatenate[M, P], TaskRequest],
) -> Callable[[Callable[[M, TaskRequest], R]], Callable[Concatenate[M, P], R]]:
    """The verb is called with the parameters of `prepare` and acts on what that returns."""

    def decorate(act: Callable[[M, TaskRequest], R]) -> Callable[Concatenate[M, P], R]:
        @functools.wraps(act)
        def verb(self: M, /, *args: P.args, **kwargs: P.kwargs) -> R:
            return act(self, prepare(self, *args, **kwargs))

        returned = inspect.signature(act).return_annotation
        signature = inspect.signature(prepare).replace(return_annotation=returned)
        verb.__signature__ = signature  # type: ignore[attr-defined]  # what help() and editors show
        return verb

    return decorate


class AsyncMesh(
    Batching,
    Observation,
    Bounding,
    Mending,
    Scheduling,
    WebhookVerbs,
    FleetVerbs,
    ConflictVerbs,
    StateVerbs,
    CareVerbs,
):
    """A mesh, as one event loop uses it. Durations are seconds. Every task has an id that any program may ask for.

    `client` is the role underneath: statistics, and what has no verb.

    Errors are those of ohmesh.errors: UsageError where the call is wrong, MeshUnreachable and Backpressure where the
    mesh cannot take it now, TaskError where a task ended without a value.
    """

    def __init__(self, client: Client, *, leave: Callable[[], Awaitable[None]] | None = None) -> None:
        self.client = client
        self._leave = leave or client.close

    @classmethod
    def connect(
        cls, url: str = "", *, context: str = "", mesh: str = "", seed_file: str = "", data: str = ""
    ) -> Opening:
        """Join a mesh that runs, as the command line would: the one at `url` or in `data`, else that of `context`, of
        the environment, of ohmesh.toml or of the current context, else the one that `ohmesh up` started here."""
        return Opening(lambda: connected(url=url, context=context, mesh=mesh, seed_file=seed_file, data=data))

    @classmethod
    def local(cls, agents: Iterable[Agent] = (), *, data: str = "", workers: int = 1) -> Opening:
        """Start a mesh for this program, with worker processes that run `agents`; it ends when it is closed.

        Without `data` it leaves nothing behind. A script that calls this needs `if __name__ == "__main__":`.
        """
        listed = list(agents)
        return Opening(lambda: embedded(listed, data=data, workers=workers))

    async def close(self) -> None:
        """Wait a little for what is unanswered, then leave. MeshUnreachable names what nobody acknowledged."""
        await self._leave()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.close()
        except OhmeshError:
            if error is None:  # else the first error is the one to hear of; the client has logged this one
                raise

    @property
    def estimators(self) -> dict[str, Estimator]:
        """What tags a task small or large before it is queued, by kind; yours for your kinds, kept with this object:

        mesh.estimators["report"] = lambda pages: Complexity.LARGE if len(pages) > 50 else Complexity.SMALL
        """
        return self.client.estimators

    def prepare(
        self,
        /,
        kind: Agent,
        *arguments: object,
        priority: Priority | str | int = Priority.NORMAL,
        timeout: float | None = None,
        retries: int | None = None,
        delay: float = 0.0,
        key: str = "",
        unique: str = "",
        unique_for: float = 0.0,
        requires: Iterable[str] = (),
        **named: object,
    ) -> TaskRequest:
        """Check and encode a task, without sending it.

        kind: its name, or the @agent function. priority: CRITICAL, HIGH, NORMAL, LOW. timeout: of one attempt;
        retries: attempts after the first; both default to what the kind's agent declares. delay: do not start before.
        key: the same key is the same task, submitted however often. unique: while a task of this kind with this key
        waits or runs, the handle is that one's, and nothing new is queued; with unique_for also until so many seconds
        after the submission of one that succeeded (without unique the arguments are the key).
        requires: capabilities that the agent must have; `host:NAME` is one that every agent of that worker has.
        Raises InvalidArgument, PayloadTooLarge.
        """
        kind = kind_of(kind)
        payload = encode_arguments(arguments, named, self.client.config.payload_bytes)
        return TaskRequest(
            kind=kind,
            payload=payload,
            priority=priority if type(priority) is Priority else parse_priority(priority),
            timeout_ms=0 if timeout is None else max(1, _milliseconds("timeout", timeout)),
            max_attempts=0 if retries is None else _attempts(retries),
            delay_ms=_milliseconds("delay", delay) if delay else 0,
            key=key,
            unique=unique or (key_of_arguments(payload) if unique_for else ""),
            unique_for_ms=_milliseconds("unique_for", unique_for) if unique_for else 0,
            requires=capabilities_of(requires),
            weight=complexity_of_task(kind, arguments, named, self.client.estimators).weight,
        )

    @takes_task(prepare)
    async def submit(self, request: TaskRequest) -> TaskHandle:
        """Submit one task; returns once it is durable. Waits while the mesh is full or its dispatcher is replaced."""
        return await self.client.submit(request)

    @takes_task(prepare)
    def submit_nowait(self, request: TaskRequest) -> TaskHandle:
        """Submit one task without waiting: `handle.accepted()` says when it is durable. Raises Backpressure."""
        return self.client.submit_nowait(request)

    @takes_task(prepare)
    async def call(self, request: TaskRequest) -> object:
        """Submit one task and return its value, however long that takes; `call_within` bounds it. Where no worker runs
        the kind, the log says so after three seconds, and it waits on: one may come."""
        handle = await self.client.submit(request)
        return await handle.result()

    async def call_within(self, seconds: float, kind: Agent, /, *arguments: object, **options: Any) -> object:
        """As `call`, but waits no longer than `seconds`: ResultTimeout then, and the task, whose id it has, goes on.

        The bound stands first and has no name, so no argument of the task is taken for it.
        """
        limit_s, loop = _milliseconds("seconds", seconds) / 1000, asyncio.get_running_loop()
        began_s = loop.time()
        request = self.prepare(kind, *arguments, **options)
        handle = await self.client.submit(request, timeout_s=limit_s)
        return await handle.result(max(0.0, limit_s - (loop.time() - began_s)))

    async def result(self, task_id: str, timeout: float | None = None) -> object:
        """The value of any task by its id, once it has ended; history is asked where the mesh holds it no longer.
        Raises UnknownTask, ResultTimeout, TaskError."""
        try:
            handle = await self.client.watch(task_id)
            return await handle.result(timeout)
        except UnknownTask as unknown:
            return value_of(await past_end(self.client, task_id, unknown))

    async def progress(self, task_id: str) -> AsyncGenerator[Progress]:
        """What any running task says of itself, by its id, until it has ended."""
        handle = await self.client.watch(task_id)
        async for step in handle.progress():
            yield step

    async def get(self, task_id: str) -> TaskDescription:
        """Where one task stands. Raises UnknownTask."""
        listed = await task_operations.get_tasks(self.client, a.GetTasks(task_ids=[task_id]))
        if not listed.tasks:
            raise unknown_task(task_id)
        return listed.tasks[0]

    async def cancel(self, *task_ids: str) -> Cancellation:
        """Cancel tasks, queued or running; the answer names each id once."""
        return await task_operations.cancel_tasks(self.client, a.CancelTasks(task_ids=list(task_ids)))

    async def tasks(
        self,
        *,
        kind: str = "",
        state: str = "",
        limit: int = 100,
        after: str = "",
        filter: str = "",  # noqa: A002 - the word of every door
    ) -> TaskList:
        """A page of tasks, newest first; `after` of one page asks for the next.

        filter: a selector, such as "state=dead and age>1h"; InvalidSelector says what is wrong with it and where.
        """
        query = a.ListTasks(kind=kind, state=state, limit=limit, after=after, filter=filter)
        return await task_operations.list_tasks(self.client, query)

    async def retry(self, *task_ids: str) -> ChangedTasks:
        """Run ended tasks again (failed, dead, timed out, cancelled), with fresh attempts; each id is named once.

        A handle that has heard the first end keeps it; `result` and `get` from now on speak of the new run.
        """
        return await task_operations.retry_tasks(self.client, a.RetryTasks(task_ids=list(task_ids)))

    async def queues(self) -> QueueList:
        """What waits and runs of each kind, its dead letters, and what is paused."""
        return await queue_operations.list_queues(self.client, a.ListQueues())

    async def pause(self, kind: str) -> QueueState:
        """Start no more tasks of this kind until `resume`; what runs goes on, new tasks are taken and wait."""
        return await queue_operations.pause_queue(self.client, a.PauseQueue(kind=kind))

    async def resume(self, kind: str) -> QueueState:
        """Start tasks of this kind again."""
        return await queue_operations.resume_queue(self.client, a.ResumeQueue(kind=kind))

    async def purge(self, kind: str) -> PurgedQueue:
        """Cancel every task of this kind that waits; what runs goes on."""
        return await queue_operations.purge_queue(self.client, a.PurgeQueue(kind=kind))

    async def history(
        self,
        *,
        kind: str = "",
        state: str = "",
        worker: str = "",
        since: str = "",
        until: str = "",
        limit: int = 100,
        after: str = "",
    ) -> TaskHistory:
        """A page of tasks that have ended, the last first, however long ago; `after` of one page asks for the next.

        since, until: how long ago ("2h", "1d"), or a time ("2026-01-31T10:00", in UTC unless it says where).
        `behind` of the page: how many log entries are not history yet. Raises EngineUnavailable while the ledger is
        away, MeshUnreachable when nobody answers.
        """
        query = ListHistory(
            kind=kind, state=state, worker=worker, since=since, until=until, limit=limit, after=after
        )
        return await history_operations.list_history(self.client, query)

    async def history_events(self, *, kind: str = "", limit: int = 100) -> HistoryEvents:
        """What else happened, newest first: workers that came and went, epochs, dead letters, tails lost."""
        return await history_operations.list_events(self.client, ListEvents(kind=kind, limit=limit))

    async def workers(self, *, filter: str = "") -> WorkerList:  # noqa: A002 - the word of every door
        """Workers, those that are offline too; `filter` is a selector, such as "kind=text and load>80%"."""
        return await mesh_operations.list_workers(self.client, a.ListWorkers(filter=filter))

    async def status(self) -> MeshStatus:
        """Queues, dispatchers and workers in numbers."""
        return await mesh_operations.status(self.client, a.Status())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.client.mesh!r}>"


def _milliseconds(name: str, seconds: object) -> int:
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 <= seconds <= MAX_MS / 1000:
        raise InvalidArgument(f"{name}={seconds!r} is not a duration.", hint="Give seconds, such as 2.5.")
    return round(seconds * 1000)


def _attempts(retries: object) -> int:
    if not isinstance(retries, int) or isinstance(retries, bool) or retries < 0:
        raise InvalidArgument(f"retries={retries!r} is not a number of retries.", hint="Give 0 or more.")
    return retries + 1
