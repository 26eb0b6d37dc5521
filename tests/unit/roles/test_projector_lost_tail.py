"""A power cut takes the log's tail, its sequences are used again, and history neither loses nor doubles anything.

What the ledger has of the lost entries stays: it was told. What the log says after the cut is told too, once.
"""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from ohmesh.engines.memory.faults import EngineFaults
from ohmesh.protocols.queue.snapshot import decode_snapshot
from ohmesh.roles.projector_config import ProjectorConfig
from ohmesh.simulator.world import World, WorldOptions, run
from tests.unit.protocols.queue.log_maker import End, LogMaker
from tests.unit.roles.projected_log import LOG, ProjectedLog
from tests.waiting import eventually

UNSYNCED = EngineFaults(durable_every_ms=5000.0)
OPTIONS = WorldOptions(faults=UNSYNCED, calm=UNSYNCED)
CONFIG = ProjectorConfig(stretch_frames=5, stretch_tasks=6, publish_every_frames=10)
FIRST, SECOND, THIRD = LOG, f"{LOG}~1", f"{LOG}~2"


async def told_to_the_end(world: World, *, durable: int, lost: int) -> ProjectedLog:
    """A log of which the first `durable` entries survive a power cut and `lost` do not; history has all of them."""
    log = ProjectedLog(world, LogMaker(world.seed, forgets=False), config=CONFIG)
    await log.create()
    log.maker.add(durable - 1)
    await log.write()
    await asyncio.sleep(5.5)
    log.maker.add(lost)
    await log.write()
    log.start()
    await log.caught_up()
    return log


async def cut_power(world: World, log: ProjectedLog) -> int:
    """The engine and every process lose power; returns the last entry that is left."""
    world.crash("projector")
    world.cluster.power_cut()
    world.cluster.start_server()
    log.maker.lose_tail(log.stored_last)
    await asyncio.sleep(0.01)
    return log.maker.last


def test_a_tail_that_history_had_is_told_and_what_replaces_it_is_told_too() -> None:
    async def main(world: World) -> None:
        log = await told_to_the_end(world, durable=20, lost=15)
        before = log.maker.ends()
        last = await cut_power(world, log)
        assert last == 20
        log.maker.open_epoch(9, lost_tail="entries 21 to 35")
        log.maker.add(30)
        world.restart("projector")
        await log.write()
        await log.caught_up(source=SECOND)
        assert log.told() == before + log.maker.ends(first=21)
        assert log.ledger.position_of(FIRST) == 35
        assert log.own_events()["tail_lost"] == 2
        published = world.cluster.state.get("projector.0")
        assert published is not None
        assert int(published.value or b"0") <= log.stored_last

    run(main, seed=1, options=OPTIONS)


def test_the_tail_is_missed_although_nobody_says_that_it_was_lost() -> None:
    async def main(world: World) -> None:
        log = await told_to_the_end(world, durable=20, lost=15)
        before = log.maker.ends()
        await cut_power(world, log)
        log.maker.open_epoch(9)
        log.maker.add(40)
        await log.write()
        world.restart("projector")
        await log.caught_up(source=SECOND)
        assert log.told() == before + log.maker.ends(first=21)
        assert log.own_events()["tail_lost"] == 1

    run(main, seed=1, options=OPTIONS)


def test_an_epoch_number_that_is_used_again_is_not_taken_for_the_old_epoch() -> None:
    async def main(world: World) -> None:
        log = ProjectedLog(world, LogMaker(world.seed, forgets=False), config=CONFIG)
        await log.create()
        log.maker.add(19)
        await log.write()
        await asyncio.sleep(5.5)
        log.maker.open_epoch(2)
        log.maker.add(10)
        await log.write()
        log.start()
        await log.caught_up()
        before = log.maker.ends()
        await cut_power(world, log)
        log.maker.open_epoch(2)
        log.maker.add(30)
        await log.write()
        world.restart("projector")
        await log.caught_up(source=SECOND)
        assert log.told() == before + log.maker.ends(first=21)

    run(main, seed=1, options=OPTIONS)


def test_a_projector_that_outlived_the_cut_notices_that_the_log_is_shorter() -> None:
    async def main(world: World) -> None:
        log = await told_to_the_end(world, durable=20, lost=15)
        before = log.maker.ends()
        world.cluster.power_cut()
        world.cluster.start_server()
        log.maker.lose_tail(log.stored_last)
        await asyncio.sleep(3.0)
        log.maker.open_epoch(9, lost_tail="entries 21 to 35")
        log.maker.add(5)
        await log.write()
        await log.caught_up(source=SECOND)
        assert log.told() == before + log.maker.ends(first=21)
        assert any("ends at 20" in notice for notice in log.notices)

    run(main, seed=1, options=OPTIONS)


def test_a_log_that_lost_everything_is_told_from_its_new_beginning() -> None:
    async def main(world: World) -> None:
        log = ProjectedLog(world, LogMaker(world.seed, forgets=False), config=CONFIG)
        await log.create()
        log.maker.add(20)
        await log.write()
        log.start()
        await log.caught_up()
        before = log.maker.ends()
        assert await cut_power(world, log) == 0
        log.maker.open_epoch(9, lost_tail="everything")
        log.maker.add(30)
        await log.write()
        world.restart("projector")
        await log.caught_up(source=SECOND)
        assert log.told() == before + log.maker.ends()

    run(main, seed=1, options=OPTIONS)


def test_two_power_cuts_make_two_new_sources() -> None:
    async def main(world: World) -> None:
        log = await told_to_the_end(world, durable=20, lost=15)
        told = log.maker.ends()
        for epoch, source in ((9, SECOND), (12, THIRD)):
            last = await cut_power(world, log)
            log.maker.open_epoch(epoch)
            log.maker.add(10)
            await log.write()
            world.restart("projector")
            await log.caught_up(source=source)
            told += log.maker.ends(first=last + 1)
            await asyncio.sleep(0.1)
        assert log.told() == told

    run(main, seed=1, options=OPTIONS)


def test_a_cut_that_took_nothing_from_history_is_no_new_source() -> None:
    async def main(world: World) -> None:
        log = await told_to_the_end(world, durable=20, lost=0)
        log.maker.add(10)
        world.crash("projector")
        await log.write()
        assert await cut_power(world, log) == 20
        log.maker.open_epoch(9, lost_tail="entries 21 to 30")
        log.maker.add(10)
        await log.write()
        world.restart("projector")
        await log.caught_up()
        assert log.told() == log.maker.ends()
        assert log.ledger.position_of(SECOND) == 0

    run(main, seed=1, options=OPTIONS)


@pytest.mark.parametrize("seed", range(6))
def test_a_snapshot_that_is_ahead_of_the_log_brings_what_the_log_lost(seed: int) -> None:
    """The dispatcher goes on from such a snapshot, and history, which had not come that far, must too."""

    async def main(world: World) -> None:
        log = ProjectedLog(world, LogMaker(world.seed, forgets=False), config=CONFIG)
        await log.create()
        log.maker.add(20)
        await log.write()
        log.start()
        await log.caught_up()
        world.crash("projector")
        told = log.maker.last
        log.maker.add(20)
        ahead = decode_snapshot(log.maker.snapshot()[1])[0]
        everything = log.maker.ends()
        log.maker.lose_tail(told + 3)
        log.maker.table = ahead
        log.maker.open_epoch(9, lost_tail=f"entries from {told + 4} on; a snapshot was ahead")
        await log.write()
        world.restart("projector")
        await asyncio.sleep(world.rng("script").choice([0.0, 0.02, 1.0]))
        await log.snapshot()
        fresh = log.maker.last
        log.maker.add(20)
        await log.write()
        await log.caught_up()
        assert sorted(log.told()) == sorted(everything + log.maker.ends(first=fresh))

    run(main, seed=seed, options=OPTIONS)


def test_a_snapshot_of_the_new_log_does_not_hide_that_it_is_new() -> None:
    async def main(world: World) -> None:
        log = await told_to_the_end(world, durable=20, lost=30)
        before = log.maker.ends()
        await cut_power(world, log)
        log.maker.open_epoch(9, lost_tail="entries 21 to 50")
        key = await log.snapshot()
        log.maker.add(10)
        await log.write()
        assert int(key.rpartition(".")[2]) < log.ledger.position_of(FIRST)
        world.restart("projector")
        await log.caught_up(source=SECOND)
        assert log.told() == before + log.maker.ends(first=21)

    run(main, seed=1, options=OPTIONS)


def test_a_snapshot_that_survived_its_log_is_no_base_for_the_new_one() -> None:
    async def main(world: World) -> None:
        log = ProjectedLog(world, LogMaker(world.seed, forgets=False), config=CONFIG)
        await log.create()
        log.maker.add(19)
        await log.write()
        await asyncio.sleep(5.5)
        log.maker.add(10)
        key, blob = log.maker.snapshot()
        log.maker.add(5)
        await log.write()
        log.start()
        await log.caught_up()
        before = log.maker.ends()
        await cut_power(world, log)
        await world.cluster.connect("disk").blobs.put(key, blob)
        log.maker.open_epoch(9)
        log.maker.add(40)
        await log.write()
        world.restart("projector")
        await log.caught_up(source=SECOND)
        assert log.told() == before + log.maker.ends(first=21)
        assert not log.own_events()["log_corrupt"]

    run(main, seed=1, options=OPTIONS)


def test_a_new_log_that_was_trimmed_already_gives_what_its_snapshot_knows() -> None:
    async def main(world: World) -> None:
        log = await told_to_the_end(world, durable=20, lost=30)
        before = log.maker.ends()
        await cut_power(world, log)
        log.maker.open_epoch(9)
        log.maker.add(5)
        key = await log.snapshot()
        log.maker.add(10)
        await log.write()
        await log.trim(before=int(key.rpartition(".")[2]) + 1)
        world.restart("projector")
        await log.caught_up(source=SECOND)
        assert sorted(log.told()) == sorted(before + log.maker.ends(first=21))

    run(main, seed=1, options=OPTIONS)


@pytest.mark.parametrize("seed", range(40))
def test_power_cuts_and_restarts_at_any_moment_lose_and_double_nothing(seed: int) -> None:
    async def main(world: World) -> None:
        rng = world.rng("script")
        log = ProjectedLog(world, LogMaker(seed, forgets=False), config=CONFIG)
        await log.create()
        await log.write()
        log.start()
        told: list[End] = []
        for epoch in range(2, 2 + rng.randint(2, 4)):
            await live(world, log, rng)
            assert log.told() == (told + unheard(log, told))[: len(log.told())]
            told = log.told()
            await cut_power(world, log)
            log.maker.open_epoch(epoch * 10, lost_tail="a tail" if rng.random() < 0.5 else "")
            if rng.random() < 0.5:
                log.maker.add(rng.randint(0, 40))
            await log.write()
            world.restart("projector")
        await live(world, log, rng)
        await eventually(
            lambda: len(log.told()) >= len(told + unheard(log, told)), what="all told", timeout_s=60.0
        )
        assert log.told() == told + unheard(log, told)

    run(main, seed=seed, options=OPTIONS)


async def live(world: World, log: ProjectedLog, rng: Random) -> None:
    """Entries, snapshots and kills of the projector, for some seconds."""
    for _ in range(rng.randint(1, 6)):
        log.maker.add(rng.randint(0, 12))
        await log.write()
        if rng.random() < 0.3:
            await log.snapshot()
            await log.write()
        if rng.random() < 0.3:
            world.crash("projector")
            world.restart("projector")
        await asyncio.sleep(rng.choice([0.0, 0.1, 1.0, 3.0]))


def unheard(log: ProjectedLog, told: list[End]) -> list[End]:
    """What the log as it is now says, less what had been told before it was cut."""
    heard = set(told)
    return [end for end in log.maker.ends() if end not in heard]
