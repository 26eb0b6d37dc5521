"""The verb `map`: one task for each of many items, their outcomes in the order of the items.

Items go out in chunks that grow: the first ones alone, so that every agent has something at once, then many in one
envelope (model.envelope). However many items there are, at most IN_FLIGHT of them are between their submission and the
reading of their outcome. An item that fails, is refused or does not end in time has an outcome that says so; it never
hides another.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Coroutine, Generator, Iterable, Iterator
from contextlib import suppress
from itertools import count, islice
from typing import Any
from weakref import finalize

from msgspec import Struct

from ohmesh.errors import TaskFailed
from ohmesh.model.task import TaskState
from ohmesh.operations import arguments as a
from ohmesh.operations.chunks import ChunkedWork
from ohmesh.operations.gathering import Found, Gathered
from ohmesh.operations.results import TaskOutcome
from ohmesh.operations.tasks import request_of
from ohmesh.roles.client import Client, TaskRequest

IN_FLIGHT = 20_000
ALONE = 32
LARGEST_CHUNK = 256
_CHUNKS_OF_A_SIZE = 4
_SHARED = ("kind", "priority", "timeout_s", "retries", "delay_s", "requires")


class MappedTasks(Struct, frozen=True):
    """`outcomes` in the order of the items. Those that are counted as `unfinished` have not ended (yet); one that was
    refused has failed, and has no id."""

    outcomes: list[TaskOutcome]
    succeeded: int = 0
    failed: int = 0
    unfinished: int = 0

    @property
    def values(self) -> list[object]:
        """The values in the order of the items. Raises TaskFailed where not every item has one."""
        if self.succeeded < len(self.outcomes):
            worst = next(one for one in self.outcomes if one.state is not TaskState.SUCCEEDED)
            raise TaskFailed(
                f"{len(self) - self.succeeded} of {len(self)} items have no value; the first: "
                f"{str(worst).rstrip('.')}.",
                task_id=worst.task_id,
                hint="Look at `outcomes`, which has one for each item.",
            )
        return [one.value for one in self.outcomes]

    def __iter__(self) -> Iterator[TaskOutcome]:
        return iter(self.outcomes)

    def __len__(self) -> int:
        return len(self.outcomes)

    def __str__(self) -> str:
        return f"{self.succeeded} succeeded, {self.failed} failed, {self.unfinished} unfinished"


class AsyncMap:
    """Many tasks, submitted once, from the first reading on. `async for outcome in it` gives the outcomes in the order
    of the items as they come, `as_completed()` as they end, `await it` all of them. A second reading gives the same
    outcomes, or goes on where the first one left (of items from an iterator it raises UsageError; see `gathering`).
    """

    def __init__(self, items: Iterable[object] | AsyncIterable[object], work: ChunkedWork) -> None:
        self.items = items
        self.work = work
        self._gathered = Gathered(items)
        self._source = _chunks(items, work.largest)
        self._is_drawn = False
        self._driving = asyncio.Lock()
        self._ended: asyncio.Queue[asyncio.Task[Any]] = asyncio.Queue()
        self._ahead: dict[asyncio.Task[Any], int] = {}

    def __await__(self) -> Generator[object, None, MappedTasks]:
        return self.result().__await__()

    async def result(self) -> MappedTasks:
        gathered = self._gathered
        gathered.begin(keep=True)
        while await self._more(gathered.seen):
            gathered.read = gathered.seen
        return counted(list(gathered.all()))

    async def __aiter__(self) -> AsyncIterator[TaskOutcome]:
        gathered = self._gathered
        gathered.begin(by_place=True)
        for place in count():
            while not gathered.has(place):
                if not await self._more(gathered.seen):
                    return
            yield gathered.at(place)

    async def as_completed(self) -> AsyncIterator[tuple[int, TaskOutcome]]:
        """(place of the item, counted from 0; its outcome), in the order of their ends."""
        gathered = self._gathered
        gathered.begin()
        for number in count():
            while number >= gathered.seen:
                if not await self._more(gathered.seen):
                    return
            yield gathered.end(number)

    async def _more(self, seen: int) -> bool:
        """Wait until more than `seen` outcomes have come; False where there are no more."""
        gathered = self._gathered
        async with self._driving:
            while gathered.seen == seen:
                await self._hand_in()
                if not self._ahead:
                    return False
                ended = [await self._ended.get()]
                while not self._ended.empty():
                    ended.append(self._ended.get_nowait())
                for task in ended:
                    gathered.add(self._found(task))
        return True

    async def _hand_in(self) -> None:
        """Draw items while there is nothing to read, as many as may be on their way."""
        gathered = self._gathered
        gathered.check()
        while not self._is_drawn and self._ended.empty() and gathered.submitted - gathered.read < IN_FLIGHT:
            with gathered.watched():
                chunk = await anext(self._source, None)
            if chunk is None:
                self._is_drawn = True
                return
            if not gathered.submitted:
                finalize(self, _abandon, asyncio.get_running_loop(), self._ahead).atexit = False
            self._begin(self.work(chunk), gathered.submitted)
            gathered.submitted += len(chunk)

    def _begin(self, work: Coroutine[Any, Any, Any], place: int) -> None:
        task = asyncio.create_task(work)
        self._ahead[task] = place
        task.add_done_callback(self._ended.put_nowait)

    def _found(self, task: asyncio.Task[Any]) -> list[Found]:
        """What is known by the end of this task; what is still ahead is begun, and will come through `_ended`."""
        place = self._ahead.pop(task)
        with self._gathered.watched():
            outcome = task.result()
        if isinstance(outcome, TaskOutcome):
            return [(place, outcome)]
        found: list[Found] = []
        for at, ahead in enumerate(outcome, place):
            if isinstance(ahead, TaskOutcome):
                found.append((at, ahead))
            else:
                self._begin(ahead(), at)
        return found


async def map_tasks(client: Client, arguments: a.MapTasks) -> MappedTasks:
    """Every item has an outcome. With `wait_s` 0 they are receipts, `queued` and with their ids."""
    shared = {name: getattr(arguments, name) for name in _SHARED}

    def prepare(item: object) -> TaskRequest:
        return request_of(client, a.Submit(arguments=[item], **shared))

    work = ChunkedWork(client, arguments.kind, prepare, arguments.wait_s, largest=LARGEST_CHUNK)
    return await AsyncMap(arguments.items, work).result()


def counted(outcomes: list[TaskOutcome]) -> MappedTasks:
    without = [one for one in outcomes if one.state is not TaskState.SUCCEEDED]
    succeeded = len(outcomes) - len(without)
    unfinished = sum(not one.is_final and one.failure is None for one in without)
    return MappedTasks(outcomes, succeeded, len(outcomes) - succeeded - unfinished, unfinished)


def chunks(items: Iterable[object], largest: int) -> Iterator[list[object]]:
    """Single items first, then more and more together."""
    rest = iter(items)
    for sizes in _sizes(min(largest, IN_FLIGHT)):
        chunk = list(islice(rest, sizes))
        if not chunk:
            return
        yield chunk


def _sizes(largest: int) -> Iterator[int]:
    for _ in range(ALONE):
        yield 1
    size = 2
    while size < largest:
        for _ in range(_CHUNKS_OF_A_SIZE):
            yield size
        size *= 2
    while True:
        yield largest


async def _chunks(
    items: Iterable[object] | AsyncIterable[object], largest: int
) -> AsyncIterator[list[object]]:
    """What comes over time goes out as it comes."""
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield [item]
        return
    for chunk in chunks(items, largest):
        yield chunk


def _abandon(loop: asyncio.AbstractEventLoop, ahead: dict[asyncio.Task[Any], int]) -> None:
    """Nobody can read on: stop waiting. What is submitted goes on in the mesh."""
    with suppress(RuntimeError):  # the loop is closed, and what it did has ended with it
        loop.call_soon_threadsafe(_cancel, list(ahead))


def _cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
