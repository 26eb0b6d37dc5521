"""Questions: asked of every shard, repeated while a dispatcher is replaced, merged without gaps or repeats."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

import msgspec
import pytest

from ohmesh.engines.memory.cluster import MemoryCluster
from ohmesh.errors import InvalidArgument, MeshUnreachable
from ohmesh.model.agent import Duty, HostView, Liveness
from ohmesh.model.message import HostPage, ListTasks, TaskPage
from ohmesh.model.subject import shard_of
from ohmesh.model.task import Submission, TaskView
from ohmesh.roles.client import Client
from ohmesh.roles.client_requests import GATHERED_BYTES
from ohmesh.simulator.run import run_virtual
from tests.unit.roles.scripted_dispatcher import ScriptedDispatcher, start_client, view_of
from tests.unit.simulator.passing_time import pass_time


def with_shards(count: int, scenario: Callable[[Client, list[ScriptedDispatcher]], Awaitable[None]]) -> None:
    async def main() -> None:
        cluster = MemoryCluster()
        dispatchers = [
            ScriptedDispatcher(cluster.connect("dispatcher"), shard=shard) for shard in range(count)
        ]
        for dispatcher in dispatchers:
            await dispatcher.start()
        client = await start_client(cluster, shards=count)
        await scenario(client, dispatchers)
        await client.close()

    run_virtual(main)


def views(numbers: list[tuple[int, int]]) -> list[TaskView]:
    """(submitted_ms, order) pairs as a shard lists them: newest first."""
    found = [
        view_of(Submission(f"T{at_ms:05}-{order:05}", "text", b""), submitted_ms=at_ms, order=order)
        for at_ms, order in numbers
    ]
    return sorted(found, key=lambda view: -view.order)


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
def test_pages_of_several_shards_are_newest_first_without_gaps_or_repeats(limit: int) -> None:
    async def scenario(client: Client, dispatchers: list[ScriptedDispatcher]) -> None:
        rng = Random(limit)
        times = sorted(rng.sample(range(1_000), 60))
        split: list[list[tuple[int, int]]] = [[], [], []]
        for at_ms in times:
            shard = rng.choice([0, 0, 0, 1, 2])
            split[shard].append((at_ms, len(split[shard]) + 1))
        for dispatcher, numbers in zip(dispatchers, split, strict=True):
            dispatcher.page = TaskPage(views(numbers))
        seen: list[int] = []
        after = ""
        for _ in range(100):
            page = await client.requests.list_tasks(ListTasks(limit=limit, after=after))
            assert len(page.tasks) <= limit
            assert page.total == 60
            seen.extend(view.submitted_ms for view in page.tasks)
            after = page.after
            if not after:
                break
        assert seen == times[::-1]

    with_shards(3, scenario)


@pytest.mark.parametrize("limit", [1, 3, 100])
@pytest.mark.parametrize("shards", [1, 3])
def test_with_a_filter_each_shard_is_asked_until_the_page_is_full(limit: int, shards: int) -> None:
    async def scenario(client: Client, dispatchers: list[ScriptedDispatcher]) -> None:
        for shard, dispatcher in enumerate(dispatchers):
            dispatcher.page = TaskPage(views([(n * 10 + shard, n + 1) for n in range(40)]))
            dispatcher.is_meant = lambda view: view.order % 7 == 0
        expected = sorted(
            ((order - 1) * 10 + shard for shard in range(shards) for order in range(7, 41, 7)), reverse=True
        )
        seen: list[int] = []
        after, first = "", True
        while first or after:
            asked = ListTasks(limit=limit, after=after, filter="a selector")
            page = await client.requests.list_tasks(asked)
            assert len(page.tasks) == min(limit, len(expected) - len(seen))
            seen.extend(view.submitted_ms for view in page.tasks)
            after, first = page.after, False
        assert seen == expected

    with_shards(shards, scenario)


def test_a_filtered_page_is_not_gathered_beyond_its_bytes() -> None:
    async def scenario(client: Client, dispatchers: list[ScriptedDispatcher]) -> None:
        large = [
            msgspec.structs.replace(view, value=b"x" * 250_000)
            for view in views([(n, n) for n in range(1, 50)])
        ]
        dispatchers[0].page = TaskPage(large)
        page = await client.requests.list_tasks(ListTasks(filter="a selector"))
        assert GATHERED_BYTES <= sum(len(view.value) for view in page.tasks) < GATHERED_BYTES + 1_000_000
        assert page.after == str(page.tasks[-1].order)

    with_shards(1, scenario)


def test_a_kind_is_asked_of_its_own_shard_only() -> None:
    async def scenario(client: Client, dispatchers: list[ScriptedDispatcher]) -> None:
        await client.requests.list_tasks(ListTasks(kind="text"))
        asked = [bool(dispatcher.frames) for dispatcher in dispatchers]
        assert asked == [shard == shard_of("text", 3) for shard in range(3)]

    with_shards(3, scenario)


@pytest.mark.parametrize("cursor", ["abc", "1.2", "1.2.3.4", "1.-5.2"])
def test_a_cursor_that_is_none_is_refused(cursor: str) -> None:
    async def scenario(client: Client, dispatchers: list[ScriptedDispatcher]) -> None:
        with pytest.raises(InvalidArgument, match="cursor"):
            await client.requests.list_tasks(ListTasks(after=cursor))

    with_shards(3, scenario)


def test_a_question_outlives_the_replacement_of_a_dispatcher() -> None:
    async def scenario(client: Client, dispatchers: list[ScriptedDispatcher]) -> None:
        await dispatchers[0].stop()
        asking = asyncio.create_task(client.requests.describe())
        await pass_time(3.0)
        assert not asking.done()
        dispatchers[0].epoch = 2
        await dispatchers[0].start()
        assert [shard.epoch for shard in await asking] == [2, 1]

    with_shards(2, scenario)


@pytest.mark.parametrize("is_there", [True, False])
def test_a_silent_shard_fails_the_question_and_is_named(is_there: bool) -> None:
    async def scenario(client: Client, dispatchers: list[ScriptedDispatcher]) -> None:
        if is_there:
            dispatchers[1].is_silent = True
        else:
            await dispatchers[1].stop()
        with pytest.raises(MeshUnreachable, match=r"shard 1 of mesh 'test'.*ohmesh doctor"):
            await client.requests.list_hosts(timeout_s=5.0)
        assert asyncio.get_running_loop().time() <= 5.0

    with_shards(2, scenario)


def test_a_host_is_shown_once_with_the_load_of_all_shards() -> None:
    def host(name: str, liveness: Liveness, seen_ms: int, running: int) -> HostView:
        return HostView(name, liveness, Duty.READY, seen_ms, running, 4, 10, 1, ("text",))

    async def scenario(client: Client, dispatchers: list[ScriptedDispatcher]) -> None:
        dispatchers[0].hosts = HostPage(
            [host("b", Liveness.ACTIVE, 100, 1), host("a", Liveness.OFFLINE, 50, 0)]
        )
        dispatchers[1].hosts = HostPage([host("b", Liveness.SUSPECT, 90, 2)])
        a, b = await client.requests.list_hosts()
        assert (a.host, a.liveness) == ("a", Liveness.OFFLINE)
        assert (b.liveness, b.last_seen_ms, b.running, b.slots, b.completed, b.failed) == (
            Liveness.ACTIVE,
            100,
            3,
            8,
            20,
            2,
        )

    with_shards(2, scenario)
