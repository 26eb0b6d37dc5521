"""Progress from a simulated runner over the bus to whoever watches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from ohmesh.errors import UnknownTask
from ohmesh.mesh import AsyncMesh
from ohmesh.model.task import TaskState
from ohmesh.roles.client import Client
from tests.unit.mesh_in_memory import mesh_in_memory

DEADLINE_S = 60.0


def test_a_watched_task_tells_its_steps_and_the_loop_ends_with_it() -> None:
    async def story(client: Client) -> None:
        handle = await AsyncMesh(client).submit("steps")
        steps = [step async for step in handle.progress()]
        assert steps
        assert [step.done for step in steps] == sorted({step.done for step in steps})
        assert {(step.task_id, step.total, step.attempt) for step in steps} == {(handle.id, 4, 1)}
        assert handle.state is TaskState.SUCCEEDED

    told(story)


@pytest.mark.parametrize(("kind", "state"), [("echo", TaskState.SUCCEEDED), ("fail", TaskState.FAILED)])
def test_a_task_without_a_word_ends_the_loop_however_it_ends(kind: str, state: TaskState) -> None:
    async def story(client: Client) -> None:
        handle = await AsyncMesh(client).submit(kind)
        assert [step async for step in handle.progress()] == []
        assert handle.state is state

    told(story)


def test_a_cancelled_task_ends_the_loop() -> None:
    async def story(client: Client) -> None:
        mesh = AsyncMesh(client)
        handle = await mesh.submit("never")
        watching = asyncio.ensure_future(_all(mesh, handle.id))
        await mesh.cancel(handle.id)
        assert await watching == []
        assert handle.state is TaskState.CANCELLED

    told(story)


def test_progress_of_a_task_that_nobody_knows_is_refused() -> None:
    async def story(client: Client) -> None:
        with pytest.raises(UnknownTask):
            await _all(AsyncMesh(client), "0" * 26)

    told(story)


async def _all(mesh: AsyncMesh, task_id: str) -> list[object]:
    return [step async for step in mesh.progress(task_id)]


def told(story: Callable[[Client], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(DEADLINE_S), mesh_in_memory() as client:
            await story(client)

    asyncio.run(main())
