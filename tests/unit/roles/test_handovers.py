"""Handing over: who joins takes its fair share, in order and with no more than a moment's pause. In virtual time."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter

from ohmesh.simulator.process import Process
from ohmesh.simulator.world import World, run
from tests.unit.roles.role_watch import CONFIG, Life, RoleWatch
from tests.unit.roles.test_process import ROLES, START_S, TAKEOVER_S, owners, two_nodes

JOIN_S = 2.0
MANY = tuple(f"dispatcher-{number}" for number in range(16))


def test_a_process_that_joins_takes_its_fair_share_within_seconds() -> None:
    async def main(world: World) -> list[int]:
        watch = await two_nodes(world)
        world.start("node-3", watch.main(ROLES))
        await asyncio.sleep(JOIN_S)
        await watch.until_acting(ROLES, within_s=0.1)
        watch.check_one_at_a_time()
        assert watch.ends == 1, "nothing else moved"
        return sorted(Counter(watch.acting(role) for role in ROLES).values())

    assert run(main, seed=1).result == [1, 1, 2]


def test_a_role_that_is_handed_over_pauses_for_a_moment_only() -> None:
    async def main(world: World) -> None:
        watch = RoleWatch(world)
        world.start("node-1", watch.main(MANY))
        await watch.until_acting(MANY, within_s=START_S)
        world.start("node-2", watch.main(MANY))
        await asyncio.sleep(2 * JOIN_S)
        watch.check_one_at_a_time()
        assert Counter(watch.acting(role) for role in MANY) == {"node-1": 8, "node-2": 8}
        assert watch.ends == 8
        for acts in watch.acts.values():
            pauses_s = [after.at_s - before.at_s for before, after in itertools.pairwise(acts)]
            assert max(pauses_s) < CONFIG.claim_step_ms / 1000

    run(main, seed=1)


def test_who_is_killed_as_soon_as_it_came_takes_nothing_along() -> None:
    async def main(world: World) -> None:
        watch = await two_nodes(world)
        before = owners(world)
        world.start("node-3", watch.main(ROLES))
        await asyncio.sleep(0.2)
        world.crash("node-3")
        await asyncio.sleep(3 * JOIN_S)
        await watch.until_acting(ROLES, within_s=0.5)
        assert {role: owner for role, owner in owners(world).items() if owner != before[role]} == {}
        watch.check_one_at_a_time()

    run(main, seed=1)


def test_what_an_heir_cannot_run_is_offered_ever_less_often() -> None:
    async def main(world: World) -> None:
        watch = RoleWatch(world)
        world.start("node-1", watch.main(ROLES))
        await watch.until_acting(ROLES, within_s=START_S)
        world.start("node-2", watch.main((), lives=dict.fromkeys(ROLES, failing)))
        await asyncio.sleep(60.0)
        offers = [words for words in watch.notices if "is handed over" in words]
        assert 2 <= len(offers) <= 2 * 7, offers  # two roles each time, after 1, 2, 4, 8, 16 and 32 seconds
        await asyncio.sleep(CONFIG.backoff_max_ms / 1000)
        await watch.until_acting(ROLES, within_s=CONFIG.backoff_max_ms / 1000, by="node-1")
        watch.check_one_at_a_time()

    run(main, seed=1)


def failing(process: Process) -> Life:
    async def live(term: int) -> None:
        raise RuntimeError(f"{process.name} cannot run it")

    return live


def test_a_process_of_an_older_version_is_handed_nothing_and_takes_over_when_nobody_else_is_there() -> None:
    async def main(world: World) -> None:
        watch = RoleWatch(world)
        world.start("node-1", watch.main(ROLES, generation=2))
        await watch.until_acting(ROLES, within_s=START_S)
        world.start("older", watch.main(ROLES, generation=1))
        await asyncio.sleep(3 * JOIN_S)
        assert set(owners(world).values()) == {"node-1"}
        world.start("node-2", watch.main(ROLES, generation=3))
        await asyncio.sleep(JOIN_S)
        assert Counter(owners(world).values()) == {"node-1": 2, "node-2": 2}
        world.crash("node-1")
        world.crash("node-2")
        await watch.until_acting(ROLES, within_s=TAKEOVER_S, by="older")
        watch.check_one_at_a_time()

    run(main, seed=1)


def test_a_process_of_a_newer_version_takes_its_share_from_an_older_one() -> None:
    async def main(world: World) -> None:
        watch = RoleWatch(world)
        world.start("older", watch.main(ROLES, generation=1))
        await watch.until_acting(ROLES, within_s=START_S)
        world.start("newer", watch.main(ROLES, generation=2))
        await asyncio.sleep(2 * JOIN_S)
        assert Counter(owners(world).values()) == {"older": 2, "newer": 2}
        watch.check_one_at_a_time()

    run(main, seed=1)
