"""Mesh: an AsyncMesh in a background thread, for programs without an event loop. No logic stands here twice.

A verb that returns once something has been heard costs two changes of thread. `submit_nowait` costs none: the task is
encoded where it is called, put into an inbox, and taken from there by the loop while the next ones are encoded.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

from ohmesh.errors import Backpressure, OhmeshError
from ohmesh.mesh.async_mesh import AsyncMesh, Opening, takes_task
from ohmesh.mesh.background import BackgroundLoop, stepped
from ohmesh.mesh.conflict_mirror import ConflictMirror
from ohmesh.mesh.fleet_mirror import FleetMirror
from ohmesh.mesh.locking import Lock
from ohmesh.mesh.mapping import Map
from ohmesh.mesh.mirrored_state_verbs import MirroredStateVerbs
from ohmesh.mesh.mirroring import mirrored
from ohmesh.mesh.opening import Agent
from ohmesh.model.event import Event
from ohmesh.model.identity import IdSource
from ohmesh.model.message import Progress
from ohmesh.model.task import TaskState
from ohmesh.operations.mapping import AsyncMap
from ohmesh.policies.complexity import Estimator
from ohmesh.roles.client import TaskRequest, id_of_key
from ohmesh.roles.client_handle import TaskHandle
from ohmesh.roles.client_payload import value_of
from ohmesh.roles.client_stream import NOTHING_BEFORE, StreamItem, unbroken

INBOX_TASKS = 10_000
INBOX_BURST_TASKS = 500
INBOX_RETRY_MS = 20

_logger = logging.getLogger("ohmesh.mesh")

P = ParamSpec("P")
R = TypeVar("R")


def _encoding_here(method: Callable[Concatenate[AsyncMesh, P], R]) -> Callable[Concatenate[Mesh, P], R]:
    """The same, done in the caller's thread: it touches nothing but its arguments."""

    @functools.wraps(method)
    def call(self: Mesh, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return method(self.mesh, *args, **kwargs)

    return call


def _mapped(
    method: Callable[Concatenate[AsyncMesh, P], AsyncMap],
) -> Callable[Concatenate[Mesh, P], Map]:
    """The same map, driven from the caller's thread."""

    @functools.wraps(method)
    def call(self: Mesh, /, *args: P.args, **kwargs: P.kwargs) -> Map:
        return Map(self.background, method(self.mesh, *args, **kwargs))

    return call


class Handle:
    """One task: `id`, `state`, `accepted()`, `result(timeout)`. May be used from any thread."""

    __slots__ = ("_arrived", "_background", "_error", "_handle", "_id")

    def __init__(self, background: BackgroundLoop, task_id: str, handle: TaskHandle | None = None) -> None:
        self._id = task_id
        self._background = background
        self._handle = handle
        self._error: OhmeshError | None = None
        self._arrived: asyncio.Event | None = None

    @property
    def id(self) -> str:
        """With `unique`, once it is accepted, that of the task that it joined."""
        return self._handle.id if self._handle is not None else self._id

    @property
    def state(self) -> TaskState:
        """As far as this program has heard: `submitted` until it is durable, `queued` until it has ended."""
        return self._handle.state if self._handle is not None else TaskState.SUBMITTED

    @property
    def is_done(self) -> bool:
        """Ended, refused or given up: `result()` answers at once."""
        return self._error is not None or (self._handle is not None and self._handle.is_done)

    def accepted(self) -> None:
        """Wait until the task is durable. Raises the refusal, or MeshUnreachable when nobody answered."""
        self._background.run(self._accepted())

    def result(self, timeout: float | None = None) -> object:
        """The task's value; raises TaskFailed, TaskTimedOut or TaskCancelled when it ended without one."""
        if self._handle is not None and self._handle.ended is not None:
            return value_of(self._handle.ended)
        return self._background.run(self._result(timeout))

    def progress(self) -> Iterator[Progress]:
        """`for step in handle.progress()`: what the running task says of itself, until it has ended."""
        return stepped(self._background, self._progress())

    def stream(self) -> Iterator[object]:
        """`for item in handle.stream()`: what the task yields, as it does, each item once and in order.

        Raises as `result()` where the task fails, and StreamRestarted where another attempt begins anew.
        """
        items = stepped(self._background, unbroken(self.id, self._items(NOTHING_BEFORE)))
        return (item.value for item in items)

    def items(self, after: tuple[int, int] = NOTHING_BEFORE) -> Iterator[StreamItem]:
        """The same with attempt and number; a higher attempt, or number 0 again, begins anew."""
        return stepped(self._background, self._items(after))

    def __repr__(self) -> str:
        return f"<task {self.id} {self.state}>"

    def settle(self, handle: TaskHandle | None, error: OhmeshError | None = None) -> None:
        """Called in the loop, once: the client has taken it, or never will."""
        self._handle, self._error = handle, error
        if self._arrived is not None:
            self._arrived.set()

    async def _accepted(self) -> None:
        handle = await self._taken()
        await handle.accepted()

    async def _result(self, timeout: float | None) -> object:
        handle = await self._taken()
        return await handle.result(timeout)

    async def _progress(self) -> AsyncGenerator[Progress]:
        handle = await self._taken()
        async for step in handle.progress():
            yield step

    async def _items(self, after: tuple[int, int]) -> AsyncGenerator[StreamItem]:
        handle = await self._taken()
        async with aclosing(handle.items(after)) as items:
            async for item in items:
                yield item

    async def _taken(self) -> TaskHandle:
        if self._handle is None and self._error is None:
            self._arrived = self._arrived or asyncio.Event()
            await self._arrived.wait()
        if self._error is not None:
            raise self._error.with_traceback(None)
        assert self._handle is not None, "what has arrived has a handle or an error"
        return self._handle


class Inbox:
    """Tasks on their way from any thread into the loop, in order; the loop takes them while there is room."""

    def __init__(self, background: BackgroundLoop, mesh: AsyncMesh) -> None:
        self._background = background
        self._client = mesh.client
        self._waiting: deque[tuple[TaskRequest, Handle]] = deque()
        self._is_awake = False
        self._task: asyncio.Task[None] | None = None
        self._lock = threading.Lock()
        self._ids = IdSource(lambda: time.time_ns() // 1_000_000, secrets.randbits)

    def put(self, request: TaskRequest) -> Handle:
        """Raises Backpressure when too many wait already."""
        if len(self._waiting) >= INBOX_TASKS:
            raise Backpressure(
                f"{INBOX_TASKS:,} tasks of this program wait to be sent.",
                retry_after_ms=INBOX_RETRY_MS,
                hint="Use `submit`, which waits, or wait for some of the handles.",
            )
        if request.key:
            task_id = id_of_key(self._client.mesh, request.kind, request.key)
        else:
            with self._lock:
                task_id = self._ids.next()
        handle = Handle(self._background, task_id)
        self._waiting.append((request, handle))
        if not self._is_awake:
            self._is_awake = True
            self._background.call_soon(self._wake)
        return handle

    async def drain(self) -> None:
        """Wait until what was put is taken."""
        while self._task is not None and not self._task.done():
            await asyncio.wait([self._task])

    def _wake(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._take_all(), name="mesh-inbox")

    async def _take_all(self) -> None:
        while True:
            for _ in range(INBOX_BURST_TASKS):
                if not self._waiting:
                    break
                request, handle = self._waiting.popleft()
                try:
                    handle.settle(await self._client.enqueue(request, task_id=handle.id))
                except OhmeshError as error:
                    handle.settle(None, error)
            if not self._waiting:
                # Another thread may put one between the look and the flag: it wakes us then, or we see it here.
                self._is_awake = False
                if not self._waiting:
                    return
                self._is_awake = True
            await asyncio.sleep(0)


class Mesh(FleetMirror, ConflictMirror, MirroredStateVerbs):
    """A mesh, as ordinary code uses it, from any thread. Durations are seconds; see AsyncMesh for errors.

    mesh: the AsyncMesh that does it all; background: the loop that it lives in.
    """

    def __init__(self, opening: Opening) -> None:
        self.background = BackgroundLoop()
        self._is_closed = False
        try:
            self.mesh = self.background.run(opening.open())
        except BaseException:
            self.background.stop()
            raise
        self._inbox = Inbox(self.background, self.mesh)
        atexit.register(self._close_at_exit)

    @classmethod
    def connect(
        cls, url: str = "", *, context: str = "", mesh: str = "", seed_file: str = "", data: str = ""
    ) -> Self:
        """Join a mesh that runs, as the command line would: the one at `url` or in `data`, else that of `context`, of
        the environment, of ohmesh.toml or of the current context, else the one that `ohmesh up` started here."""
        return cls(AsyncMesh.connect(url, context=context, mesh=mesh, seed_file=seed_file, data=data))

    @classmethod
    def local(cls, agents: Iterable[Agent] = (), *, data: str = "", workers: int = 1) -> Self:
        """Start a mesh for this program, with worker processes that run `agents`; it ends when it is closed.

        Without `data` it leaves nothing behind. A script that calls this needs `if __name__ == "__main__":`.
        """
        return cls(AsyncMesh.local(agents, data=data, workers=workers))

    def close(self) -> None:
        """Wait a little for what is unanswered, then leave. MeshUnreachable names what nobody acknowledged."""
        if self._is_closed:
            return
        self._is_closed = True
        atexit.unregister(self._close_at_exit)
        try:
            self.background.run(self._close())
        finally:
            self.background.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except OhmeshError:
            if error is None:  # else the first error is the one to hear of; the client has logged this one
                raise

    @property
    def estimators(self) -> dict[str, Estimator]:
        """What tags a task small or large, by kind; see AsyncMesh.estimators."""
        return self.mesh.estimators

    prepare = _encoding_here(AsyncMesh.prepare)

    @takes_task(prepare)
    def submit(self, request: TaskRequest) -> Handle:
        """Submit one task; returns once it is durable. Waits while the mesh is full or its dispatcher is replaced."""
        handle = self.background.run(self.mesh.client.submit(request))
        return Handle(self.background, handle.id, handle)

    @takes_task(prepare)
    def submit_nowait(self, request: TaskRequest) -> Handle:
        """Submit one task without waiting: `handle.accepted()` says when it is durable. Raises Backpressure."""
        return self._inbox.put(request)

    call = mirrored(AsyncMesh.call)
    call_within = mirrored(AsyncMesh.call_within)
    map = _mapped(AsyncMesh.map)
    submit_many = mirrored(AsyncMesh.submit_many)
    result = mirrored(AsyncMesh.result)
    get = mirrored(AsyncMesh.get)
    cancel = mirrored(AsyncMesh.cancel)
    tasks = mirrored(AsyncMesh.tasks)
    retry = mirrored(AsyncMesh.retry)
    queues = mirrored(AsyncMesh.queues)
    pause = mirrored(AsyncMesh.pause)
    resume = mirrored(AsyncMesh.resume)
    limit = mirrored(AsyncMesh.limit)
    locks = mirrored(AsyncMesh.locks)
    release_lock = mirrored(AsyncMesh.release_lock)

    def lock(self, name: str, *, ttl: float = 10.0, wait: float | None = None) -> Lock:
        """`with mesh.lock("name") as lock`, `async with` in async code: one holder at a time in the whole mesh.

        First come, first served. It is renewed in the background and free again within `ttl` seconds of its holder's
        death. `lock.token` is higher than that of every holder before; LockLost where the lock could not be renewed in
        time. wait: LockTimeout after so many seconds; None: wait for ever.
        """
        return Lock(self.background, self.mesh.client, name, ttl=ttl, wait=wait)

    purge = mirrored(AsyncMesh.purge)
    dead_letters = mirrored(AsyncMesh.dead_letters)
    replay = mirrored(AsyncMesh.replay)
    edit_dead_letter = mirrored(AsyncMesh.edit_dead_letter)
    purge_dead_letters = mirrored(AsyncMesh.purge_dead_letters)
    history = mirrored(AsyncMesh.history)
    history_events = mirrored(AsyncMesh.history_events)
    workers = mirrored(AsyncMesh.workers)
    status = mirrored(AsyncMesh.status)
    wait = mirrored(AsyncMesh.wait)
    dead_letter_details = mirrored(AsyncMesh.dead_letter_details)
    agents = mirrored(AsyncMesh.agents)
    explain = mirrored(AsyncMesh.explain)
    add_schedule = mirrored(AsyncMesh.add_schedule)
    schedules = mirrored(AsyncMesh.schedules)
    schedule = mirrored(AsyncMesh.schedule)
    remove_schedule = mirrored(AsyncMesh.remove_schedule)
    pause_schedule = mirrored(AsyncMesh.pause_schedule)
    resume_schedule = mirrored(AsyncMesh.resume_schedule)
    run_schedule = mirrored(AsyncMesh.run_schedule)
    webhooks = mirrored(AsyncMesh.webhooks)
    add_webhook = mirrored(AsyncMesh.add_webhook)
    webhook = mirrored(AsyncMesh.webhook)
    test_webhook = mirrored(AsyncMesh.test_webhook)
    pause_webhook = mirrored(AsyncMesh.pause_webhook)
    resume_webhook = mirrored(AsyncMesh.resume_webhook)
    rotate_webhook = mirrored(AsyncMesh.rotate_webhook)
    remove_webhook = mirrored(AsyncMesh.remove_webhook)

    def events(self, *, after: str = "", filter: str = "") -> Iterator[Event]:  # noqa: A002 - the word of every door
        """What happens in the mesh, for ever: from now on, from "start", or behind the cursor of an event.

        filter: a selector, such as "type=task.* and kind=text". Where the logs do not reach back to the cursor, an
        event shard.gap says so.
        """
        return stepped(self.background, self.mesh.events(after=after, filter=filter))

    def progress(self, task_id: str) -> Iterator[Progress]:
        """What any running task says of itself, by its id, until it has ended."""
        return stepped(self.background, self.mesh.progress(task_id))

    def stream(self, task_id: str) -> Iterator[object]:
        """What any task yields, by its id, from its first item on; see `stream` of its handle."""
        items = stepped(self.background, unbroken(task_id, self.mesh.items(task_id)))
        return (item.value for item in items)

    def items(self, task_id: str, after: tuple[int, int] = NOTHING_BEFORE) -> Iterator[StreamItem]:
        """The same with attempt and number; a higher attempt, or number 0 again, begins anew."""
        return stepped(self.background, self.mesh.items(task_id, after))

    async def _close(self) -> None:
        await self._inbox.drain()
        await self.mesh.close()

    def _close_at_exit(self) -> None:
        """The program ends without having closed: what is on its way still gets its grace."""
        try:
            self.close()
        except OhmeshError as error:
            _logger.warning("%s", error)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.mesh.client.mesh!r}>"
