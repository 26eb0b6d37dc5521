"""MeshOrchestrator: one for a process, from any thread, true to its mesh."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from ohmesh import Mesh, MeshOrchestrator, agent, testing
from ohmesh.errors import MeshUnreachable, UsageError
from ohmesh.mesh.orchestration import OrchestrationResult


@agent(kind="double")
async def double(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


@agent(kind="endless", timeout=1000)
async def endless(number: int) -> None:
    await asyncio.get_running_loop().create_future()


@pytest.fixture
def mesh() -> Iterator[Mesh]:
    """It is closed with the orchestrator, which every test ends."""
    with testing.sync_mesh([double, endless], workers=2) as opened:
        yield opened
        MeshOrchestrator.reset()


def dispatch(number: int, task_type: str = "double") -> OrchestrationResult:
    """From a thread and an event loop of its own."""
    return asyncio.run(
        MeshOrchestrator.get_instance().dispatch(task=number, task_type=task_type, priority="background")
    )


def test_it_is_one_and_the_same_until_it_is_reset(mesh: Mesh) -> None:
    first = MeshOrchestrator.get_instance(opened=mesh)
    assert MeshOrchestrator.get_instance() is first
    assert MeshOrchestrator.get_instance(opened=mesh) is first
    MeshOrchestrator.reset()
    with testing.sync_mesh([double]) as other:
        second = MeshOrchestrator.get_instance(opened=other)
        assert second is not first
        second.close()
    MeshOrchestrator.reset()


def test_other_arguments_are_refused_and_not_passed_over(mesh: Mesh) -> None:
    MeshOrchestrator.get_instance(opened=mesh)
    with pytest.raises(UsageError, match="other arguments"):
        MeshOrchestrator.get_instance("nats://elsewhere:4222")
    with pytest.raises(UsageError, match="reset"):
        MeshOrchestrator.get_instance(mesh="another")


def test_threads_that_come_together_get_one_instance_and_their_own_results(mesh: Mesh) -> None:
    barrier = threading.Barrier(8)

    def work(number: int) -> tuple[MeshOrchestrator, OrchestrationResult]:
        barrier.wait(30)
        return MeshOrchestrator.get_instance(opened=mesh), dispatch(number)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(work, range(8)))
    assert len({id(instance) for instance, _ in found}) == 1
    assert [result.value for _, result in found] == [2 * number for number in range(8)]
    assert {result.dispatched_to for _, result in found} <= {"worker-1/double", "worker-2/double"}


def test_one_loop_may_dispatch_many_at_once(mesh: Mesh) -> None:
    orchestrator = MeshOrchestrator.get_instance(opened=mesh)

    async def story() -> list[OrchestrationResult]:
        return await asyncio.gather(
            *(orchestrator.dispatch(task=number, task_type="double") for number in range(50))
        )

    results = asyncio.run(story())
    assert [result.value for result in results] == [2 * number for number in range(50)]
    assert len({result.task_id for result in results}) == 50


def test_metrics_states_and_status_are_those_of_the_mesh(mesh: Mesh) -> None:
    orchestrator = MeshOrchestrator.get_instance(opened=mesh)
    mesh.submit("nobody", 1)
    before = orchestrator.get_metrics()
    assert before == {
        "nodes_active": 4,
        "circuit_breakers_open": 0,
        "queue_depth": 1,
        "avg_latency_ms": None,
    }
    result = dispatch(21)
    failed = dispatch(1, "unheard-of")
    assert (result.success, failed.success) == (True, False)
    average = orchestrator.get_metrics()["avg_latency_ms"]
    assert result.latency_ms is not None
    assert average == pytest.approx(0.3 * result.latency_ms + 70.0)
    nodes = sorted(one.agent for one in mesh.agents())
    assert orchestrator.get_circuit_states() == dict.fromkeys(nodes, "CLOSED")
    status = orchestrator.get_status()
    assert status["orchestrator"] == {
        "total_orchestrated": 2,
        "total_successes": 1,
        "total_failures": 1,
        "success_rate": 0.5,
    }
    assert status["mesh"] == {
        "name": "testing",
        "nodes": {"total": 4, "active": 4, "inactive": 0},
        "queue_depth": 1,
    }
    assert status["routing"]["active_nodes"] == nodes
    assert status["routing"]["route_distribution"] == {result.dispatched_to: 1}
    assert status["routing"]["latency_estimates"] == {result.dispatched_to: average}
    assert status["circuit_breakers"]["transitions"] == []


def test_who_waits_while_it_is_closed_hears_of_it(mesh: Mesh) -> None:
    orchestrator = MeshOrchestrator.get_instance(opened=mesh)

    async def story() -> None:
        under_way = asyncio.ensure_future(orchestrator.dispatch(task=1, task_type="endless"))
        while not await asyncio.to_thread(lambda: mesh.tasks(state="running").tasks):
            await asyncio.sleep(0)
        await asyncio.to_thread(MeshOrchestrator.reset)
        with pytest.raises(MeshUnreachable):
            await under_way

    asyncio.run(story())
    orchestrator.close()
    with pytest.raises(MeshUnreachable, match="closed"):
        orchestrator.get_metrics()


def test_a_dispatch_that_is_cancelled_leaves_its_task(mesh: Mesh) -> None:
    orchestrator = MeshOrchestrator.get_instance(opened=mesh)

    async def story() -> None:
        under_way = asyncio.ensure_future(orchestrator.dispatch(task=1, task_type="endless"))
        while not await asyncio.to_thread(lambda: mesh.tasks(state="running").tasks):
            await asyncio.sleep(0)
        under_way.cancel()
        with pytest.raises(asyncio.CancelledError):
            await under_way

    asyncio.run(story())
    assert len(mesh.tasks(state="running")) == 1
