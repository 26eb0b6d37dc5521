"""One seed is one run: in this interpreter, in another, and beside one more process."""

from __future__ import annotations

import os
import subprocess
import sys

from ohmesh.engines.memory.faults import BusFaults, CallFaults, EngineFaults
from ohmesh.simulator.process import Process
from ohmesh.simulator.world import World, WorldOptions, run
from tests.unit.simulator.busy_world import busy_world
from tests.unit.simulator.passing_time import pass_time


def test_one_seed_is_one_run_and_another_is_another() -> None:
    first, again, other = (run(busy_world, seed=seed) for seed in (5, 5, 6))
    assert first == again
    assert first.digest != other.digest
    assert first.result > 0


PROGRAM = """
from ohmesh.simulator.world import run
from tests.unit.simulator.busy_world import busy_world

for seed in range(4):
    print(run(busy_world, seed=seed))
"""


def run_program(hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=90,
    )
    return ran.stdout


def test_two_interpreters_with_different_hash_seeds_make_the_same_trace() -> None:
    assert run_program("1") == run_program("4242")


def test_one_more_process_does_not_shift_what_the_others_draw() -> None:
    def drawn(extra: bool) -> list[int]:
        async def main(world: World) -> list[int]:
            bits: list[int] = []

            async def draw(process: Process) -> None:
                if process.name == "watched":
                    bits.extend(process.entropy.bits(60) for _ in range(3))
                await process.engine.state.put(process.name, b"")
                if process.name == "watched":
                    bits.append(round(world.loop.time() * 1e9))

            if extra:
                world.start("extra", draw)
            world.start("watched", draw)
            await pass_time(10.0)
            return bits

        faults = EngineFaults(state=CallFaults(delay_ms=(1, 900)), bus=BusFaults(delay_ms=(1, 900)))
        return run(main, seed=4, options=WorldOptions(faults=faults)).result

    assert drawn(extra=False) == drawn(extra=True)


def test_two_hundred_small_worlds_differ() -> None:
    async def small(world: World) -> int:
        async def write(process: Process) -> None:
            await process.engine.log.create("log")
            await process.engine.log.append("log", process.entropy.bits(64).to_bytes(8, "big"), expected=0)

        await world.start("p", write).ended
        return 1

    assert len({run(small, seed=seed).digest for seed in range(200)}) == 200
