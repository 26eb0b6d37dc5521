"""The verb `tasks stream`, which reads a stream to its end, and `items`, which goes on as it happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from msgspec import Struct

from ohmesh.errors import ResultTimeout, UnknownTask
from ohmesh.operations import arguments as a
from ohmesh.operations.past_ends import past_end
from ohmesh.roles.client import Client
from ohmesh.roles.client_stream import NOTHING_BEFORE, StreamItem, items_of_end

MAX_ITEMS = 10_000


class TaskStream(Struct, frozen=True):
    """The items of the latest attempt so far. `is_complete`: the task has ended and these are all."""

    task_id: str
    items: list[StreamItem]
    is_complete: bool


async def read_stream(client: Client, arguments: a.StreamTask) -> TaskStream:
    """Until its end, `wait_s` or so many items. Raises UnknownTask, and the task's error where it has no value."""
    found: list[StreamItem] = []
    with suppress(ResultTimeout):
        async with aclosing(items_within(client, arguments.task_id, arguments.wait_s)) as stream:
            async for item in stream:
                if item.number == 0:
                    found.clear()
                if len(found) == MAX_ITEMS:
                    return TaskStream(arguments.task_id, found, is_complete=False)
                found.append(item)
            return TaskStream(arguments.task_id, found, is_complete=True)
    return TaskStream(arguments.task_id, found, is_complete=False)


async def items_within(client: Client, task_id: str, wait_s: float | None) -> AsyncGenerator[StreamItem]:
    """As `items`, for so long at most; then ResultTimeout."""
    loop = asyncio.get_running_loop()
    deadline_s = None if wait_s is None else loop.time() + wait_s
    async with aclosing(items(client, task_id)) as stream:
        while True:
            try:
                async with asyncio.timeout_at(deadline_s):
                    item = await anext(stream, None)
            except TimeoutError:
                raise ResultTimeout(
                    f"Task {task_id} still yields after {wait_s:g} s.",
                    task_id=task_id,
                    hint="It goes on; read its stream again, from the first item.",
                ) from None
            if item is None:
                return
            yield item


async def items(
    client: Client, task_id: str, after: tuple[int, int] = NOTHING_BEFORE
) -> AsyncGenerator[StreamItem]:
    """Of any task, from its first item on or behind one (attempt, number), until its end; from history where the mesh
    holds it no longer. Raises UnknownTask, StreamGap, and the task's error where it ended without a value."""
    try:
        handle = await client.watch(task_id)
        async with aclosing(handle.items(after)) as stream:
            async for item in stream:
                after = (item.attempt, item.number)
                yield item
        return
    except UnknownTask as unknown:
        end = await past_end(client, task_id, unknown)
    for item in items_of_end(end, after):
        yield item
