"""What a streaming task yields, as somebody reads it: each item once and in order, until the task has ended.

A reader that comes late, or misses some, asks the host for them (it is the sender of the frames that come, or the host
that the dispatcher names); what the host has not any more is filled from the task's value. See protocols.stream.order.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import aclosing, suppress
from typing import Any

import msgspec
from msgspec import Struct

from ohmesh.errors import EngineUnavailable, InvalidArgument, OhmeshError, StreamGap, StreamRestarted
from ohmesh.model.frame import decode_stream_items, encode_frame
from ohmesh.model.message import ListTasks, SendItems
from ohmesh.model.subject import Subjects
from ohmesh.model.task import TaskResult, TaskState
from ohmesh.ports.bus import Bus, Message
from ohmesh.protocols.stream.order import ItemOrder, Ready
from ohmesh.roles.client_payload import decode_value, value_of
from ohmesh.roles.client_requests import Requests

ASK_AGAIN_S = 0.5  # for items that are known to be missing
NOTHING_BEFORE = (0, -1)
IDLE_S = 10.0  # nothing was heard for so long: the last may have been lost
PATIENCE = 6  # so often items are asked for that nothing else can fill

_decode_list = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_decode_discarded = msgspec.msgpack.Decoder(dict[str, int]).decode

End = Callable[[], Coroutine[object, object, TaskResult]]


class StreamItem(Struct, frozen=True):
    """One item: `number` counts from 0 in each attempt, and a higher attempt, or 0 again, begins anew."""

    task_id: str
    attempt: int
    number: int
    value: Any = None


class StreamLine:
    """Where a client reads streams."""

    def __init__(self, bus: Bus, subjects: Subjects, requests: Requests, *, client: str) -> None:
        self._bus = bus
        self._subjects = subjects
        self._requests = requests
        self._client = client

    async def items(
        self, task_id: str, end: End, *, after: tuple[int, int] = NOTHING_BEFORE
    ) -> AsyncGenerator[StreamItem]:
        """Behind item `after` (attempt, number); raises what `end()` raises, and the error of a task that failed."""
        reader = _Reader(task_id, ItemOrder(after), self._ask)
        ending = asyncio.ensure_future(end())
        ending.add_done_callback(lambda _: reader.news.set())
        subscription = None
        try:
            subscription = await self._bus.subscribe(self._subjects.items(task_id), reader.receive)
            async with aclosing(reader.read(ending)) as readies:
                async for ready in readies:
                    yield StreamItem(task_id, ready.attempt, ready.number, decode_value(ready.value))
        finally:
            ending.cancel()
            reader.close()
            if subscription is not None:
                with suppress(EngineUnavailable):  # then there is nobody to tell
                    await subscription.unsubscribe()

    async def _ask(self, task_id: str, first: int, host: str) -> None:
        """Of `host`, or of the one that runs it; what comes back comes as items do."""
        with suppress(OhmeshError):  # it is asked again, and the end fills what can be filled
            if not host:
                page = await self._requests.list_tasks(ListTasks([task_id]))
                host = page.tasks[0].host if page.tasks and page.tasks[0].state is TaskState.RUNNING else ""
            if host:
                frame = encode_frame(self._client, 0, self._requests.now_ms(), [SendItems(task_id, first)])
                await self._bus.publish(self._subjects.streams(host), frame)


class _Reader:
    def __init__(
        self, task_id: str, order: ItemOrder, ask: Callable[[str, int, str], Coroutine[object, object, None]]
    ) -> None:
        self.news = asyncio.Event()
        self._task_id = task_id
        self._order = order
        self._ask_host = ask
        self._host = ""
        self._asking: asyncio.Future[None] | None = None
        self._missing = -1
        self._tries = 0
        self._ask_again_s = 0.0

    def receive(self, message: Message) -> None:
        try:
            frame = decode_stream_items(message.data)
        except InvalidArgument:
            return  # of no version that we know; the end fills it
        for items in frame.bodies:
            self._order.take(items)
        self._host = frame.sender
        self.news.set()

    async def read(self, ending: asyncio.Future[TaskResult]) -> AsyncGenerator[Ready]:
        order = self._order
        self._ask()
        while not ending.done():
            self.news.clear()
            while (ready := order.pop()) is not None:
                yield ready
            if ending.done():
                break
            if order.is_missing:
                self._miss()
                await self._heard_within(ASK_AGAIN_S)
            elif not await self._heard_within(IDLE_S):
                self._host = ""  # another one may run it now
                self._ask()
        async for ready in self._rest(ending.result()):
            yield ready

    def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()

    async def _rest(self, end: TaskResult) -> AsyncGenerator[Ready]:
        """What the end leaves to tell; raises the error of a task that ended without a value."""
        order = self._order
        while (ready := order.pop()) is not None:
            yield ready
        if end.state is not TaskState.SUCCEEDED:
            value_of(end)
        count = _discarded(end.value)
        if count is None:
            for ready in order.finish(_values(end.value), end.attempts):
                yield ready
            return
        order.is_kept = False
        while order.next < count:
            self.news.clear()
            self._miss()
            await self._heard_within(ASK_AGAIN_S)
            while (ready := order.pop()) is not None:
                yield ready

    async def _heard_within(self, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                await self.news.wait()
        except TimeoutError:
            return False
        return True

    def _miss(self) -> None:
        """Ask for the next item, now and then. Raises StreamGap where that was in vain and nothing else has it."""
        number, now_s = self._order.next, asyncio.get_running_loop().time()
        if number != self._missing:
            self._missing, self._tries, self._ask_again_s = number, 0, now_s
        if now_s < self._ask_again_s:
            return
        if self._tries >= PATIENCE and not self._order.is_kept:
            raise StreamGap(
                f"Item {number} of task {self._task_id} was lost on the way, and its handler keeps none.",
                task_id=self._task_id,
                hint='Read faster, or let the handler keep its items (without stream="discard").',
            )
        self._tries += 1
        self._ask_again_s = now_s + ASK_AGAIN_S
        self._ask()

    def _ask(self) -> None:
        if self._asking is None or self._asking.done():
            self._asking = asyncio.ensure_future(self._ask_host(self._task_id, self._order.next, self._host))


async def unbroken(task_id: str, items: AsyncGenerator[StreamItem]) -> AsyncGenerator[StreamItem]:
    """The same items. Raises StreamRestarted where those that were given are to be forgotten."""
    is_begun = False
    async with aclosing(items):
        async for item in items:
            if is_begun and item.number == 0:
                raise StreamRestarted(
                    f"Attempt {item.attempt} of task {task_id} yields from the beginning again.",
                    task_id=task_id,
                    hint="Forget the items so far and read again; `items()` tells attempts and goes on.",
                )
            is_begun = True
            yield item


async def values_of(items: AsyncGenerator[StreamItem]) -> AsyncGenerator[object]:
    async with aclosing(items):
        async for item in items:
            yield item.value


def items_of_end(end: TaskResult, after: tuple[int, int] = NOTHING_BEFORE) -> Iterator[StreamItem]:
    """All items of a task that ended, from its value. Raises the task's error, or StreamGap where it kept none."""
    if end.state is not TaskState.SUCCEEDED:
        value_of(end)
    if _discarded(end.value):
        raise StreamGap(
            f"The items of task {end.task_id} are gone; its handler keeps none.", task_id=end.task_id
        )
    values = [] if _discarded(end.value) is not None else _values(end.value)
    for ready in ItemOrder(after).finish(values, end.attempts):
        yield StreamItem(end.task_id, ready.attempt, ready.number, decode_value(ready.value))


def _values(value: bytes) -> list[bytes]:
    """Of a task that does not stream: its value as the only item, or those of the list that it is."""
    try:
        return [bytes(one) for one in _decode_list(value)]
    except msgspec.MsgspecError:
        return [value]


def _discarded(value: bytes) -> int | None:
    """How many items there were, of a task that keeps none."""
    try:
        decoded = _decode_discarded(value)
    except msgspec.MsgspecError:
        return None
    return decoded["discarded_items"] if list(decoded) == ["discarded_items"] else None
