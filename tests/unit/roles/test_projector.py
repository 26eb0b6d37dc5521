"""The projector, in virtual time: exactly what the log says, once, whatever stops on the way."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from ohmesh.engines.memory.faults import CallFaults, EngineFaults
from ohmesh.simulator.world import World, run
from tests.unit.protocols.queue.log_maker import LogMaker
from tests.unit.roles.projected_log import CONFIG, ProjectedLog


async def projected(world: World, *, entries: int, forgets: bool = True) -> ProjectedLog:
    log = ProjectedLog(world, LogMaker(world.seed, forgets=forgets))
    await log.create()
    log.maker.add(entries)
    await log.write()
    return log


def test_a_log_that_is_there_is_told_and_its_position_published() -> None:
    async def main(world: World) -> None:
        log = await projected(world, entries=50)
        log.start()
        await log.caught_up()
        await asyncio.sleep(1.0)
        log.check_whole()
        entry = world.cluster.state.get("projector.0")
        assert entry is not None
        assert entry.value == b"51"

    run(main, seed=1)


def test_what_is_appended_later_is_told_within_the_longest_pause() -> None:
    async def main(world: World) -> None:
        log = await projected(world, entries=5)
        log.start()
        await asyncio.sleep(10.0)
        log.maker.add(20)
        await log.write()
        await asyncio.sleep(CONFIG.poll_idle_ms / 1000 + 0.5)
        log.check_whole()

    run(main, seed=1)


def test_an_idle_projector_asks_the_engine_once_a_second() -> None:
    async def main(world: World) -> int:
        log = await projected(world, entries=5)
        log.start()
        await asyncio.sleep(10.0)
        before = world.trace.count
        await asyncio.sleep(60.0)
        return world.trace.count - before

    # A read that finds nothing, then the bounds.
    assert run(main, seed=1).result <= 2 * 61


@pytest.mark.parametrize("seed", range(30))
def test_history_is_the_same_whatever_is_killed_trimmed_or_away_meanwhile(seed: int) -> None:
    faults = EngineFaults(
        read=CallFaults(delay_ms=(0.1, 20.0), refused=0.05, ack_lost=0.05),
        state=CallFaults(delay_ms=(0.1, 20.0), ack_lost=0.1),
        blobs=CallFaults(delay_ms=(0.1, 20.0), refused=0.1),
    )

    async def main(world: World) -> None:
        rng = world.rng("script")
        log = await projected(world, entries=rng.randint(0, 20))
        log.start()
        for _ in range(rng.randint(5, 15)):
            log.maker.add(rng.randint(0, 10))
            if rng.random() < 0.3:
                log.maker.open_epoch(log.maker.table.epoch + rng.randint(1, 5))
            if rng.random() < 0.2:
                log.maker.add_ghost()
            await log.write()
            world.cluster.set_faults(EngineFaults())
            if rng.random() < 0.5:
                await log.snapshot()
                await log.write()
            if rng.random() < 0.5:
                await log.trim_as_allowed()
            world.cluster.set_faults(faults)
            log.ledger.is_away = rng.random() < 0.3
            log.ledger.loses_answers = rng.randint(0, 2)
            await asyncio.sleep(rng.choice([0.0, 0.01, 0.1, 1.0]))
            if rng.random() < 0.6:
                world.crash("projector")
                world.restart("projector")
        log.ledger.is_away = False
        world.cluster.set_faults(EngineFaults())
        await log.caught_up()
        log.check_whole()

    run(main, seed=seed)


def test_a_ledger_that_is_away_lets_the_projector_fall_behind_and_nothing_else() -> None:
    async def main(world: World) -> None:
        log = await projected(world, entries=5)
        log.start()
        await log.caught_up()
        log.ledger.is_away = True
        log.maker.add(100)
        await log.write()
        await asyncio.sleep(120.0)
        assert log.ledger.refusals < 120 / (CONFIG.retry_max_ms / 1000) + 10
        assert world.processes["projector"].is_alive
        assert [notice for notice in log.notices if "falls behind" in notice] == log.notices
        log.ledger.is_away = False
        await log.caught_up()
        log.check_whole()
        assert "records again" in log.notices[-1]

    run(main, seed=1)


def test_a_projector_that_was_stopped_and_continued_tells_nothing_twice() -> None:
    async def main(world: World) -> None:
        log = await projected(world, entries=20)
        log.start()
        await asyncio.sleep(0.01)
        world.pause("projector")
        successor = ProjectedLog(world, log.maker)
        successor.ledger = log.ledger
        world.start("successor", successor._main)
        await asyncio.sleep(0.05)
        world.resume("projector")
        for _ in range(20):
            log.maker.add(5)
            await log.write()
            await asyncio.sleep(0.1)
        await log.caught_up()
        log.check_whole()

    for seed in range(5):
        run(main, seed=seed)


def test_a_row_that_does_not_follow_is_told_of_and_history_goes_on_from_the_next_snapshot() -> None:
    async def main(world: World) -> None:
        log = await projected(world, entries=10, forgets=False)
        log.maker.add(20)
        await log.write()
        log.spoil(15, b"rust")
        log.start()
        await log.caught_up(to=15)
        assert log.own_events() == Counter(log_corrupt=1)
        assert log.told() == log.maker.ends()[: len(log.told())]
        await log.snapshot()
        await log.write()
        log.maker.add(20)
        await log.write()
        await log.caught_up()
        assert sorted(log.told()) == sorted(log.maker.ends())
        assert log.own_events() == Counter(log_corrupt=1, epoch_met=1, history_resumed=1)

    run(main, seed=2)


@pytest.mark.parametrize("seed", range(10))
def test_a_broken_log_is_told_of_once_however_often_the_projector_begins_again(seed: int) -> None:
    async def main(world: World) -> None:
        rng = world.rng("script")
        log = await projected(world, entries=30, forgets=False)
        spoilt = rng.randint(2, 30)
        data = log.maker.made[spoilt - 1].data
        log.spoil(spoilt, data[:-1] + bytes([data[-1] ^ 0x7F]))
        log.start()
        for round_ in range(8):
            await asyncio.sleep(rng.choice([0.0, 0.01, 0.03, 0.3]))
            world.crash("projector")
            world.restart("projector")
            if round_ == 4:
                await log.snapshot()
            log.maker.add(3)
            await log.write()
        await log.caught_up()
        assert sorted(log.told()) == sorted(log.maker.ends())
        assert log.own_events()["log_corrupt"] == 1

    run(main, seed=seed)


def test_a_log_that_was_trimmed_further_than_history_reached_gives_what_its_snapshot_knows() -> None:
    async def main(world: World) -> None:
        log = await projected(world, entries=60, forgets=False)
        key = await log.snapshot()
        log.maker.add(20)
        await log.write()
        await log.trim(before=int(key.rpartition(".")[2]) + 1)
        log.start()
        await log.caught_up()
        world.crash("projector")
        world.restart("projector")
        log.maker.add(5)
        await log.write()
        await log.caught_up()
        assert sorted(log.told()) == sorted(log.maker.ends())
        assert log.own_events() == Counter(history_gap=1, epoch_met=1, history_resumed=1)

    run(main, seed=3)


@pytest.mark.parametrize("seed", range(10))
def test_bridging_a_gap_is_taken_up_where_it_stopped(seed: int) -> None:
    async def main(world: World) -> None:
        rng = world.rng("script")
        log = await projected(world, entries=60, forgets=False)
        key = await log.snapshot()
        await log.write()
        await log.trim(before=int(key.rpartition(".")[2]) + 1)
        log.start()
        for _ in range(10):
            await asyncio.sleep(rng.uniform(0.0, 0.05))
            world.crash("projector")
            world.restart("projector")
        await log.caught_up()
        assert sorted(log.told()) == sorted(log.maker.ends())

    run(main, seed=seed)


def test_a_log_without_beginning_and_without_snapshot_is_waited_for() -> None:
    async def main(world: World) -> None:
        log = await projected(world, entries=60, forgets=False)
        await log.trim(before=30)
        log.start()
        await asyncio.sleep(5.0)
        assert not log.ledger.rows
        assert any("No snapshot leads over it yet" in notice for notice in log.notices)
        await log.snapshot()
        await log.write()
        await log.caught_up()
        assert sorted(log.told()) == sorted(log.maker.ends())

    run(main, seed=3)


def test_a_snapshot_that_cannot_be_read_is_passed_over() -> None:
    async def main(world: World) -> None:
        log = await projected(world, entries=20)
        key = await log.snapshot()
        await log.write()
        log.start()
        await log.caught_up()
        world.crash("projector")
        await world.cluster.connect("vandal").blobs.put(key, b"nonsense")
        world.restart("projector")
        log.maker.add(10)
        await log.write()
        await log.caught_up()
        log.check_whole()

    run(main, seed=1)
