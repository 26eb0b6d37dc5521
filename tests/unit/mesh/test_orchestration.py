"""Dispatching to the node that should do it, in virtual time: scores, breakers, fallbacks, and what is reported."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from ohmesh import AsyncMesh, agent, testing
from ohmesh.errors import InvalidArgument, MeshUnreachable
from ohmesh.mesh.opening import Agent
from ohmesh.mesh.orchestration import Orchestration, OrchestrationResult
from ohmesh.policies.breaker import BreakerState

Story = Callable[[Orchestration, AsyncMesh, testing.Control], Coroutine[Any, Any, None]]


@agent(kind="code", timeout=100)
async def code(task: str) -> str:
    await asyncio.sleep(0.2)
    return f"coded {task}"


@agent(kind="quick", capabilities=["prose", "code"])
async def quick(task: str) -> str:
    await asyncio.sleep(0.01)
    return f"quick {task}"


@agent(kind="slow", capabilities=["prose"])
async def slow(task: str) -> str:
    await asyncio.sleep(2.0)
    return f"slow {task}"


@agent(kind="moody", retries=0)
async def moody(task: str) -> str:
    await asyncio.sleep(0.1)
    if task == "bad":
        raise RuntimeError("no luck")
    return task


@agent(kind="long", timeout=1000)
async def long(task: str) -> str:
    await asyncio.sleep(300)
    return task


def tell(story: Story, agents: Sequence[Agent], *, workers: int = 1) -> None:
    async def scenario(mesh: AsyncMesh, control: testing.Control) -> None:
        await story(Orchestration(mesh), mesh, control)

    testing.run(scenario, agents, options=testing.RunOptions(workers=workers))


def test_a_success_is_work_that_was_done_where_it_says() -> None:
    async def story(orchestration: Orchestration, mesh: AsyncMesh, control: testing.Control) -> None:
        result = await orchestration.dispatch("this", "code", "medium")
        done = await mesh.get(result.task_id)
        assert result == OrchestrationResult(
            task_id=done.task_id,
            task_type="code",
            selected_node="worker-1/code",
            cost_optimal_node="worker-1/code",
            dispatched_to=done.agent,
            circuit_state="CLOSED",
            success=True,
            error=None,
            latency_ms=result.latency_ms,
            value="coded this",
            policy="classic",
        )
        assert (done.state, done.priority) == ("succeeded", "NORMAL")
        assert result.latency_ms is not None
        assert 200 <= result.latency_ms < 300

    tell(story, [code, quick])


def test_a_failure_is_a_result_with_its_reason() -> None:
    async def story(orchestration: Orchestration, mesh: AsyncMesh, control: testing.Control) -> None:
        result = await orchestration.dispatch("bad", "moody")
        assert not result.success
        assert result.error is not None
        assert "no luck" in result.error
        assert result.dispatched_to == "worker-1/moody"
        assert result.latency_ms is not None
        assert result.value is None

    tell(story, [moody])


def test_a_specialist_comes_before_a_capable_agent_and_without_one_the_capable_does_it() -> None:
    async def story(orchestration: Orchestration, mesh: AsyncMesh, control: testing.Control) -> None:
        assert (await orchestration.dispatch("a", "code")).value == "coded a"
        result = await orchestration.dispatch("b", "prose")
        assert result.value == "quick b"

    tell(story, [code, quick])


def test_the_quicker_of_two_is_chosen_once_both_were_measured() -> None:
    async def story(orchestration: Orchestration, mesh: AsyncMesh, control: testing.Control) -> None:
        assert (await orchestration.dispatch("a", "slow")).success
        for _ in range(3):
            assert (await orchestration.dispatch("b", "prose")).dispatched_to == "worker-1/quick"

    tell(story, [slow, quick])


def test_many_at_once_are_spread_over_the_nodes() -> None:
    async def story(orchestration: Orchestration, mesh: AsyncMesh, control: testing.Control) -> None:
        results = await asyncio.gather(*(orchestration.dispatch(str(n), "code") for n in range(12)))
        assert all(result.success for result in results)
        nodes = [result.dispatched_to for result in results]
        assert {node: nodes.count(node) for node in set(nodes)} == dict.fromkeys(
            ("worker-1/code", "worker-2/code", "worker-3/code"), 4
        )

    tell(story, [code], workers=3)


def test_five_failures_in_a_row_open_the_breaker_and_a_trial_closes_it_a_minute_later() -> None:
    async def story(orchestration: Orchestration, mesh: AsyncMesh, control: testing.Control) -> None:
        states = [(await orchestration.dispatch("bad", "moody")).circuit_state for _ in range(5)]
        assert states == ["CLOSED"] * 4 + ["OPEN"]
        refused = await orchestration.dispatch("good", "moody")
        assert (refused.success, refused.task_id, refused.dispatched_to) == (False, "", "")
        assert (refused.selected_node, refused.circuit_state) == ("worker-1/moody", "OPEN")
        assert refused.latency_ms is None
        assert refused.error is not None
        assert "refuse it (worker-1/moody)" in refused.error
        assert (await orchestration.metrics()).circuit_breakers_open == 1
        await control.sleep(61)
        assert await orchestration.circuit_states() == {"worker-1/moody": "HALF_OPEN"}
        assert (await orchestration.dispatch("good", "moody")).circuit_state == "CLOSED"
        seen = [(event.before.value, event.after.value) for event in orchestration.transitions()]
        assert seen == [("CLOSED", "OPEN"), ("OPEN", "HALF_OPEN"), ("HALF_OPEN", "CLOSED")]
        assert orchestration.transitions()[0].consecutive_failures == 5

    tell(story, [moody])


def test_a_node_whose_breaker_is_open_is_passed_over() -> None:
    async def story(orchestration: Orchestration, mesh: AsyncMesh, control: testing.Control) -> None:
        for _ in range(5):
            orchestration.nodes.record("worker-1/moody").breaker.failed(orchestration.nodes.now_ms())
        result = await orchestration.dispatch("good", "moody")
        assert result.selected_node == "worker-1/moody"
        assert result.dispatched_to == "worker-2/moody"
        assert (await mesh.get(result.task_id)).agent == "worker-2/moody"

    tell(story, [moody], workers=2)


def test_wrong_arguments_and_cancellations_say_nothing_of_the_node() -> None:
    async def story(orchestration: Orchestration, mesh: AsyncMesh, control: testing.Control) -> None:
        for _ in range(6):
            assert not (await orchestration.dispatch(17, "code")).success
        under_way = asyncio.ensure_future(orchestration.dispatch("a", "code"))
        await control.sleep(0.1)
        running = [task.task_id for task in await mesh.tasks(state="running")]
        await mesh.cancel(*running)
        result = await under_way
        assert not result.success
        assert result.error is not None
        assert "cancelled" in result.error
        breaker = orchestration.nodes.record("worker-1/code").breaker
        assert (breaker.state, breaker.total_failures) == (BreakerState.CLOSED, 0)

    tell(story, [code])


def test_when_its_node_is_killed_a_task_goes_to_the_next_best() -> None:
    async def story(orchestration: Orchestration, mesh: AsyncMesh, control: testing.Control) -> None:
        under_way = asyncio.ensure_future(orchestration.dispatch("a", "long"))
        await control.sleep(5)
        (running,) = await mesh.tasks(state="running")
        control.kill_worker(running.host)
        result = await under_way
        assert result.success
        assert result.selected_node == running.agent
        assert result.dispatched_to == (await mesh.get(result.task_id)).agent != running.agent
        assert (await mesh.get(running.task_id)).state == "cancelled"
        assert orchestration.nodes.record(running.agent).breaker.total_failures == 1

    tell(story, [long], workers=2)


def test_when_no_node_is_left_that_is_said() -> None:
    async def story(orchestration: Orchestration, mesh: AsyncMesh, control: testing.Control) -> None:
        under_way = asyncio.ensure_future(orchestration.dispatch("a", "long"))
        await control.sleep(5)
        control.kill_worker()
        result = await under_way
        assert (result.success, result.dispatched_to) == (False, "worker-1/long")
        assert result.error is not None
        assert "was gone before" in result.error
        assert result.latency_ms is None
        nobody = await orchestration.dispatch("a", "long")
        assert nobody.error == "No node that is alive does 'long'."
        assert (nobody.selected_node, nobody.circuit_state) == ("", "")

    tell(story, [long])


def test_it_outlives_an_engine_that_is_away_and_a_dispatcher_that_is_replaced() -> None:
    async def story(orchestration: Orchestration, mesh: AsyncMesh, control: testing.Control) -> None:
        under_way = asyncio.ensure_future(orchestration.dispatch("a", "long"))
        await control.sleep(5)
        control.kill_engine()
        await control.sleep(3)
        control.start_engine()
        control.kill_node()
        await control.sleep(3)
        control.restart_node()
        assert (await under_way).success

    tell(story, [long])


def test_the_average_latency_is_the_moving_average_of_what_was_measured() -> None:
    async def story(orchestration: Orchestration, mesh: AsyncMesh, control: testing.Control) -> None:
        assert (await orchestration.metrics()).avg_latency_ms is None
        expected = 100.0
        for _ in range(3):
            result = await orchestration.dispatch("a", "code")
            assert result.latency_ms is not None
            expected = 0.3 * result.latency_ms + 0.7 * expected
        assert (await orchestration.metrics()).avg_latency_ms == pytest.approx(expected)

    tell(story, [code])


def test_metrics_are_those_of_the_mesh() -> None:
    async def story(orchestration: Orchestration, mesh: AsyncMesh, control: testing.Control) -> None:
        for number in range(4):
            await mesh.submit("nobody", number)
        control.kill_worker("worker-2")
        await control.sleep(60)
        metrics = await orchestration.metrics()
        assert (metrics.nodes_active, metrics.queue_depth, metrics.circuit_breakers_open) == (2, 4, 0)
        assert sorted(await orchestration.circuit_states()) == sorted(
            one.agent for one in await mesh.agents()
        )

    tell(story, [code, quick], workers=2)


def test_a_wrong_call_is_raised() -> None:
    async def story(orchestration: Orchestration, mesh: AsyncMesh, control: testing.Control) -> None:
        for task, task_type, priority in (("a", "", "high"), ("a", "code", "urgent"), (object(), "code", 1)):
            with pytest.raises(InvalidArgument):
                await orchestration.dispatch(task, task_type, priority)
        assert orchestration.nodes.record("worker-1/code").active == 0

    tell(story, [code])


def test_closing_ends_who_waits_and_leaves_the_task() -> None:
    async def story(orchestration: Orchestration, mesh: AsyncMesh, control: testing.Control) -> None:
        under_way = asyncio.ensure_future(orchestration.dispatch("a", "long"))
        await control.sleep(5)
        await orchestration.close()
        with pytest.raises(MeshUnreachable, match="it goes on"):
            await under_way
        (running,) = await mesh.tasks(state="running")
        assert await mesh.result(running.task_id) == "a"

    tell(story, [long])
