"""Processes under disasters drawn from a seed: never two in one role, and always one again when the disasters end."""

from __future__ import annotations

import asyncio
import os

import pytest

from ohmesh.engines.memory.faults import EngineLimits
from ohmesh.simulator.entropy import stream
from ohmesh.simulator.faults import FaultOptions, draw_engine_faults, draw_script, play
from ohmesh.simulator.world import World, WorldOptions, run
from tests.unit.roles.role_watch import CONFIG, RoleWatch

SEEDS = 100 if os.environ.get("OHMESH_SOAK") == "1" else 16
ROLES = ("dispatcher-0", "dispatcher-1", "projector")
NODES = ("node-1", "node-2", "node-3")
DISASTERS = FaultOptions(during_s=40.0, gap_s=(0.2, 4.0), lasts_s=(0.1, 6.0))
# A predecessor's lease may have just been renewed, its role may rest, and a watch may be silent.
LIVENESS_S = (CONFIG.lease_ttl_ms + CONFIG.backoff_max_ms + CONFIG.check_every_ms) / 1000 + 2.0


def disastrous(seed: int) -> WorldOptions:
    """Clocks that differ by seconds and run up to a twentieth fast or slow, which the margin of the lease covers."""
    faults = draw_engine_faults(stream(seed, "faults"))
    return WorldOptions(
        faults=faults,
        engine=EngineLimits(call_timeout_ms=1500.0, notice_ms=1500.0, reconnect_ms=(0.0, 500.0)),
        clock_error_ms=(-5000.0, 5000.0),
        drift_ppm=(-50_000.0, 50_000.0),
    )


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_disaster_puts_two_processes_into_one_role_and_none_lasts(seed: int) -> None:
    async def main(world: World) -> int:
        watch = RoleWatch(world)
        for name in NODES:
            world.start(name, watch.main(ROLES))
        play(world, draw_script(world.rng("script"), NODES, DISASTERS))
        await asyncio.sleep(DISASTERS.during_s)
        world.heal()
        await watch.until_acting(ROLES, within_s=LIVENESS_S)
        watch.check_one_at_a_time()
        return sum(len(starts) for starts in watch.starts.values())

    assert run(main, seed=seed, options=disastrous(seed)).result > len(ROLES)


def test_a_run_is_the_same_run_again() -> None:
    async def main(world: World) -> list[tuple[str, int]]:
        watch = RoleWatch(world)
        for name in NODES:
            world.start(name, watch.main(ROLES))
        play(world, draw_script(world.rng("script"), NODES, DISASTERS))
        await asyncio.sleep(20.0)
        return [(each.process, each.term) for starts in watch.starts.values() for each in starts]

    first, second = (run(main, seed=7, options=disastrous(7)) for _ in range(2))
    assert (first.result, first.digest) == (second.result, second.digest)
