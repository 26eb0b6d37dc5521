"""The handle of one task: what its submitter knows of it, without asking.

    unanswered --Accepted--> accepted --Finished--> ended
        |--Refused--> refused        `--Watch: unknown--> failed with UnknownTask
        `--given up--> unreachable

Invariants: a handle leaves `unanswered` exactly once; futures exist only while somebody waits, one for each waiter, so
that a waiter that is cancelled disturbs nobody and leaves nothing behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from enum import Enum
from typing import NoReturn, Protocol
from weakref import WeakValueDictionary

from ohmesh.errors import MeshUnreachable, OhmeshError, ResultTimeout
from ohmesh.model.message import Progress
from ohmesh.model.task import Submission, TaskResult, TaskState
from ohmesh.roles.client_payload import value_of
from ohmesh.roles.client_stream import NOTHING_BEFORE, StreamItem, unbroken, values_of


class Standing(Enum):
    UNANSWERED = "unanswered"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"


class Lookout(Protocol):
    """Who sees to it that the end of an awaited task is heard of."""

    def await_end(self, handle: TaskHandle) -> None: ...

    def leave(self, handle: TaskHandle) -> None: ...

    def progress_of(self, handle: TaskHandle) -> AsyncGenerator[Progress]: ...

    def items_of(self, handle: TaskHandle, after: tuple[int, int]) -> AsyncGenerator[StreamItem]: ...


class TaskHandle:
    """`id`, `state`, `await accepted()`, `await result()`. The other attributes belong to the client that made it.

    is_joined: a task of the same unique key was there, and `id` is that one's since this one was accepted.
    existed: its key had been submitted before, and what was said then counts. is_unserved: no worker ran its kind when
    it was accepted.
    followers: handles of this client that joined the task of this one; they end with it.
    submission: what to send again while it is unanswered; a handle that begins without one watches a task of others.
    holders: callers that would be told of its acceptance; without any an unanswered submission is withdrawn.
    """

    __slots__ = (
        "__weakref__",
        "_accepted_waiters",
        "_end_waiters",
        "_lookout",
        "deadline_ms",
        "ended",
        "error",
        "existed",
        "followers",
        "holders",
        "id",
        "is_joined",
        "is_queued",
        "is_unserved",
        "retry_ms",
        "shard",
        "size_bytes",
        "standing",
        "submission",
        "tries",
        "watch_ms",
    )

    def __init__(
        self,
        lookout: Lookout,
        task_id: str,
        shard: int,
        *,
        submission: Submission | None,
        size_bytes: int = 0,
    ) -> None:
        self.id = task_id
        self.submission = submission
        self.shard = shard
        self.size_bytes = size_bytes
        self.standing = Standing.ACCEPTED if submission is None else Standing.UNANSWERED
        self.ended: TaskResult | None = None
        self.error: OhmeshError | None = None
        self.followers: WeakValueDictionary[int, TaskHandle] | None = None
        self.holders = 0
        self.is_joined = self.existed = self.is_unserved = False
        self.is_queued = False
        self.tries = 0
        self.retry_ms = 0
        self.deadline_ms = 0
        self.watch_ms = 0
        self._lookout = lookout
        self._accepted_waiters: list[asyncio.Future[None]] | None = None
        self._end_waiters: list[asyncio.Future[None]] | None = None

    @property
    def state(self) -> TaskState:
        """As far as this client has heard: `submitted` until it is durable, `queued` until it has ended."""
        if self.ended is not None:
            return self.ended.state
        return TaskState.QUEUED if self.standing is Standing.ACCEPTED else TaskState.SUBMITTED

    @property
    def is_done(self) -> bool:
        """Ended, refused or given up: `result()` answers at once."""
        return self.ended is not None or self.error is not None

    async def accepted(self) -> None:
        """Wait until the task is durable. Raises the refusal, or MeshUnreachable when nobody answered."""
        if self.standing is Standing.UNANSWERED:
            waiters = self._accepted_waiters = self._accepted_waiters or []
            await _wait(waiters)
        if self.standing is not Standing.ACCEPTED:
            self._raise()

    async def end(self, timeout: float | None = None) -> TaskResult:
        """Wait until the task has ended, however it did. ResultTimeout after `timeout` seconds; the task goes on."""
        if not self.is_done:
            await self._wait_for_end(timeout)
        if self.ended is None:
            self._raise()
        return self.ended

    async def result(self, timeout: float | None = None) -> object:
        """The task's value; raises TaskFailed, TaskTimedOut or TaskCancelled when it ended without one."""
        return value_of(await self.end(timeout))

    def progress(self) -> AsyncGenerator[Progress]:
        """`async for step in handle.progress()`: what the running task says of itself, until it has ended.

        The latest step whenever there is a new one, so a slow reader skips some; a later `step.attempt` begins anew.
        However the task ends, the loop ends; `result()` says how.
        """
        return self._lookout.progress_of(self)

    def stream(self) -> AsyncGenerator[object]:
        """`async for item in handle.stream()`: what the task yields, as it does, each item once and in order.

        However late it begins, it begins with the first item. Raises as `result()` where the task fails, and
        StreamRestarted where another attempt begins anew; `items()` tells attempts and goes on.
        """
        return values_of(unbroken(self.id, self.items()))

    def items(self, after: tuple[int, int] = NOTHING_BEFORE) -> AsyncGenerator[StreamItem]:
        """The same with attempt and number; a higher attempt, or number 0 again, begins anew.

        after: attempt and number of the last item that the caller has already.
        """
        return self._lookout.items_of(self, after)

    def __repr__(self) -> str:
        return f"<task {self.id} {self.state}>"

    # What its client does to it. Each returns whether it changed something.

    def accept(self, watch_ms: int) -> bool:
        """It is durable; from `watch_ms` on its end is asked for when somebody awaits it."""
        self.watch_ms = watch_ms
        return self._answer(Standing.ACCEPTED)

    def join(self, task_id: str, leader: TaskHandle | None) -> None:
        """It speaks of that task from now on, and ends with `leader` where another handle of ours does so already."""
        self.id, self.is_joined = task_id, True
        if leader is not None:
            leader.followers = WeakValueDictionary() if leader.followers is None else leader.followers
            leader.followers[id(self)] = self

    def refuse(self, error: OhmeshError) -> bool:
        return self._answer(Standing.REFUSED, error)

    def give_up(self, error: MeshUnreachable) -> bool:
        return self._answer(Standing.UNREACHABLE, error)

    def finish(self, result: TaskResult) -> bool:
        if self.is_done:
            return False
        self.ended = result
        self._release_end()
        for follower in list((self.followers or {}).values()):
            follower.finish(result)
        return True

    def fail(self, error: OhmeshError) -> bool:
        """Its end will not be heard of: it is unknown, or the client is closed."""
        if self.is_done:
            return False
        self.error = error
        self._release_end()
        for follower in list((self.followers or {}).values()):
            follower.fail(error)
        return True

    def _answer(self, standing: Standing, error: OhmeshError | None = None) -> bool:
        if self.standing is not Standing.UNANSWERED:
            return False
        self.standing = standing
        self.submission = None
        waiters, self._accepted_waiters = self._accepted_waiters, None
        if waiters is not None:
            _release(waiters)
        if error is not None:
            self.fail(error)
        return True

    def _release_end(self) -> None:
        waiters, self._end_waiters = self._end_waiters, None
        if waiters is not None:
            self._lookout.leave(self)
            _release(waiters)

    async def _wait_for_end(self, timeout: float | None) -> None:
        waiters = self._end_waiters
        if waiters is None:
            self._lookout.await_end(self)
            waiters = self._end_waiters = []
        try:
            if timeout is None:
                await _wait(waiters)
            else:
                async with asyncio.timeout(timeout):
                    await _wait(waiters)
        except TimeoutError:
            unserved = "; no worker ran its kind when it was submitted" if self.is_unserved else ""
            raise ResultTimeout(
                f"Task {self.id} has not ended after {timeout:g} s; the last that was heard is {self.state}{unserved}.",
                task_id=self.id,
                hint="It goes on; ask again later with the same id.",
            ) from None
        finally:
            if self._end_waiters is waiters and not waiters:
                self._end_waiters = None
                self._lookout.leave(self)

    def _raise(self) -> NoReturn:
        assert self.error is not None, "a handle without an end carries the reason"
        raise self.error.with_traceback(None)


async def _wait(waiters: list[asyncio.Future[None]]) -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiters.append(future)
    try:
        await future
    finally:
        if not future.done() or future.cancelled():
            waiters.remove(future)


def _release(waiters: list[asyncio.Future[None]]) -> None:
    for future in waiters:
        if not future.done():
            future.set_result(None)
