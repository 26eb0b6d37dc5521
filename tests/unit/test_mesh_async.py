"""AsyncMesh, on real roles over the memory engine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

import pytest

from ohmesh import (
    Complexity,
    InvalidArgument,
    MeshUnreachable,
    Priority,
    ResultTimeout,
    TaskCancelled,
    TaskFailed,
    TaskState,
    UnknownTask,
    agent,
)
from ohmesh.errors import AgentDefinitionError
from ohmesh.mesh import AsyncMesh
from ohmesh.mesh.async_mesh import Opening
from ohmesh.mesh.opening import target_of
from tests.unit.mesh_in_memory import mesh_in_memory

Run = Callable[[Coroutine[object, object, None]], None]


@agent(kind="echo")
def echo(*arguments: object, **named: object) -> object:
    return [arguments, named]


def with_mesh(run: Run, scenario: Callable[[AsyncMesh], Awaitable[None]]) -> None:
    async def main() -> None:
        async with Opening(mesh_in_memory) as mesh:
            await scenario(mesh)

    run(main())


def test_a_call_returns_the_value_for_a_kind_and_for_an_agent_function(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        assert await mesh.call("echo", 1, two=2) == [[1], {"two": 2}]
        assert await mesh.call(echo, "x", priority="critical", timeout=5, retries=0, key="k") == [["x"], {}]

    with_mesh(run, scenario)


def test_a_handle_tells_how_a_task_fares(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        handle = mesh.submit_nowait("echo", "x")
        assert repr(handle) == f"<task {handle.id} submitted>"
        await handle.accepted()
        assert await handle.result(10) == [["x"], {}]
        assert handle.state is TaskState.SUCCEEDED
        assert await mesh.result(handle.id) == [["x"], {}]
        described = await mesh.get(handle.id)
        assert described.value == [["x"], {}]
        assert str(described).startswith(handle.id)

    with_mesh(run, scenario)


def test_a_program_has_estimators_of_its_own_and_the_tag_survives_the_end(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        mesh.estimators["echo"] = lambda pages: Complexity.LARGE if pages > 50 else Complexity.SMALL
        handles = [await mesh.submit(echo, pages) for pages in (50, 51)]
        for handle, tag in zip(handles, ("small", "large"), strict=True):
            await handle.result(10)
            assert (await mesh.get(handle.id)).complexity == tag

    with_mesh(run, scenario)


def test_an_end_without_value_raises(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        with pytest.raises(TaskFailed, match="1 attempt") as caught:
            await mesh.call("fail")
        assert caught.value.task_id
        endless = await mesh.submit("never")
        with pytest.raises(ResultTimeout):
            await endless.result(0.05)
        assert (await mesh.cancel(endless.id)).cancelled == [endless.id]
        with pytest.raises(TaskCancelled):
            await endless.result()
        with pytest.raises(UnknownTask):
            await mesh.get("NEVERWAS")
        with pytest.raises(UnknownTask):
            await mesh.result("NEVERWAS")

    with_mesh(run, scenario)


def test_the_mesh_can_be_looked_at(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        handles = [await mesh.submit("never", priority=Priority.LOW) for _ in range(3)]
        listed = await mesh.tasks(kind="never", limit=2)
        assert (len(listed), listed.total) == (2, 3)
        rest = await mesh.tasks(kind="never", limit=2, after=listed.after)
        assert {task.task_id for task in (*listed, *rest)} == {handle.id for handle in handles}
        assert {task.priority for task in listed} == {"LOW"}
        assert len(await mesh.workers()) == 1
        assert (await mesh.status()).mesh == "memory"

    with_mesh(run, scenario)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"timeout": -1}, "timeout=-1"),
        ({"timeout": "soon"}, "timeout='soon'"),
        ({"delay": True}, "delay=True"),
        ({"retries": -1}, "retries=-1"),
        ({"retries": 2.5}, "retries=2.5"),
        ({"requires": "gpu"}, "requires='gpu'"),
        ({"priority": "urgent"}, "urgent"),
        ({"value": object()}, "Argument value is a object"),
    ],
)
def test_options_that_make_no_sense_are_named(run: Run, options: dict[str, object], said: str) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        with pytest.raises(InvalidArgument, match=said):
            mesh.submit_nowait("echo", **options)  # type: ignore[arg-type]

    with_mesh(run, scenario)


def test_a_function_without_declaration_is_refused(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        with pytest.raises(InvalidArgument, match="not an agent"):
            mesh.prepare(print)

    with_mesh(run, scenario)


def test_an_opened_mesh_may_be_closed_from_another_task(run: Run) -> None:
    async def main() -> None:
        mesh = await Opening(mesh_in_memory)
        assert await mesh.call("echo") == [[], {}]
        await asyncio.create_task(mesh.close())
        with pytest.raises(MeshUnreachable):
            mesh.submit_nowait("echo")

    run(main())


def test_an_error_inside_is_not_hidden_by_closing(run: Run) -> None:
    async def main() -> None:
        async with Opening(mesh_in_memory) as mesh:
            for _ in range(3):
                mesh.submit_nowait("echo")
            raise KeyError("ours")

    with pytest.raises(KeyError, match="ours"):
        run(main())


def test_no_mesh_here_is_said_with_what_to_do(run: Run, tmp_path: object) -> None:
    async def main() -> None:
        with pytest.raises(MeshUnreachable, match="ohmesh up"):
            await AsyncMesh.connect(data=str(tmp_path))

    run(main())


def test_an_agent_is_named_as_a_worker_imports_it() -> None:
    assert target_of("module:object") == "module:object"
    assert target_of(echo) == f"{__name__}:echo"

    @agent
    def inner() -> None: ...

    for unusable in (inner, print):
        with pytest.raises(AgentDefinitionError, match="top of a module"):
            target_of(unusable)


def test_a_bound_on_a_call_stands_first_and_is_no_argument_of_the_task(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        assert await mesh.call_within(10, "echo", 1, wait=2, seconds=3) == [[1], {"wait": 2, "seconds": 3}]
        with pytest.raises(ResultTimeout) as late:
            await mesh.call_within(0.2, "nobody-runs-this", key="k")
        assert "no worker ran its kind" in str(late.value)
        assert (await mesh.get(late.value.task_id)).state is TaskState.QUEUED, "it goes on"
        with pytest.raises(InvalidArgument):
            await mesh.call_within(-1, "echo")

    with_mesh(run, scenario)
