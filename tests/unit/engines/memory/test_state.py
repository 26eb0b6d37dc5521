"""The state of the memory engine: compare-and-set, TTL, watches, and what goes missing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from ohmesh.engines.memory.cluster import MemoryCluster, MemoryEngine
from ohmesh.engines.memory.faults import CallFaults, EngineFaults, EngineLimits
from ohmesh.errors import EngineUnavailable, RevisionConflict
from ohmesh.ports.state import StateEntry
from tests.unit.simulator.passing_time import in_virtual_time, pass_time


async def collect(engine: MemoryEngine, prefix: str) -> list[StateEntry]:
    """What a watch shows from now on; it ends with the run."""
    shown: list[StateEntry] = []

    async def follow() -> None:
        watch = engine.state.watch(prefix)
        while True:
            shown.append(await anext(watch))

    watches.append(asyncio.create_task(follow()))
    await pass_time(0.5)
    return shown


watches: list[asyncio.Task[None]] = []


def test_a_put_wins_only_at_the_expected_revision() -> None:
    async def main() -> None:
        state = MemoryCluster().connect("a").state
        first = await state.put("k", b"1", expected=0)
        for wrong in (0, first + 1):
            with pytest.raises(RevisionConflict):
                await state.put("k", b"2", expected=wrong)
        second = await state.put("k", b"2", expected=first)
        assert second > first
        assert await state.get("k") == StateEntry("k", b"2", second)
        assert await state.put("k", b"3") > second
        with pytest.raises(RevisionConflict):
            await state.put("absent", b"", expected=5)

    in_virtual_time(main())


def test_a_delete_leaves_a_key_that_can_be_made_anew() -> None:
    async def main() -> None:
        state = MemoryCluster().connect("a").state
        revision = await state.put("k", b"1")
        with pytest.raises(RevisionConflict):
            await state.delete("k", expected=revision + 1)
        with pytest.raises(RevisionConflict):
            await state.delete("k", expected=0)
        await state.delete("k", expected=revision)
        await state.delete("k")
        await state.delete("k", expected=0)
        with pytest.raises(RevisionConflict):
            await state.delete("k", expected=revision)
        assert await state.get("k") is None
        assert await state.put("k", b"2", expected=0) > revision

    in_virtual_time(main())


def test_keys_are_sorted_and_have_the_prefix() -> None:
    async def main() -> None:
        state = MemoryCluster().connect("a").state
        for key in ("b.1", "a.2", "a.1"):
            await state.put(key, b"")
        assert await state.keys("a.") == ["a.1", "a.2"]
        assert await state.keys("") == ["a.1", "a.2", "b.1"]

    in_virtual_time(main())


def test_a_ttl_runs_from_the_last_write_and_a_write_without_it_removes_it() -> None:
    async def main() -> None:
        state = MemoryCluster().connect("a").state
        await state.put("renewed", b"", ttl_ms=2000)
        await state.put("freed", b"", ttl_ms=2000)
        await state.put("rounded", b"", ttl_ms=200)
        await pass_time(0.9)
        assert await state.get("rounded") is not None
        await pass_time(0.6)
        assert await state.get("rounded") is None
        await state.put("renewed", b"", ttl_ms=2000)
        await state.put("freed", b"")
        await pass_time(1.9)
        assert await state.get("renewed") is not None
        await pass_time(0.2)
        assert await state.keys("") == ["freed"]

    in_virtual_time(main())


def test_a_watch_shows_what_is_there_and_then_each_change_expiry_included() -> None:
    async def main() -> list[tuple[str, bytes | None]]:
        cluster = MemoryCluster()
        engine, other = cluster.connect("a"), cluster.connect("b")
        await other.state.put("k.old", b"0")
        await other.state.put("other", b"0")
        shown = await collect(engine, "k.")
        await other.state.put("k.1", b"1")
        await other.state.put("k.1", b"2", ttl_ms=1000)
        await other.state.put("other", b"1")
        await other.state.delete("k.old")
        await pass_time(2.0)
        revisions = [entry.revision for entry in shown]
        assert revisions == sorted(set(revisions))
        return [(entry.key, entry.value) for entry in shown]

    assert in_virtual_time(main()) == [
        ("k.old", b"0"),
        ("k.1", b"1"),
        ("k.1", b"2"),
        ("k.old", None),
        ("k.1", None),
    ]


@pytest.mark.parametrize("away_s", [0.5, 5.0])
def test_a_watch_shows_after_a_partition_what_it_missed(away_s: float) -> None:
    async def main() -> dict[str, bytes | None]:
        cluster = MemoryCluster()
        engine, other = cluster.connect("a"), cluster.connect("b")
        await other.state.put("gone", b"0")
        await other.state.put("changed", b"0")
        shown = await collect(engine, "")
        cluster.partition("a")
        await other.state.delete("gone")
        await other.state.put("changed", b"1")
        await other.state.put("new", b"1")
        await pass_time(away_s)
        assert len(shown) == 2
        cluster.heal("a")
        await pass_time(1.0)
        return {entry.key: entry.value for entry in shown}

    assert in_virtual_time(main()) == {"gone": None, "changed": b"1", "new": b"1"}


def test_a_watch_that_begins_while_the_server_is_down_shows_everything_later() -> None:
    async def main() -> list[str]:
        cluster = MemoryCluster()
        engine, other = cluster.connect("a"), cluster.connect("b")
        await other.state.put("k", b"")
        cluster.kill_server()
        shown = await collect(engine, "")
        assert shown == []
        cluster.start_server()
        await pass_time(1.0)
        return [entry.key for entry in shown]

    assert in_virtual_time(main()) == ["k"]


def test_late_changes_keep_their_order() -> None:
    async def main() -> list[bytes | None]:
        cluster = MemoryCluster(faults=EngineFaults(watch_delay_ms=(0, 1000)))
        engine = cluster.connect("a")
        shown = await collect(engine, "")
        for number in range(30):
            await engine.state.put("k", b"%02d" % number)
        assert len(shown) < 30
        await pass_time(5.0)
        return [entry.value for entry in shown]

    assert in_virtual_time(main()) == [b"%02d" % number for number in range(30)]


def test_a_watch_that_is_not_read_keeps_the_newest_of_each_key() -> None:
    async def main() -> None:
        cluster = MemoryCluster(limits=EngineLimits(watch_backlog=10))
        state = cluster.connect("a").state
        watch = state.watch("")
        await state.put("first", b"")
        assert (await anext(watch)).key == "first"
        for number in range(1000):
            await state.put(f"k{number % 4}", b"%d" % number)
        shown = {}
        for _ in range(10):
            entry = await anext(watch)
            shown[entry.key] = entry.value
            if entry.value == b"999":
                break
        assert shown == {"k0": b"996", "k1": b"997", "k2": b"998", "k3": b"999"}

    in_virtual_time(main())


def test_a_watch_ends_with_its_connection() -> None:
    async def main() -> None:
        engine = MemoryCluster().connect("a")
        watch = engine.state.watch("")
        waiting = asyncio.ensure_future(anext(watch))
        await pass_time(1.0)
        await engine.close()
        with pytest.raises(EngineUnavailable, match="closed"):
            await waiting

    in_virtual_time(main())


def test_a_write_whose_ack_is_lost_is_found_by_reading() -> None:
    async def main() -> None:
        cluster = MemoryCluster(faults=EngineFaults(state=CallFaults(ack_lost=1.0)))
        engine = cluster.connect("a")
        with pytest.raises(EngineUnavailable):
            await engine.state.put("k", b"landed", expected=0)
        cluster.set_faults(EngineFaults())
        entry = await engine.state.get("k")
        assert entry is not None
        assert entry.value == b"landed"

    in_virtual_time(main())


def test_nothing_expires_while_the_server_is_away_and_what_ran_out_does_when_it_returns() -> None:
    async def main() -> list[tuple[str, bytes | None]]:
        cluster = MemoryCluster()
        engine = cluster.connect("a")
        shown = await collect(engine, "")
        await engine.state.put("short", b"", ttl_ms=2000)
        await engine.state.put("long", b"", ttl_ms=20_000)
        await pass_time(0.1)
        cluster.pause_server()
        await pass_time(10.0)
        assert len(shown) == 2
        cluster.resume_server()
        await pass_time(1.0)
        assert await engine.state.keys("") == ["long"]
        await pass_time(10.0)
        assert await engine.state.keys("") == []
        last: dict[str, bytes | None] = {entry.key: entry.value for entry in shown}
        return sorted(last.items())

    assert in_virtual_time(main()) == [("long", None), ("short", None)]


def test_a_power_cut_takes_back_what_was_not_durable() -> None:
    async def main() -> None:
        cluster = MemoryCluster(faults=EngineFaults(durable_every_ms=1000))
        engine = cluster.connect("a")
        durable = await engine.state.put("k", b"durable")
        await engine.state.put("deleted", b"back again")
        await pass_time(1.5)
        await engine.state.put("k", b"lost")
        await engine.state.put("new", b"lost")
        await engine.state.delete("deleted")
        cluster.power_cut()
        cluster.start_server()
        await pass_time(1.0)
        assert await engine.state.keys("") == ["deleted", "k"]
        assert await engine.state.get("k") == StateEntry("k", b"durable", durable)
        assert await engine.state.put("k", b"again", expected=durable) == durable + 2

    in_virtual_time(main())


def test_an_abandoned_watch_is_forgotten_by_the_server() -> None:
    async def main() -> None:
        cluster = MemoryCluster()
        state = cluster.connect("a").state
        await state.put("k", b"")
        watch = state.watch("")
        await anext(watch)
        assert cluster.state.watchers == 1
        assert isinstance(watch, AsyncGenerator)
        await watch.aclose()
        assert cluster.state.watchers == 0

    in_virtual_time(main())
