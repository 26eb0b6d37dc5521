"""MeshOrchestrator over a real mesh: what it reports is what the mesh says."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ohmesh import Mesh, MeshOrchestrator
from ohmesh.mesh.orchestration import OrchestrationResult
from tests.integration.running_mesh import running_mesh
from tests.waiting import wait_until


def test_work_is_done_where_the_orchestrator_says(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as running:
        running.up()
        for name in ("east", "west"):
            running.worker("--name", name)
        data = str(running.data)
        try:
            orchestrator = MeshOrchestrator.get_instance(data=data)
            wait_until(
                lambda: {"east/echo", "west/echo"} <= orchestrator.get_circuit_states().keys(),
                what="both workers are there",
                timeout_s=40,
            )

            async def story() -> list[OrchestrationResult]:
                texts = [f"text {number}" for number in range(20)]
                return await asyncio.gather(
                    *(orchestrator.dispatch(task=text, task_type="echo", priority="high") for text in texts)
                )

            results = asyncio.run(story())
            with Mesh.connect(data=data) as mesh:
                for number, result in enumerate(results):
                    task = mesh.get(result.task_id)
                    assert (result.success, result.error, result.value) == (True, None, f"text {number}")
                    assert (task.state, task.agent, task.priority) == (
                        "succeeded",
                        result.dispatched_to,
                        "HIGH",
                    )
                nodes = sorted(agent.agent for agent in mesh.agents())
                there = mesh.call("echo", "hello", requires=["host:west"], timeout=30)
                assert there == "hello"
                assert [task.host for task in mesh.tasks(kind="echo", limit=1)] == ["west"]
            assert {result.dispatched_to for result in results} <= {"east/echo", "west/echo"}
            assert sorted(orchestrator.get_circuit_states()) == nodes
            wait_until(
                lambda: orchestrator.get_metrics()["nodes_active"] == len(nodes), what="all nodes are active"
            )
            assert orchestrator.get_metrics()["queue_depth"] == 0
            assert orchestrator.get_status()["orchestrator"]["total_successes"] == 20
            feeling = asyncio.run(orchestrator.dispatch(task="What a lovely day!", task_type="text"))
            assert feeling.dispatched_to == "worker-1/text"
        finally:
            MeshOrchestrator.reset()
