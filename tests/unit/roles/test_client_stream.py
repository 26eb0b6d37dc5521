"""Streams through a mesh in memory: from handlers to whoever reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

import pytest

from ohmesh import AsyncMesh, TaskCancelled, TaskFailed, TaskTimedOut, agent, testing
from ohmesh.errors import StreamGap, StreamRestarted
from ohmesh.operations.arguments import StreamTask
from ohmesh.operations.streams import read_stream

DEADLINE_S = 30.0
gates: list[asyncio.Event] = []
ended: list[str] = []
attempts: list[int] = []


@agent
async def gated(count: int) -> AsyncGenerator[int]:
    for number in range(count):
        yield number
        if number == 0:
            await gates[-1].wait()


@agent
def counting(count: int) -> Iterator[dict[str, int]]:
    for number in range(count):
        yield {"number": number}


@agent(stream="discard")
async def unkept(count: int) -> AsyncGenerator[bytes]:
    for _ in range(count):
        yield bytes(100_000)


@agent(retries=0)
def failing() -> Iterator[int]:
    yield 1
    yield 2
    raise ValueError("no third")


@agent(retries=1)
async def twice() -> AsyncGenerator[str]:
    attempts.append(len(attempts) + 1)
    yield f"of attempt {len(attempts)}"
    if len(attempts) == 1:
        await gates[-1].wait()
        raise ValueError("once more")
    yield "the last"


@agent
async def endless() -> AsyncGenerator[int]:
    try:
        yield 1
        await asyncio.Event().wait()
    finally:
        ended.append("endless")


@agent(retries=0)
def large() -> Iterator[str]:
    while True:
        yield "x" * 10_000


@agent
def plain(value: object) -> object:
    return value


def told(story: Callable[[AsyncMesh], Awaitable[None]]) -> None:
    async def main() -> None:
        gates.append(asyncio.Event())
        ended.clear()
        attempts.clear()
        agents: list[Callable[..., object]] = [gated, counting, unkept, failing, twice, endless, large, plain]
        async with asyncio.timeout(DEADLINE_S), testing.mesh(agents) as mesh:
            await story(mesh)

    asyncio.run(main())


def test_an_item_is_heard_before_the_task_has_ended() -> None:
    async def story(mesh: AsyncMesh) -> None:
        handle = await mesh.submit(gated, 3)
        stream = handle.stream()
        assert await anext(stream) == 0
        assert not handle.is_done
        gates[-1].set()
        assert [item async for item in stream] == [1, 2]
        assert await handle.result() == [0, 1, 2]

    told(story)


def test_a_reader_that_comes_late_has_the_first_item_too() -> None:
    async def story(mesh: AsyncMesh) -> None:
        handle = await mesh.submit(gated, 2)
        first = handle.stream()
        assert await anext(first) == 0  # it is under way, nothing more comes until the gate opens
        late = mesh.items(handle.id)
        item = await anext(late)
        assert (item.attempt, item.number, item.value) == (1, 0, 0)
        gates[-1].set()
        assert [item.value async for item in late] == [1]
        assert [item async for item in mesh.stream(handle.id)] == [0, 1]  # long after its end
        assert [item async for item in first] == [1]

    told(story)


@pytest.mark.parametrize("count", [0, 1, 2_000])
def test_the_items_are_the_value(count: int) -> None:
    async def story(mesh: AsyncMesh) -> None:
        handle = await mesh.submit(counting, count)
        expected = [{"number": number} for number in range(count)]
        assert [item async for item in handle.stream()] == expected
        assert await handle.result() == expected

    told(story)


def test_an_exception_in_mid_stream_is_an_ordinary_failure() -> None:
    async def story(mesh: AsyncMesh) -> None:
        stream = (await mesh.submit(failing)).stream()
        assert [await anext(stream), await anext(stream)] == [1, 2]
        with pytest.raises(TaskFailed, match="no third"):
            await anext(stream)

    told(story)


def test_another_attempt_breaks_the_plain_loop_and_not_the_one_over_items() -> None:
    async def story(mesh: AsyncMesh) -> None:
        handle = await mesh.submit(twice)
        values, items = handle.stream(), handle.items()
        assert await anext(values) == "of attempt 1"
        assert (await anext(items)).value == "of attempt 1"
        gates[-1].set()
        with pytest.raises(StreamRestarted):
            await anext(values)
        rest = [(item.attempt, item.number, item.value) async for item in items]
        assert rest == [(2, 0, "of attempt 2"), (2, 1, "the last")]
        assert [item async for item in handle.stream()] == ["of attempt 2", "the last"]

    told(story)


def test_cancelling_stops_a_generator_and_runs_its_finally() -> None:
    async def story(mesh: AsyncMesh) -> None:
        handle = await mesh.submit(endless)
        stream = handle.stream()
        assert await anext(stream) == 1
        await mesh.cancel(handle.id)
        with pytest.raises(TaskCancelled):
            await anext(stream)
        assert ended == ["endless"]

    told(story)


def test_a_timeout_stops_a_generator_and_runs_its_finally() -> None:
    async def story(mesh: AsyncMesh) -> None:
        handle = await mesh.submit(endless, timeout=0.1, retries=0)
        stream = handle.stream()
        assert await anext(stream) == 1
        with pytest.raises(TaskTimedOut):
            await anext(stream)
        assert ended == ["endless"]

    told(story)


def test_items_beyond_what_a_task_may_return_fail_it_and_say_what_to_do() -> None:
    async def story(mesh: AsyncMesh) -> None:
        with pytest.raises(TaskFailed, match="discard"):
            await mesh.call(large)

    told(story)


def test_items_that_are_not_kept_are_heard_and_counted() -> None:
    async def story(mesh: AsyncMesh) -> None:
        handle = await mesh.submit(unkept, 20)
        assert len([item async for item in handle.stream()]) == 20
        assert await handle.result() == {"discarded_items": 20}

    told(story)


def test_a_reader_that_misses_items_that_are_not_kept_is_told() -> None:
    async def story(mesh: AsyncMesh) -> None:
        handle = await mesh.submit(unkept, 40)
        await handle.result()
        with pytest.raises(StreamGap):
            await anext(handle.stream())

    told(story)


@pytest.mark.parametrize(("value", "items"), [("hi", ["hi"]), ([1, 2], [1, 2]), (None, [None])])
def test_a_task_that_does_not_stream_has_its_value_as_item(value: object, items: list[object]) -> None:
    async def story(mesh: AsyncMesh) -> None:
        assert [item async for item in (await mesh.submit(plain, value)).stream()] == items

    told(story)


def test_the_verb_reads_to_the_end_or_as_long_as_it_is_told() -> None:
    async def story(mesh: AsyncMesh) -> None:
        handle = await mesh.submit(gated, 2)
        begun = await read_stream(mesh.client, StreamTask(task_id=handle.id, wait_s=0.2))
        assert ([item.value for item in begun.items], begun.is_complete) == ([0], False)
        gates[-1].set()
        whole = await read_stream(mesh.client, StreamTask(task_id=handle.id, wait_s=DEADLINE_S))
        assert ([item.value for item in whole.items], whole.is_complete) == ([0, 1], True)

    told(story)
