"""Worlds: processes live, pause, die and come back, and one seed is one run."""

from __future__ import annotations

import asyncio

import pytest

from ohmesh.engines.memory.faults import CallFaults, EngineFaults
from ohmesh.errors import (
    Fenced,
    InvalidArgument,
    SimulationError,
    SimulationStuck,
    SimulationTooLong,
)
from ohmesh.ports.log import Entry
from ohmesh.simulator.faults import FaultKind, FaultOptions, draw_script, play
from ohmesh.simulator.loop import LoopLimits
from ohmesh.simulator.process import Condition, Process
from ohmesh.simulator.world import World, WorldOptions, run
from tests.unit.simulator.passing_time import pass_time


async def beat(process: Process) -> None:
    """Publishes a number every 100 ms."""
    number = 0
    while True:
        await process.engine.bus.publish("beat", b"%d/%d" % (process.incarnation, number))
        number += 1
        await asyncio.sleep(0.1)


class Ear:
    """Hears the beats from outside of all processes."""

    def __init__(self, world: World) -> None:
        self.heard: list[tuple[float, str]] = []
        self._world = world
        self._engine = world.cluster.connect("ear")

    async def listen(self) -> Ear:
        await self._engine.bus.subscribe(
            "beat",
            lambda message: self.heard.append((self._world.loop.time(), message.data.decode("latin-1"))),
        )
        return self

    def between(self, begin: float, end: float) -> list[str]:
        return [beat for at, beat in self.heard if begin < at <= end]


def test_a_process_runs_with_its_own_engine_clock_and_entropy() -> None:
    async def main(world: World) -> None:
        seen: list[tuple[int, int, float]] = []

        async def look(process: Process) -> None:
            seen.append((process.clock.now_ms(), process.clock.monotonic_ms(), process.entropy.bits(60)))

        for name in ("a", "b"):
            world.start(name, look)
        await pass_time(1.0)
        world.restart("a")
        await pass_time(1.0)
        walls, monotonics, bits = zip(*seen, strict=True)
        assert walls[2] - walls[0] == 1000
        assert walls[0] != walls[1]
        assert len(set(monotonics)) == 3
        assert len(set(bits)) == 3

    run(main, seed=1, options=WorldOptions(clock_error_ms=(-5000, 5000)))


def test_a_killed_process_does_nothing_more_not_even_finally() -> None:
    async def main(world: World) -> None:
        effects: list[str] = []

        async def stubborn(process: Process) -> None:
            loop = asyncio.get_running_loop()
            loop.call_later(2.0, effects.append, "timer")
            child = asyncio.create_task(beat(process))
            try:
                await child
            except asyncio.CancelledError:
                effects.append("cancelled")
            finally:
                effects.append("finally")
                await process.engine.bus.publish("beat", b"from the grave")

        ear = await Ear(world).listen()
        process = world.start("p", stubborn)
        await pass_time(1.05)
        world.crash("p")
        await process.ended
        await pass_time(10.0)
        assert process.condition is Condition.CRASHED
        assert len(ear.heard) == 11
        assert effects == []

    run(main, seed=1)


def test_what_a_killed_process_awaited_never_comes_back_to_it() -> None:
    async def main(world: World) -> None:
        after: list[int] = []

        async def append(process: Process) -> None:
            await process.engine.log.create("log")
            after.append(await process.engine.log.append("log", b"x", expected=0))
            after.append(await process.engine.log.append("log", b"y", expected=1))

        world.start("p", append)
        await pass_time(0.15)
        world.crash("p")
        await pass_time(10.0)
        assert after == []
        assert world.cluster.history("log") in ([], [Entry(1, b"x")])

    slow = EngineFaults(append=CallFaults(delay_ms=(1000, 1000)))
    for seed in range(6):
        run(main, seed=seed, options=WorldOptions(faults=slow))


def test_a_restarted_process_begins_anew_and_the_old_one_stays_silent() -> None:
    async def main(world: World) -> list[str]:
        ear = await Ear(world).listen()
        world.start("p", beat)
        await pass_time(0.25)
        world.crash("p")
        await pass_time(1.0)
        assert world.restart("p").incarnation == 2
        await pass_time(0.25)
        return [beat for _, beat in ear.heard]

    assert run(main, seed=1).result == ["1/0", "1/1", "1/2", "2/0", "2/1", "2/2"]


def test_a_paused_process_stands_still_and_then_goes_on() -> None:
    async def main(world: World) -> None:
        ear = await Ear(world).listen()
        world.start("p", beat)
        await pass_time(1.05)
        world.pause("p")
        await pass_time(10.0)
        assert ear.between(1.05, 11.05) == []
        world.resume("p")
        await pass_time(0.3)
        assert ear.between(11.0, 11.3) == ["1/11", "1/12", "1/13"]

    run(main, seed=1)


def test_a_paused_process_hears_after_the_pause_what_was_said_meanwhile() -> None:
    async def main(world: World) -> list[float]:
        times: list[float] = []

        async def listen(process: Process) -> None:
            await process.engine.bus.subscribe("s", lambda _: times.append(world.loop.time()))
            await asyncio.Event().wait()

        world.start("p", listen)
        sender = world.cluster.connect("sender")
        await pass_time(1.0)
        world.pause("p")
        await sender.bus.publish("s", b"")
        await pass_time(4.0)
        await sender.bus.publish("s", b"")
        world.resume("p")
        await pass_time(1.0)
        return times

    assert run(main, seed=1).result == [5.0, 5.0]


def test_a_suspended_process_does_not_know_how_long_it_slept() -> None:
    async def main(world: World) -> list[tuple[int, int]]:
        process = world.start("p", beat)
        begin = process.clock.monotonic_ms(), process.clock.now_ms()
        spans = []
        for stop in (world.suspend, world.pause):
            await pass_time(1.0)
            stop("p")
            await pass_time(7.0)
            world.resume("p")
            spans.append((process.clock.monotonic_ms() - begin[0], process.clock.now_ms() - begin[1]))
        return spans

    assert run(main, seed=1).result == [(1000, 8000), (9000, 16_000)]


def test_a_stopped_process_ends_in_its_own_way() -> None:
    async def main(world: World) -> list[str]:
        said: list[str] = []

        async def polite(process: Process) -> None:
            try:
                await beat(process)
            finally:
                await pass_time(2.0)
                await process.engine.bus.publish("beat", b"goodbye")
                said.append("goodbye")

        ear = await Ear(world).listen()
        process = world.start("p", polite)
        await pass_time(0.05)
        await world.stop("p")
        await pass_time(1.0)
        assert process.condition is Condition.ENDED
        assert world.loop.time() == pytest.approx(3.05)
        return [*said, *(beat for _, beat in ear.heard)]

    assert run(main, seed=1).result == ["goodbye", "1/0", "goodbye"]


def test_a_process_that_dies_of_itself_fails_the_run() -> None:
    async def main(world: World) -> None:
        async def fail(_: Process) -> None:
            await pass_time(1.0)
            raise KeyError("mine")

        world.start("p", fail)
        await pass_time(3000.0)

    with pytest.raises(SimulationError, match=r"p/1 died of KeyError\('mine'\) \(seed 9\)") as raised:
        run(main, seed=9)
    assert isinstance(raised.value.__cause__, KeyError)


def test_a_process_may_die_of_what_is_tolerated() -> None:
    async def main(world: World) -> Condition:
        async def fail(_: Process) -> None:
            raise Fenced("replaced")

        process = world.start("p", fail)
        await process.ended
        assert isinstance(process.failure, Fenced)
        world.restart("p")
        await pass_time(1.0)
        return process.condition

    assert run(main, seed=1, options=WorldOptions(tolerated=(Fenced,))).result is Condition.ENDED


def test_one_name_is_one_living_process() -> None:
    async def main(world: World) -> None:
        world.start("p", beat)
        with pytest.raises(InvalidArgument, match="running"):
            world.start("p", beat)
        with pytest.raises(InvalidArgument, match="running"):
            world.restart("p")

    run(main, seed=1)


def test_a_failure_carries_its_seed_and_the_end_of_the_trace() -> None:
    async def wait(world: World) -> None:
        world.start("p", beat)
        await asyncio.Event().wait()

    async def fail(world: World) -> None:
        world.start("p", beat)
        await pass_time(0.25)
        raise AssertionError("found")

    with pytest.raises(AssertionError, match="found") as raised:
        run(fail, seed=77)
    note = raised.value.__notes__[0]
    assert note.startswith("seed 77,")
    assert "message beat 3 bytes" in note
    with pytest.raises(SimulationTooLong, match="50 s of virtual time; waiting: task-") as too_long:
        run(wait, seed=78, options=WorldOptions(loop=LoopLimits(max_virtual_s=50)))
    assert too_long.value.__notes__[0].startswith("seed 78,")


def test_a_world_in_which_nobody_can_go_on_is_stuck() -> None:
    async def wait(_: Process) -> None:
        await asyncio.Event().wait()

    async def main(world: World) -> None:
        await world.start("p", wait).ended

    with pytest.raises(SimulationStuck, match="p/1/main"):
        run(main, seed=1)


def test_a_script_is_drawn_from_the_seed_in_order_and_within_its_time() -> None:
    async def main(world: World) -> None:
        script = draw_script(world.rng("script"), ["a", "b"], FaultOptions(during_s=500.0, power_cut=1.0))
        assert script == draw_script(
            world.rng("script"), ["a", "b"], FaultOptions(during_s=500.0, power_cut=1.0)
        )
        assert [fault.at_s for fault in script] == sorted(fault.at_s for fault in script)
        assert script[-1].at_s < 500.0
        assert {fault.kind for fault in script} == set(FaultKind)
        assert {fault.target for fault in script} == {"a", "b", ""}
        of_server = draw_script(world.rng("script"), [], FaultOptions(during_s=100.0))
        assert {fault.target for fault in of_server} == {""}

    run(main, seed=3)


def test_a_script_is_played_and_heal_brings_everything_back() -> None:
    async def main(world: World) -> None:
        ear = await Ear(world).listen()
        for name in ("a", "b", "c"):
            world.start(name, tolerant_beat)
        play(
            world,
            draw_script(world.rng("script"), ["a", "b", "c"], FaultOptions(during_s=60.0, power_cut=1.0)),
        )
        await pass_time(60.0)
        words = {line.split()[1] for line in world.trace.lines()}
        assert {"crash", "pause", "partitioned", "server-killed", "server-paused", "power-cut"} <= words
        world.heal()
        assert all(process.condition is Condition.RUNNING for process in world.processes.values())
        assert world.cluster.server.answers
        begin = world.loop.time()
        await pass_time(10.0)
        assert len(ear.between(begin + 5.0, begin + 10.0)) > 140

    run(main, seed=8)


async def tolerant_beat(process: Process) -> None:
    while True:
        await process.engine.bus.publish("beat", b"")
        await asyncio.sleep(0.1)
