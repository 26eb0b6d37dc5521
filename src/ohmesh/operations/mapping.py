"""The verb `map`: one task for each of many items, their outcomes in the order of the items.

However many items there are, at most IN_FLIGHT of them are between their submission and the reading of their outcome.
An item that fails, is refused or does not end in time has an outcome that says so; it never hides another.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Generator, Iterable, Iterator
from typing import Any

from msgspec import Struct

from ohmesh.errors import OhmeshError, ResultTimeout, TaskFailed
from ohmesh.model.task import TaskState
from ohmesh.operations import arguments as a
from ohmesh.operations.results import Failure, TaskOutcome
from ohmesh.operations.tasks import outcome_of, request_of
from ohmesh.roles.client import Client, TaskRequest

IN_FLIGHT = 2_000
_SHARED = ("kind", "priority", "timeout_s", "retries", "delay_s", "requires")

Work = Callable[[object], Coroutine[Any, Any, TaskOutcome]]
"""Hands in the task of one item and waits for its end."""


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

    def __init__(self, items: Iterable[object] | AsyncIterable[object], work: Work) -> None:
        self.items = items
        self.work = work

    def __await__(self) -> Generator[object, None, MappedTasks]:
        return self.result().__await__()

    async def result(self) -> MappedTasks:
        return counted([outcome async for outcome in self])

    async def __aiter__(self) -> AsyncIterator[TaskOutcome]:
        waiting: deque[asyncio.Task[TaskOutcome]] = deque()
        try:
            async for item in _each(self.items):
                waiting.append(asyncio.create_task(self.work(item)))
                while waiting and (waiting[0].done() or len(waiting) >= IN_FLIGHT):
                    yield await waiting[0]
                    waiting.popleft()
            while waiting:
                yield await waiting[0]
                waiting.popleft()
        finally:
            await _abandon(waiting)

    async def as_completed(self) -> AsyncIterator[tuple[int, TaskOutcome]]:
        """(place of the item, counted from 0; its outcome), in the order of their ends."""
        ended: asyncio.Queue[asyncio.Task[TaskOutcome]] = asyncio.Queue()
        places: dict[asyncio.Task[TaskOutcome], int] = {}
        place = 0
        try:
            async for item in _each(self.items):
                task = asyncio.create_task(self.work(item))
                places[task] = place
                task.add_done_callback(ended.put_nowait)
                place += 1
                while not ended.empty() or len(places) >= IN_FLIGHT:
                    task = await ended.get()
                    yield places.pop(task), task.result()
            while places:
                task = await ended.get()
                yield places.pop(task), task.result()
        finally:
            await _abandon(places)


async def map_tasks(client: Client, arguments: a.MapTasks) -> MappedTasks:
    """Every item has an outcome. With `wait_s` 0 they are receipts, `queued` and with their ids."""
    shared = {name: getattr(arguments, name) for name in _SHARED}

    def work(item: object) -> Coroutine[Any, Any, TaskOutcome]:
        submission = a.Submit(arguments=[item], **shared)
        return outcome_of_item(client, lambda: request_of(client, submission), arguments.wait_s)

    return await AsyncMap(arguments.items, work).result()


async def outcome_of_item(
    client: Client, prepare: Callable[[], TaskRequest], wait_s: float | None
) -> TaskOutcome:
    """Submit, and wait for the end so long (None: however long it takes). What goes wrong is its outcome."""
    try:
        handle = await client.submit(prepare())
    except OhmeshError as error:
        return TaskOutcome("", TaskState.SUBMITTED, failure=Failure(error.code, error.message))
    if wait_s == 0:
        return TaskOutcome(handle.id, TaskState.QUEUED)
    try:
        return outcome_of(await handle.end(wait_s))
    except ResultTimeout:
        return TaskOutcome(handle.id, handle.state)
    except OhmeshError as error:
        return TaskOutcome(handle.id, handle.state, failure=Failure(error.code, error.message))


def counted(outcomes: list[TaskOutcome]) -> MappedTasks:
    succeeded = sum(one.state is TaskState.SUCCEEDED for one in outcomes)
    unfinished = sum(not one.is_final and one.failure is None for one in outcomes)
    return MappedTasks(outcomes, succeeded, len(outcomes) - succeeded - unfinished, unfinished)


async def _each(items: Iterable[object] | AsyncIterable[object]) -> AsyncIterator[object]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
        return
    for item in items:
        yield item


async def _abandon(tasks: Iterable[asyncio.Task[TaskOutcome]]) -> None:
    """Nobody reads on: stop waiting. What is submitted goes on in the mesh."""
    left = list(tasks)
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
