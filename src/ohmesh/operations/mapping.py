"""The verb `map`: one task for each of many items, their outcomes in the order of the items.

Items go out in chunks that grow: the first ones alone, so that every agent has something at once, then many in one
envelope (model.envelope). However many items there are, at most IN_FLIGHT of them are between their submission and the
reading of their outcome. An item that fails, is refused or does not end in time has an outcome that says so; it never
hides another.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Generator, Iterable, Iterator
from itertools import islice
from typing import Any

from msgspec import Struct

from ohmesh.errors import TaskFailed
from ohmesh.model.task import TaskState
from ohmesh.operations import arguments as a
from ohmesh.operations.chunks import Ahead, ChunkedWork
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
                f"{len(self) - self.succeeded} of {len(self)} items have no value; the first: {worst}.",
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
    """Many tasks on their way. `async for outcome in it` gives the outcomes in the order of the items as they come,
    `as_completed()` as they end, `await it` all of them. Each of the three hands the items in anew."""

    def __init__(self, items: Iterable[object] | AsyncIterable[object], work: ChunkedWork) -> None:
        self.items = items
        self.work = work

    def __await__(self) -> Generator[object, None, MappedTasks]:
        return self.result().__await__()

    async def result(self) -> MappedTasks:
        outcomes: list[TaskOutcome] = []
        async for begun in self._in_order():
            outcomes += [one if isinstance(one, TaskOutcome) else await one for one in begun]
        return counted(outcomes)

    async def __aiter__(self) -> AsyncIterator[TaskOutcome]:
        async for begun in self._in_order():
            for one in begun:
                yield one if isinstance(one, TaskOutcome) else await one

    async def _in_order(self) -> AsyncIterator[list[TaskOutcome | asyncio.Task[TaskOutcome]]]:
        """Of each chunk in turn the outcomes, some of which may still be on their way."""
        waiting: deque[tuple[int, asyncio.Task[list[Ahead]]]] = deque()
        begun: list[TaskOutcome | asyncio.Task[TaskOutcome]] = []
        in_flight = 0
        try:
            async for chunk in _chunks(self.items, self.work.largest):
                waiting.append((len(chunk), asyncio.create_task(self.work(chunk))))
                in_flight += len(chunk)
                while waiting and (waiting[0][1].done() or in_flight >= IN_FLIGHT):
                    begun = [_begun(ahead) for ahead in await waiting[0][1]]
                    yield begun
                    in_flight -= waiting.popleft()[0]
            while waiting:
                begun = [_begun(ahead) for ahead in await waiting[0][1]]
                yield begun
                waiting.popleft()
        finally:
            await _abandon([*(task for _, task in waiting), *begun])

    async def as_completed(self) -> AsyncIterator[tuple[int, TaskOutcome]]:
        """(place of the item, counted from 0; its outcome), in the order of their ends."""
        ended: asyncio.Queue[asyncio.Task[Any]] = asyncio.Queue()
        chunks: dict[asyncio.Task[list[Ahead]], int] = {}
        single: dict[asyncio.Task[TaskOutcome], int] = {}
        in_flight = place = 0
        try:
            async for chunk in _chunks(self.items, self.work.largest):
                task = asyncio.create_task(self.work(chunk))
                chunks[task] = place
                task.add_done_callback(ended.put_nowait)
                place += len(chunk)
                in_flight += len(chunk)
                while not ended.empty() or in_flight >= IN_FLIGHT:
                    for found in _ended(await ended.get(), chunks, single, ended):
                        in_flight -= 1
                        yield found
            while chunks or single:
                for found in _ended(await ended.get(), chunks, single, ended):
                    yield found
        finally:
            await _abandon([*chunks, *single])


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


def _begun(ahead: Ahead) -> TaskOutcome | asyncio.Task[TaskOutcome]:
    return ahead if isinstance(ahead, TaskOutcome) else asyncio.create_task(ahead())


def _ended(
    task: asyncio.Task[Any],
    chunks: dict[asyncio.Task[list[Ahead]], int],
    single: dict[asyncio.Task[TaskOutcome], int],
    ended: asyncio.Queue[asyncio.Task[Any]],
) -> list[tuple[int, TaskOutcome]]:
    """What is known by the end of this task; what is still ahead is begun, and will come through `ended`."""
    if task in single:
        return [(single.pop(task), task.result())]
    found: list[tuple[int, TaskOutcome]] = []
    for place, ahead in enumerate(task.result(), chunks.pop(task)):
        one = _begun(ahead)
        if isinstance(one, TaskOutcome):
            found.append((place, one))
        else:
            single[one] = place
            one.add_done_callback(ended.put_nowait)
    return found


async def _abandon(tasks: Iterable[object]) -> None:
    """Nobody reads on: stop waiting. What is submitted goes on in the mesh."""
    left = [task for task in tasks if isinstance(task, asyncio.Task)]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
