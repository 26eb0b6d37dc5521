"""Snapshots are stored however long the engine is away; the log is trimmed no further than everybody has come."""

from __future__ import annotations

import asyncio

from ohmesh.protocols.queue.rows import Cancelled, Released, SnapshotTaken, Submitted
from ohmesh.protocols.queue.snapshot import encode_snapshot
from ohmesh.protocols.queue.task_table import TaskTable
from ohmesh.roles.shard_loader import (
    part_key,
    part_prefix,
    projector_key,
    read_snapshot,
    snapshot_key,
    snapshot_prefix,
    snapshot_sequence,
)
from ohmesh.roles.snapshots import SnapshotConfig, Snapshots
from tests.unit.protocols.queue.shard_driver import submission
from tests.unit.roles.queue_engine import LOG, QueueEngine, virtually


async def shard(engine: QueueEngine, *, entries: int, snapshots: list[int], projected: int) -> Snapshots:
    writer = engine.writer()
    for number in range(entries):
        await writer.append(1, [Released([number])])
    for sequence in snapshots:
        await engine.side.blobs.put(snapshot_key(0, sequence), b"snapshot")
    if projected:
        await engine.side.state.put(projector_key(0), b"%d" % projected)
    return Snapshots(engine.source(), SnapshotConfig())


def named(sequence: int) -> SnapshotTaken:
    return SnapshotTaken(1, snapshot_key(0, sequence), sequence)


async def first(engine: QueueEngine) -> int:
    return (await engine.side.log.bounds(LOG)).first


async def kept(engine: QueueEngine) -> list[str]:
    return await engine.side.blobs.list(snapshot_prefix(0))


def test_nothing_is_trimmed_before_a_row_names_a_snapshot() -> None:
    async def main(engine: QueueEngine) -> None:
        snapshots = await shard(engine, entries=10, snapshots=[5], projected=10)
        await snapshots.trim(None)
        assert await first(engine) == 1

    virtually(main)


def test_the_log_is_trimmed_up_to_the_newest_snapshot_that_history_has_passed() -> None:
    async def main(engine: QueueEngine) -> None:
        snapshots = await shard(engine, entries=20, snapshots=[5, 10, 15], projected=12)
        await snapshots.trim(named(15))
        assert await first(engine) == 11
        assert await kept(engine) == [snapshot_key(0, 10), snapshot_key(0, 15)]

    virtually(main)


def test_nothing_is_trimmed_that_history_has_not_passed() -> None:
    async def main(engine: QueueEngine) -> None:
        snapshots = await shard(engine, entries=20, snapshots=[5, 10], projected=0)
        await snapshots.trim(named(10))
        assert (await first(engine), len(await kept(engine))) == (1, 2)

    virtually(main)


def test_a_snapshot_that_is_not_named_yet_trims_nothing() -> None:
    async def main(engine: QueueEngine) -> None:
        snapshots = await shard(engine, entries=20, snapshots=[5, 15], projected=20)
        await snapshots.trim(named(5))
        assert (await first(engine), len(await kept(engine))) == (6, 2)

    virtually(main)


def test_a_snapshot_is_stored_when_the_engine_is_back() -> None:
    async def main(engine: QueueEngine) -> None:
        snapshots = await shard(engine, entries=1, snapshots=[], projected=0)
        said: list[str] = []
        snapshots.notice = said.append
        snapshot = snapshots.freeze(TaskTable(), 1, b"digest")
        engine.cluster.kill_server()
        storing = asyncio.ensure_future(snapshots.store(snapshot))
        await engine.time_passes(60)
        assert not storing.done()
        engine.cluster.start_server()
        await storing
        assert await engine.side.blobs.get(snapshot.key) == encode_snapshot(TaskTable(), 1, b"digest")
        assert snapshots.failures > 5
        assert len(said) == 2
        assert "could not store a snapshot of its tasks 5 times" in said[0]
        assert said[1] == "Shard 0 stores snapshots of its tasks again."

    virtually(main)


def test_snapshots_of_two_histories_at_one_sequence_have_two_keys() -> None:
    async def main(engine: QueueEngine) -> None:
        snapshots = Snapshots(engine.source(), SnapshotConfig())
        keys = [snapshots.freeze(TaskTable(), 7, previous).key for previous in (b"one", b"two")]
        assert keys[0] != keys[1]

    virtually(main)


IN_PARTS = SnapshotConfig(part_bytes=3_000, kept_tasks=10)


def filled(count: int) -> TaskTable:
    table = TaskTable()
    table.apply(Submitted(1, [submission(f"t{number}", due_ms=10**9 + number) for number in range(count)]))
    return table


async def parts(engine: QueueEngine) -> list[str]:
    return await engine.side.blobs.list(part_prefix(0))


def test_a_large_snapshot_is_stored_and_read_in_parts() -> None:
    async def main(engine: QueueEngine) -> None:
        snapshots = Snapshots(engine.source(), IN_PARTS)
        table = filled(3_000)
        snapshot = snapshots.freeze(table, 1, b"digest")
        assert await snapshots.store(snapshot)
        assert len(await parts(engine)) == 6
        assert await kept(engine) == [snapshot.key]
        found = await read_snapshot(engine.side.blobs, snapshot.key)
        assert found is not None
        assert encode_snapshot(*found) == encode_snapshot(table, 1, b"digest")
        assert found[0].parked.find("t2999") != 0
        await engine.side.blobs.delete(part_key(snapshot.key, 3))
        assert await read_snapshot(engine.side.blobs, snapshot.key) is None
        await snapshots.delete([snapshot.key])
        assert (await kept(engine), await parts(engine)) == ([], [])

    virtually(main)


def test_parts_of_a_snapshot_that_was_never_completed_are_swept() -> None:
    async def main(engine: QueueEngine) -> None:
        snapshots = await shard(engine, entries=20, snapshots=[5, 10], projected=12)
        for sequence in (3, 5, 10, 15):
            await engine.side.blobs.put(part_key(snapshot_key(0, sequence), 0), b"part")
        await snapshots.trim(named(10))
        assert [snapshot_sequence(key) for key in await parts(engine)] == [10, 15]

    virtually(main)


def test_a_snapshot_for_which_too_much_would_have_to_be_held_is_given_up() -> None:
    """The engine is away for long, and the shard goes on deciding."""

    async def main(engine: QueueEngine) -> None:
        snapshots = Snapshots(engine.source(), IN_PARTS)
        table = filled(3_000)
        snapshot = snapshots.freeze(table, 1, b"digest")
        engine.cluster.kill_server()
        storing = asyncio.ensure_future(snapshots.store(snapshot))
        await engine.time_passes(5)
        table.apply(Cancelled(2, [f"t{number}" for number in range(2_900, 2_920)]))
        assert snapshot.frozen.kept == 20
        await engine.time_passes(5)
        assert await storing is False
        assert (snapshots.given_up, snapshot.frozen.kept, table.freezer) == (1, 0, None)

    virtually(main)
