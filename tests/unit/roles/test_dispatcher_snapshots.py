"""Snapshots of a dispatcher at work: under load, with an engine that is away, and after a power cut took the tail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from ohmesh.engines.memory.faults import CallFaults, EngineFaults
from ohmesh.model.message import Enquire, Submit
from ohmesh.protocols.queue.rows import EpochStarted, Granted, SnapshotTaken
from ohmesh.roles.dispatcher import DispatcherConfig
from ohmesh.roles.log_writer import TailLost
from ohmesh.roles.shard_loader import projector_key, snapshot_prefix, snapshot_sequence
from ohmesh.roles.snapshots import SnapshotConfig
from ohmesh.simulator.world import World, WorldOptions, run
from tests.unit.protocols.queue.shard_driver import submission
from tests.unit.roles.served_shard import LOG, OPTIONS, ServedShard
from tests.waiting import eventually

OFTEN = DispatcherConfig(snapshot=SnapshotConfig(after_bytes=5_000, trim_interval_s=0.5))
UNSYNCED = EngineFaults(durable_every_ms=1_000.0)

Story = Callable[[ServedShard], Coroutine[None, None, None]]


def served(story: Story, *, config: DispatcherConfig = OFTEN, options: WorldOptions = OPTIONS) -> None:
    async def main(world: World) -> None:
        shard = ServedShard(world, config)
        await shard.open()
        shard.start("first", 1)
        await eventually(lambda: Enquire(0, 1) in shard.sent, what="the dispatcher asks the hosts")
        await story(shard)

    run(main, seed=1, options=options)


def snapshots(shard: ServedShard) -> list[SnapshotTaken]:
    return [row for row in shard.rows() if isinstance(row, SnapshotTaken)]


async def work(shard: ServedShard, first: int, count: int) -> None:
    for number in range(first, first + count):
        await shard.submit(f"t{number}", payload=b"x" * 200)


def test_snapshots_are_taken_although_the_load_never_ceases() -> None:
    """There is always another step to append; the log must not grow until nobody has anything to say."""

    async def story(shard: ServedShard) -> None:
        shard.world.cluster.set_faults(EngineFaults(append=CallFaults(delay_ms=(10.0, 10.0))))
        async with asyncio.TaskGroup() as group:
            for number in range(400):
                group.create_task(work(shard, 10_000 + number, 1))
                await asyncio.sleep(0.005)
            assert len(snapshots(shard)) >= 5

    served(story)


def test_a_snapshot_that_cannot_be_stored_stops_nothing_and_is_stored_later() -> None:
    async def story(shard: ServedShard) -> None:
        shard.world.cluster.set_faults(EngineFaults(blobs=CallFaults(refused=1.0)))
        await work(shard, 0, 60)
        await asyncio.sleep(10)
        assert snapshots(shard) == []
        await work(shard, 60, 5)
        shard.world.cluster.set_faults(EngineFaults())
        await eventually(lambda: snapshots(shard), what="a row names the snapshot")
        keys = await shard.outside.blobs.list(snapshot_prefix(0))
        assert snapshots(shard)[0].key in keys

    served(story)


def test_tasks_are_taken_while_a_snapshot_is_being_stored() -> None:
    async def story(shard: ServedShard) -> None:
        shard.world.cluster.set_faults(EngineFaults(blobs=CallFaults(delay_ms=(1_500.0, 1_500.0))))
        await work(shard, 0, 30)
        began_s = shard.world.loop.time()
        await work(shard, 30, 20)
        assert shard.world.loop.time() - began_s < 1.0
        await eventually(lambda: snapshots(shard), what="a row names the snapshot")

    served(story)


def test_time_never_falls_from_row_to_row_where_a_snapshot_is_named() -> None:
    async def story(shard: ServedShard) -> None:
        shard.world.cluster.set_faults(EngineFaults(blobs=CallFaults(delay_ms=(1_500.0, 1_500.0))))
        for number in range(60):
            await shard.submit(f"t{number}", payload=b"x" * 200)
            await asyncio.sleep(0.1)
        times = [row.at_ms for row in shard.rows() if not isinstance(row, Granted) and hasattr(row, "at_ms")]
        assert snapshots(shard)
        assert times == sorted(times)

    served(story)


def test_the_log_is_trimmed_behind_history_and_a_successor_reads_it_all() -> None:
    async def story(shard: ServedShard) -> None:
        await work(shard, 0, 100)
        await eventually(lambda: len(snapshots(shard)) >= 3, what="snapshots are named")
        await shard.outside.state.put(projector_key(0), b"%d" % snapshots(shard)[1].sequence)
        await asyncio.sleep(2)
        assert (await shard.outside.log.bounds(LOG)).first == snapshots(shard)[1].sequence + 1
        shard.world.crash("first")
        shard.start("second", 2)
        await eventually(lambda: Enquire(0, 2) in shard.sent, what="the successor asks the hosts")
        await shard.report(2)
        assert len(await shard.granted(*(f"t{number}" for number in range(100)))) == 100

    served(story)


def test_a_dispatcher_that_is_stopped_while_it_stores_a_snapshot_leaves_nothing_undone() -> None:
    async def story(shard: ServedShard) -> None:
        shard.world.cluster.set_faults(EngineFaults(blobs=CallFaults(delay_ms=(1_500.0, 1_500.0))))
        await work(shard, 0, 40)
        await asyncio.sleep(0.5)
        await shard.world.stop("first")
        assert snapshots(shard) == []
        shard.start("second", 2)
        await eventually(lambda: Enquire(0, 2) in shard.sent, what="the successor asks the hosts")
        await shard.report(2)
        assert len(await shard.granted(*(f"t{number}" for number in range(40)))) == 40

    served(story)


async def lose_tail(shard: ServedShard) -> int:
    """The dispatcher dies and the power goes; what was written in the last second is gone from log and state, and
    everything is up again. Returns where the log ended before."""
    last = len(shard.frames())
    shard.world.crash("first")
    shard.world.cluster.power_cut()
    shard.world.cluster.start_server()
    await asyncio.sleep(0.1)
    assert len(shard.frames()) < last
    return last


def assert_a_snapshot_came_before_any_grant(shard: ServedShard, *, epoch: int) -> None:
    rows = [row for frame in shard.frames() if frame.epoch == epoch for row in frame.rows]
    begun = rows[0]
    assert isinstance(begun, EpochStarted)
    assert begun.lost_tail
    kinds = [type(row) for row in rows]
    assert kinds.index(SnapshotTaken) < kinds.index(Granted)


def test_a_lost_tail_that_history_knew_of_is_announced_and_survived() -> None:
    async def story(shard: ServedShard) -> None:
        await shard.submit("durable")
        await asyncio.sleep(1.5)
        await shard.submit("lost")
        last = await lose_tail(shard)
        await shard.outside.state.put(projector_key(0), b"%d" % last)
        shard.start("second", 2)
        await eventually(lambda: Enquire(0, 2) in shard.sent, what="the successor asks the hosts")
        await shard.report(2)
        await shard.granted("durable")
        assert_a_snapshot_came_before_any_grant(shard, epoch=2)
        await shard.submit("lost")
        assert [grant.task_id for grant in await shard.granted("lost")] == ["lost"]

    served(story, options=WorldOptions(faults=UNSYNCED))


def test_a_lost_tail_that_the_running_dispatcher_knew_of_is_announced_and_survived() -> None:
    """Nobody else knows: no snapshot and no history is ahead of the log."""

    async def story(shard: ServedShard) -> None:
        await shard.submit("durable")
        await asyncio.sleep(1.5)
        await shard.submit("lost")
        await shard.submit("lost too")
        shard.world.cluster.power_cut()
        shard.world.cluster.start_server()
        await shard.say(Submit("client", [submission("later")]))
        first = shard.world.processes["first"]
        await eventually(lambda: first.failure, what="the dispatcher notices and gives up")
        shard.start("second", 2)
        await eventually(lambda: Enquire(0, 2) in shard.sent, what="the successor asks the hosts")
        await shard.report(2)
        await shard.granted("durable")
        assert_a_snapshot_came_before_any_grant(shard, epoch=2)
        shard.world.crash("second")
        shard.start("third", 3)
        await eventually(lambda: Enquire(0, 3) in shard.sent, what="the third asks the hosts")
        begun = next(row for frame in shard.frames() if frame.epoch == 3 for row in frame.rows)
        assert isinstance(begun, EpochStarted)
        assert begun.lost_tail == "", "a loss is told once"

    served(story, options=WorldOptions(faults=UNSYNCED, tolerated=(TailLost,)))


def test_what_only_a_snapshot_holds_after_a_power_cut_is_not_lost_whoever_dies_on_the_way() -> None:
    """The snapshot reached the disk and the log's tail did not. The first successor dies after beginning its epoch,
    before it could store what it knew."""

    async def story(shard: ServedShard) -> None:
        await work(shard, 0, 20)
        await asyncio.sleep(1.5)
        await work(shard, 20, 10)
        await eventually(lambda: snapshots(shard), what="a snapshot is named")
        kept = max(await shard.outside.blobs.list(snapshot_prefix(0)))
        data = await shard.outside.blobs.get(kept)
        assert data is not None
        await lose_tail(shard)
        assert snapshot_sequence(kept) > len(shard.frames())
        await shard.outside.blobs.put(kept, data)
        shard.world.cluster.set_faults(EngineFaults(blobs=CallFaults(refused=0.0, delay_ms=(200.0, 200.0))))
        shard.start("second", 2)
        await eventually(lambda: shard.frames()[-1].epoch == 2, what="the second has begun its epoch")
        shard.world.crash("second")
        shard.start("third", 3)
        await eventually(lambda: Enquire(0, 3) in shard.sent, what="the third asks the hosts")
        await shard.report(3)
        held = snapshot_sequence(kept) - 1
        assert held > 20
        await shard.granted(*(f"t{number}" for number in range(held)))
        assert_a_snapshot_came_before_any_grant(shard, epoch=3)
        assert kept not in await shard.outside.blobs.list(snapshot_prefix(0))

    served(
        story,
        options=WorldOptions(faults=UNSYNCED),
        config=DispatcherConfig(snapshot=SnapshotConfig(after_bytes=7_500)),
    )
