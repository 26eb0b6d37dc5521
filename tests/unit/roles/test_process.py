"""One process: its lease, the roles it wins, and how it lets them go. In virtual time, without faults but the one."""

from __future__ import annotations

import asyncio
import itertools

import msgspec
import pytest

from ohmesh.engines.memory.faults import CallFaults, EngineFaults
from ohmesh.errors import Fenced, InvalidArgument
from ohmesh.protocols.membership.assignment import decode_assignment
from ohmesh.roles.process_config import ProcessConfig
from ohmesh.roles.role_claims import ASSIGNMENT_KEY
from ohmesh.simulator.process import Process
from ohmesh.simulator.world import World, WorldOptions, run
from tests.unit.roles.role_watch import ACT_S, CONFIG, Life, RoleWatch

ROLES = ("dispatcher-0", "dispatcher-1", "dispatcher-2", "projector")
START_S = 1.0
TAKEOVER_S = 3.5


def owners(world: World) -> dict[str, str]:
    entry = world.cluster.state.get(ASSIGNMENT_KEY)
    if entry is None or entry.value is None:
        return {}
    return {
        role: each.process for role, each in decode_assignment(entry.value, entry.revision).holdings.items()
    }


async def two_nodes(world: World) -> RoleWatch:
    watch = RoleWatch(world)
    for name in ("node-1", "node-2"):
        world.start(name, watch.main(ROLES))
    await watch.until_acting(ROLES, within_s=START_S)
    return watch


def other_than(name: str) -> str:
    return "node-2" if name == "node-1" else "node-1"


def test_roles_spread_over_processes_that_start_together() -> None:
    async def main(world: World) -> list[str]:
        watch = await two_nodes(world)
        return sorted(watch.acting(role) for role in ROLES)

    assert run(main, seed=1).result == ["node-1", "node-1", "node-2", "node-2"]


def test_a_single_process_takes_every_role() -> None:
    async def main(world: World) -> dict[str, str]:
        watch = RoleWatch(world)
        world.start("only", watch.main(ROLES))
        await watch.until_acting(ROLES, within_s=START_S, by="only")
        return owners(world)

    assert run(main, seed=1).result == dict.fromkeys(ROLES, "only")


@pytest.mark.parametrize("seed", range(10))
def test_after_a_kill_the_other_process_acts_within_three_and_a_half_seconds(seed: int) -> None:
    async def main(world: World) -> None:
        watch = await two_nodes(world)
        await asyncio.sleep(world.rng("kill").uniform(0.0, 2.0))
        victim = watch.acting("dispatcher-0")
        world.crash(victim)
        await watch.until_acting(ROLES, within_s=TAKEOVER_S, by=other_than(victim))
        watch.check_one_at_a_time()

    run(main, seed=seed)


def test_a_takeover_happens_although_no_watch_shows_anything() -> None:
    deaf = EngineFaults(watch_delay_ms=(1e9, 1e9))

    async def main(world: World) -> None:
        watch = RoleWatch(world)
        for name in ("node-1", "node-2"):
            world.start(name, watch.main(ROLES))
        await watch.until_acting(ROLES, within_s=START_S)
        victim = watch.acting("projector")
        world.crash(victim)
        bound_s = (CONFIG.lease_ttl_ms + CONFIG.check_every_ms + CONFIG.claim_step_ms) / 1000 + 0.2
        await watch.until_acting(ROLES, within_s=bound_s, by=other_than(victim))
        watch.check_one_at_a_time()

    run(main, seed=3, options=WorldOptions(faults=deaf))


def test_a_clean_stop_hands_the_roles_over_at_once() -> None:
    async def main(world: World) -> None:
        watch = await two_nodes(world)
        victim = watch.acting("projector")
        await world.stop(victim)
        assert victim not in owners(world).values()
        assert world.cluster.state.get(f"lease.{victim}") is None
        await watch.until_acting(ROLES, within_s=0.5, by=other_than(victim))
        watch.check_one_at_a_time()

    run(main, seed=1)


def test_a_clean_stop_gives_a_role_back_only_when_it_has_ended() -> None:
    seen: list[dict[str, str]] = []

    async def main(world: World) -> None:
        watch = RoleWatch(world)

        def slow_to_end(process: Process) -> Life:
            async def live(term: int) -> None:
                try:
                    await asyncio.Event().wait()
                finally:
                    await asyncio.sleep(0.5)
                    seen.append(owners(world))

            return live

        world.start("only", watch.main((), lives={"slow": slow_to_end}))
        await asyncio.sleep(START_S)
        await world.stop("only")
        assert owners(world) == {}

    run(main, seed=1)
    assert seen == [{"slow": "only"}]


@pytest.mark.parametrize("is_suspended", [False, True])
def test_a_process_that_was_stopped_too_long_never_acts_again_in_its_old_term(is_suspended: bool) -> None:
    async def main(world: World) -> None:
        watch = await two_nodes(world)
        victim = watch.acting("dispatcher-0")
        (world.suspend if is_suspended else world.pause)(victim)
        await watch.until_acting(ROLES, within_s=TAKEOVER_S + 0.5, by=other_than(victim))
        world.resume(victim)
        await asyncio.sleep(2.0)
        assert watch.acting("dispatcher-0") == other_than(victim)
        watch.check_one_at_a_time()

    run(main, seed=1)


def test_a_short_stop_costs_no_role() -> None:
    async def main(world: World) -> None:
        watch = await two_nodes(world)
        before = owners(world)
        world.pause("node-1")
        await asyncio.sleep(1.0)
        world.resume("node-1")
        await watch.until_acting(ROLES, within_s=0.5)
        assert owners(world) == before
        assert watch.ends == 0

    run(main, seed=1)


def test_roles_end_before_the_lease_does_although_the_renewal_still_hangs() -> None:
    async def main(world: World) -> None:
        watch = await two_nodes(world)
        victim = watch.acting("dispatcher-0")
        key = f"lease.{victim}"
        world.cluster.partition(victim)
        while watch.processes[victim].roles():
            await asyncio.sleep(ACT_S)
        assert world.cluster.state.get(key) is not None
        assert not watch.processes[victim].holds_lease()
        await watch.until_acting(ROLES, within_s=TAKEOVER_S, by=other_than(victim))
        world.cluster.heal(victim)
        await asyncio.sleep(3.0)
        watch.check_one_at_a_time()

    run(main, seed=1)


def test_without_the_engine_roles_stop_and_the_process_lives_on() -> None:
    async def main(world: World) -> None:
        watch = await two_nodes(world)
        world.cluster.kill_server()
        await asyncio.sleep(10.0)
        assert not any(process.roles() for process in watch.processes.values())
        world.cluster.start_server()
        await watch.until_acting(ROLES, within_s=TAKEOVER_S)
        assert all(process.is_alive for process in world.processes.values())
        watch.check_one_at_a_time()

    run(main, seed=1)


def test_an_engine_that_is_back_within_the_lease_costs_no_role() -> None:
    async def main(world: World) -> None:
        watch = await two_nodes(world)
        before = owners(world)
        world.cluster.kill_server()
        await asyncio.sleep(0.7)
        world.cluster.start_server()
        await asyncio.sleep(3.0)
        assert owners(world) == before
        assert watch.ends == 0

    run(main, seed=1)


@pytest.mark.parametrize("seed", range(5))
def test_a_successor_of_the_same_name_waits_for_the_old_lease_and_takes_new_terms(seed: int) -> None:
    async def main(world: World) -> None:
        watch = RoleWatch(world)
        world.start("only", watch.main(ROLES))
        await watch.until_acting(ROLES, within_s=START_S)
        old = {role: watch.starts[role][-1].term for role in ROLES}
        world.crash("only")
        died_s = world.loop.time()
        world.restart("only")
        await asyncio.sleep(0.2)
        await watch.until_acting(ROLES, within_s=TAKEOVER_S)
        assert world.loop.time() > died_s + 1.0
        assert all(watch.starts[role][-1].term > old[role] for role in ROLES)
        watch.check_one_at_a_time()

    run(main, seed=seed)


def test_claims_and_renewals_survive_lost_answers() -> None:
    lossy = EngineFaults(state=CallFaults(ack_lost=0.3, delay_ms=(0.1, 5.0)))

    async def main(world: World) -> None:
        watch = RoleWatch(world)
        world.start("only", watch.main(ROLES))
        await watch.until_acting(ROLES, within_s=20.0)
        watch.check_one_at_a_time()

    run(main, seed=4, options=WorldOptions(faults=lossy))


def test_a_failed_role_rests_where_it_failed_and_starts_elsewhere_in_a_later_term() -> None:
    async def main(world: World) -> list[tuple[str, int]]:
        watch, runs = RoleWatch(world), list[tuple[str, int]]()

        def fails_once(process: Process) -> Life:
            async def live(term: int) -> None:
                runs.append((process.name, term))
                if len(runs) == 1:
                    await asyncio.sleep(0.1)
                    raise ValueError("a defect of the role")
                await asyncio.Event().wait()

            return live

        for name in ("node-1", "node-2"):
            world.start(name, watch.main((), lives={"frail": fails_once}))
        await asyncio.sleep(2.0)
        assert any("a defect of the role" in notice for notice in watch.notices)
        assert owners(world) == {"frail": runs[-1][0]}
        return runs

    (first, first_term), (second, second_term) = run(main, seed=1).result
    assert first != second
    assert second_term > first_term


def test_a_role_that_always_fails_is_tried_ever_more_rarely_and_takes_nothing_else_down() -> None:
    async def main(world: World) -> list[float]:
        watch, tries = RoleWatch(world), list[float]()

        def always_fails(process: Process) -> Life:
            async def live(term: int) -> None:
                tries.append(world.loop.time())
                raise Fenced(f"term {term} is too old")

            return live

        world.start("only", watch.main(ROLES, lives={"doomed": always_fails}))
        await asyncio.sleep(60.0)
        await watch.until_acting(ROLES, within_s=0.1)
        assert watch.ends == 0
        return tries

    tries = run(main, seed=1).result
    pauses = [after - before for before, after in itertools.pairwise(tries)]
    assert pauses[0] < 1.0
    assert all(pause < CONFIG.backoff_max_ms / 1000 + 1.0 for pause in pauses)
    assert all(pause > CONFIG.backoff_max_ms / 2000 for pause in pauses[-3:])


def test_a_role_that_will_not_end_is_told_of_and_given_to_another() -> None:
    async def main(world: World) -> None:
        watch = RoleWatch(world)

        def stubborn(process: Process) -> Life:
            async def live(term: int) -> None:
                ends_s = world.loop.time() + 30.0
                while world.loop.time() < ends_s:
                    try:
                        await asyncio.sleep(1.0)
                    except asyncio.CancelledError:
                        # Exactly what a role must not do.
                        continue

            return live

        world.start("node-1", watch.main((), lives={"stubborn": stubborn}))
        await asyncio.sleep(START_S)
        world.cluster.partition("node-1")
        world.start("node-2", watch.main(("stubborn",)))
        await watch.until_acting(("stubborn",), within_s=TAKEOVER_S, by="node-2")
        world.cluster.heal("node-1")
        await asyncio.sleep(3.0)
        assert any("has not ended" in notice for notice in watch.notices)
        assert watch.acting("stubborn") == "node-2"

    run(main, seed=1)


def test_a_cancellation_that_a_library_lost_is_repeated() -> None:
    async def main(world: World) -> None:
        watch = RoleWatch(world)

        def deaf_once(process: Process) -> Life:
            async def live(term: int) -> None:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    await asyncio.Event().wait()

            return live

        world.start("only", watch.main((), lives={"deaf": deaf_once}))
        await asyncio.sleep(START_S)
        before_s = world.loop.time()
        await world.stop("only")
        assert world.loop.time() - before_s < 2 * CONFIG.role_stop_ms / 1000 + 0.1
        assert owners(world) == {}
        assert not watch.processes["only"].roles()

    run(main, seed=1)


def test_a_role_of_ours_that_this_version_does_not_know_is_given_back() -> None:
    async def main(world: World) -> None:
        watch = RoleWatch(world)
        world.start("only", watch.main(("old-role", "projector")))
        await watch.until_acting(("old-role", "projector"), within_s=START_S)
        world.crash("only")
        world.start("only", watch.main(("projector",)))
        await asyncio.sleep(0.2)
        await watch.until_acting(("projector",), within_s=TAKEOVER_S)
        assert owners(world) == {"projector": "only"}

    run(main, seed=1)


def test_whoever_writes_the_record_by_hand_decides_who_stops() -> None:
    async def main(world: World) -> None:
        watch = RoleWatch(world)
        world.start("only", watch.main(("projector",)))
        await watch.until_acting(("projector",), within_s=START_S)
        before = watch.starts["projector"][-1].term
        state = world.cluster.connect("operator").state
        await state.put(
            ASSIGNMENT_KEY, msgspec.msgpack.encode({"projector": {"process": "nobody", "term": 0}})
        )
        await asyncio.sleep(1.0)
        assert watch.ends == 1
        assert watch.starts["projector"][-1].term > before
        watch.check_one_at_a_time()

    run(main, seed=1)


def test_a_lease_that_no_lost_renewal_may_survive_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="One lost renewal"):
        ProcessConfig(renew_every_ms=2000)


def test_a_lease_counts_from_the_sending_of_its_renewal_not_from_the_answer() -> None:
    slow = EngineFaults(state=CallFaults(slow=1.0, slow_ms=(900.0, 900.0)))

    async def main(world: World) -> None:
        watch = RoleWatch(world)
        world.start("only", watch.main(ROLES))
        await asyncio.sleep(0.95)
        assert watch.processes["only"].holds_lease()
        world.cluster.partition("only")
        lasts_s = (CONFIG.lease_ttl_ms - CONFIG.lease_margin_ms) / 1000
        await asyncio.sleep(lasts_s - 0.95 - 0.01)
        assert watch.processes["only"].holds_lease()
        await asyncio.sleep(0.02)
        assert not watch.processes["only"].holds_lease()

    run(main, seed=1, options=WorldOptions(faults=slow))
