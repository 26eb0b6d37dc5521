"""A run in virtual time: time passes at once, faults come when they are told to, a seed replays."""

from __future__ import annotations

import asyncio

import pytest

from ohmesh import AsyncMesh, agent, testing
from ohmesh.errors import InvalidArgument, SimulationEscape, SimulationTooLong, TaskTimedOut
from ohmesh.testing import Control, Fault, FaultKind, FaultOptions, Faults, RunOptions

LOST = Faults(
    delivery_ms=(1, 300),
    lost_messages=0.1,
    duplicated_messages=0.1,
    write_ms=(1, 50),
    lost_acknowledgements=0.1,
    late_writes=0.05,
)


@agent(kind="work", timeout=60, retries=3)
async def work(number: int, seconds: float = 1.0) -> int:
    await asyncio.sleep(seconds)
    return number


def test_an_hour_of_delay_passes_and_is_kept() -> None:
    async def scenario(mesh: AsyncMesh, control: Control) -> float:
        began_s = control.now()
        assert await mesh.call("work", 1, delay=3600) == 1
        return control.now() - began_s

    report = testing.run(scenario, [work])
    assert 3600 < report.result < 3605


def test_the_same_seed_is_the_same_run_and_another_is_another() -> None:
    async def scenario(mesh: AsyncMesh, control: Control) -> list[object]:
        control.switch(LOST)
        handles = [mesh.submit_nowait("work", number) for number in range(20)]
        control.play(control.draw(FaultOptions(during_s=10.0)))
        await control.sleep(15)
        control.heal()
        return [await handle.result() for handle in handles]

    first, again, other = (
        testing.run(scenario, [work], seed=seed, options=RunOptions(workers=2, nodes=2)) for seed in (3, 3, 4)
    )
    assert first == again
    assert first.digest != other.digest
    assert first.result == other.result == list(range(20))


def test_what_a_killed_worker_held_is_done_by_another() -> None:
    started: list[int] = []

    @agent(kind="held", timeout=100)
    async def held(number: int) -> int:
        started.append(number)
        await asyncio.sleep(20)
        return number

    async def scenario(mesh: AsyncMesh, control: Control) -> str:
        handle = await mesh.submit("held", 5)
        await control.until(lambda: started == [5])
        control.kill_worker((await mesh.get(handle.id)).host)
        assert await handle.result() == 5
        return (await mesh.get(handle.id)).host

    report = testing.run(scenario, [held], options=RunOptions(workers=2))
    assert report.result in ("worker-1", "worker-2")
    assert started == [5, 5]


def test_a_killed_worker_that_is_restarted_goes_on() -> None:
    async def scenario(mesh: AsyncMesh, control: Control) -> None:
        handle = await mesh.submit("work", 1, 30.0)
        await control.sleep(5)
        control.kill_worker()
        await control.sleep(60)
        assert (await mesh.workers()).workers[0].liveness == "offline"
        control.restart_worker()
        assert await handle.result() == 1

    assert testing.run(scenario, [work]).virtual_s > 90


def test_a_worker_that_was_cut_off_or_stood_still_commits_no_second_result() -> None:
    started: list[int] = []

    @agent(kind="counted", timeout=100)
    async def counted(number: int) -> int:
        started.append(number)
        await asyncio.sleep(10)
        return number

    async def scenario(mesh: AsyncMesh, control: Control) -> None:
        for number, fault, cure in (
            (1, control.partition, control.heal),
            (2, control.stop, control.go_on),
        ):
            handle = await mesh.submit("counted", number)
            await control.until(lambda number=number: number in started)  # type: ignore[misc]  # bound now
            host = (await mesh.get(handle.id)).host
            fault(host)
            assert await handle.result() == number
            cure(host)
            await control.sleep(60)

    testing.run(scenario, [counted], options=RunOptions(workers=2))
    assert started == [1, 1, 2, 2]


def test_a_dead_engine_keeps_what_it_acknowledged() -> None:
    async def scenario(mesh: AsyncMesh, control: Control) -> None:
        handle = await mesh.submit("work", 1, 10.0)
        control.kill_engine()
        await control.sleep(30)
        control.start_engine()
        assert await handle.result() == 1
        control.stop_engine()
        late = mesh.submit_nowait("work", 2)
        await control.sleep(10)
        assert late.state == "submitted"
        control.engine_goes_on()
        assert await late.result() == 2

    assert testing.run(scenario, [work]).virtual_s > 40


def test_a_second_node_takes_over_from_a_killed_one() -> None:
    async def scenario(mesh: AsyncMesh, control: Control) -> tuple[str, str]:
        (before,) = (await mesh.status()).dispatchers
        control.kill_node(before.owner)
        assert await mesh.call("work", 1) == 1
        (after,) = (await mesh.status()).dispatchers
        control.restart_node(before.owner)
        return before.owner, after.owner

    before, after = testing.run(scenario, [work], options=RunOptions(nodes=2)).result
    assert {before, after} == {"node-1", "node-2"}


def test_a_timeout_costs_its_time_and_its_retries_theirs() -> None:
    async def scenario(mesh: AsyncMesh, control: Control) -> float:
        with pytest.raises(TaskTimedOut):
            await mesh.call("work", 1, 3600.0)
        return control.now()

    assert testing.run(scenario, [work]).result > 4 * 60


def test_a_script_of_faults_is_played_and_ends_by_itself() -> None:
    async def scenario(mesh: AsyncMesh, control: Control) -> None:
        control.play(
            [Fault(1.0, FaultKind.KILL_SERVER, "", 5.0), Fault(8.0, FaultKind.CRASH, "worker-1", 20.0)]
        )
        handles = [mesh.submit_nowait("work", number, 10.0) for number in range(10)]
        assert [await handle.result() for handle in handles] == list(range(10))

    assert testing.run(scenario, [work]).virtual_s > 8.0 + 20.0 + 10.0


def test_what_is_unfinished_at_the_end_of_the_scenario_is_waited_for_after_healing() -> None:
    ended: list[int] = []

    @agent(kind="slow", timeout=1000)
    async def slow(number: int) -> None:
        await asyncio.sleep(500)
        ended.append(number)

    async def scenario(mesh: AsyncMesh, control: Control) -> None:
        await mesh.submit("slow", 1)
        control.kill_worker()

    testing.run(scenario, [slow])
    assert ended == [1]


def test_a_task_may_wait_that_is_not_due_or_paused_or_that_nobody_does() -> None:
    async def scenario(mesh: AsyncMesh, control: Control) -> None:
        await mesh.submit("work", 1, delay=50_000)
        await mesh.submit("nobody", 1)
        await mesh.submit("work", 1, requires=["gpu"])
        await mesh.submit("work", 1, requires=["host:worker-2"])
        assert await mesh.call("work", 3, requires=["host:worker-1"]) == 3
        await mesh.pause("work")
        await mesh.submit("work", 2)

    assert testing.run(scenario, [work]).virtual_s < 60


def test_a_task_that_never_ends_breaks_the_promise_and_the_seed_is_named() -> None:
    async def scenario(mesh: AsyncMesh, control: Control) -> None:
        await mesh.submit("work", 1, 30.0)

    with pytest.raises(testing.PromiseBroken, match=r"1 accepted tasks are lost.*The seed is 11\.") as caught:
        testing.run(scenario, [work], seed=11, options=RunOptions(settle_s=5.0))
    assert "seed=11" in str(caught.value)


def test_what_the_scenario_raises_carries_the_seed() -> None:
    async def scenario(mesh: AsyncMesh, control: Control) -> None:
        await mesh.call("work", 1)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine") as caught:
        testing.run(scenario, [work], seed=12)
    assert "seed 12" in caught.value.__notes__[0]


def test_a_scenario_that_waits_for_nothing_is_given_up() -> None:
    async def scenario(mesh: AsyncMesh, control: Control) -> None:
        await asyncio.Event().wait()

    with pytest.raises(SimulationTooLong):
        testing.run(scenario, [work], options=RunOptions(virtual_s_max=300.0))


def test_a_thread_is_refused_in_virtual_time() -> None:
    async def scenario(mesh: AsyncMesh, control: Control) -> None:
        await asyncio.to_thread(int)

    with pytest.raises(SimulationEscape):
        testing.run(scenario, [work])


def test_a_condition_that_does_not_come_true_is_given_up() -> None:
    async def scenario(mesh: AsyncMesh, control: Control) -> None:
        await control.until(lambda: False, within_s=100)

    with pytest.raises(TimeoutError, match="within 100 s"):
        testing.run(scenario)


@pytest.mark.parametrize("act", ["kill_worker", "restart_worker", "kill_node", "stop", "partition", "heal"])
def test_a_name_that_is_not_there_is_refused_with_those_that_are(act: str) -> None:
    async def scenario(mesh: AsyncMesh, control: Control) -> None:
        getattr(control, act)("worker-9")

    with pytest.raises(InvalidArgument, match=r"no 'worker-9'.*-1"):
        testing.run(scenario, [work])


def test_only_what_was_killed_is_restarted() -> None:
    async def scenario(mesh: AsyncMesh, control: Control) -> None:
        control.restart_worker()

    with pytest.raises(InvalidArgument, match="'worker-1' is running"):
        testing.run(scenario, [work])


def test_a_mesh_has_a_node_and_a_worker() -> None:
    async def scenario(mesh: AsyncMesh, control: Control) -> None:
        raise AssertionError("it never begins")

    for options in (RunOptions(workers=0), RunOptions(nodes=0)):
        with pytest.raises(InvalidArgument, match="make no mesh"):
            testing.run(scenario, [work], options=options)


def test_chance_follows_from_the_seed() -> None:
    async def scenario(mesh: AsyncMesh, control: Control) -> tuple[int, float, float]:
        assert control.draw(name="a") == control.draw(name="a") != control.draw(name="b")
        return control.seed, control.rng().random(), control.rng("mine").random()

    one, again, other = (testing.run(scenario, seed=seed).result for seed in (1, 1, 2))
    assert one == again
    assert one[0] == 1
    assert len({*one[1:], *other[1:]}) == 4
