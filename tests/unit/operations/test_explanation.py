"""Explanations as people read them, from real dispatchers."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable, Coroutine

import pytest

from ohmesh.cli.exit_codes import ExitCode
from ohmesh.cli.output import Output
from ohmesh.cli.presentation import present
from ohmesh.errors import UnknownTask
from ohmesh.mesh import AsyncMesh
from ohmesh.mesh.async_mesh import Opening
from ohmesh.model.explanation import Explanation
from ohmesh.model.task import TaskState, TaskView
from ohmesh.operations.explanation import ExplainedTask, reason_of
from tests.unit.mesh_in_memory import HOST, mesh_in_memory
from tests.waiting import answered

Run = Callable[[Coroutine[object, object, None]], None]


def with_mesh(run: Run, scenario: Callable[[AsyncMesh], Awaitable[None]]) -> None:
    async def main() -> None:
        async with Opening(mesh_in_memory) as mesh:
            await scenario(mesh)

    run(main())


def shown(told: ExplainedTask) -> str:
    out = io.StringIO()
    assert present(told, Output(out=out, quiet=True)) is ExitCode.OK
    return out.getvalue()


def test_a_waiting_task_says_what_it_waits_for(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        capable = await mesh.submit("echo", requires=["gpu"])
        told = await mesh.explain(capable.id)
        assert told.reason == "no agent of kind 'echo' that is here has all of: gpu."
        assert [one.reason for one in told.agents if one.kind == "echo"] == ["it lacks gpu"]
        assert "it lacks gpu" in str(told)
        assert "capability missing" in shown(told)
        await mesh.pause("echo")
        assert "ohmesh queues resume echo" in (await mesh.explain(capable.id)).reason
        late = await mesh.submit("never", delay=3_600)
        assert "it is delayed" in (await mesh.explain(late.id)).reason
        unknown = await mesh.submit("nevr")
        assert (await mesh.explain(unknown.id)).reason.startswith("no worker announces kind 'nevr'.")

    with_mesh(run, scenario)


def test_a_running_task_names_its_agent_and_the_ninth_waits_for_a_slot(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        held = [await mesh.submit("never") for _ in range(8)]

        async def all_run() -> bool:
            return len(await mesh.tasks(state="running")) == 8

        await answered(all_run, what="eight tasks run", timeout_s=30)
        first = await mesh.explain(held[0].id)
        assert f"attempt 1 of 4, on {HOST}/never" in first.reason
        assert first.chosen_ms > 0
        assert "take turns" in first.placing
        assert f"{HOST}/never chosen" in shown(first)
        ninth = await mesh.submit("never")
        tenth = await mesh.submit("never")
        assert "no agent that could run it has a free slot" in (await mesh.explain(ninth.id)).reason
        told = await mesh.explain(tenth.id)
        assert told.ahead == {"NORMAL": 1}
        assert told.rank == pytest.approx(1.0, abs=0.9)
        assert told.reason.startswith("1 task")
        assert "before it: 1 NORMAL" in shown(told)

    with_mesh(run, scenario)


def test_an_ended_task_tells_how_and_an_unknown_one_is_refused(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        failed = await mesh.submit("fail")
        await failed.end(30)
        told = await mesh.explain(failed.id)
        assert told.reason.startswith(f"ended after 1 attempt on {HOST}/fail: ")
        assert "failure 1:" in shown(told)
        with pytest.raises(UnknownTask):
            await mesh.explain("NEVERWAS")

    with_mesh(run, scenario)


def test_an_attempt_that_was_lost_with_its_worker_is_told_apart() -> None:
    task = TaskView("A", "text", TaskState.RUNNING, 1, 3, 4, 0, agent="box/text")
    told = reason_of(Explanation(task, mesh_ms=2_000, granted_ms=1_000, losses=2), task)
    assert told.startswith("attempt 1 of 4, not counting 2 lost with a worker, on box/text for 1.0 s")
