"""The mesh in memory and in real time: every verb of the real one, without a server or a process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ohmesh import agent, testing
from ohmesh.errors import AgentDefinitionError, InvalidArgument, ResultTimeout, TaskFailed, TaskTimedOut

Run = Callable[[Coroutine[Any, Any, None]], None]


@agent(kind="shout")
def shout(text: str) -> str:
    return text.upper()


@agent(kind="fetch")
async def fetch(name: str) -> str:
    await asyncio.sleep(0)
    return f"hello, {name}"


@agent(kind="broken", retries=0)
def broken() -> None:
    raise RuntimeError("no luck")


@agent(kind="endless", timeout=0.05, retries=0)
async def endless() -> None:
    await asyncio.get_running_loop().create_future()


def test_agents_run_in_this_process(run: Run) -> None:
    async def story() -> None:
        heard: list[int] = []

        @agent(kind="note")
        def note(number: int) -> int:
            heard.append(threading.get_ident())
            return number + 1

        async with testing.mesh([shout, fetch, note]) as mesh:
            assert await mesh.call("shout", "hello") == "HELLO"
            assert await mesh.call(fetch, "Ada") == "hello, Ada"
            assert await mesh.call(note, 1) == 2
        assert heard == [threading.get_ident()]

    run(story())


def test_failures_and_timeouts_are_those_of_a_real_mesh(run: Run) -> None:
    async def story() -> None:
        async with testing.mesh([broken, endless]) as mesh:
            with pytest.raises(TaskFailed, match="no luck"):
                await mesh.call("broken")
            with pytest.raises(TaskTimedOut):
                await mesh.call("endless")
            dead = await mesh.dead_letters()
            assert {each.kind for each in dead} == {"broken", "endless"}

    run(story())


def test_all_workers_are_there_and_share_the_work(run: Run) -> None:
    async def story() -> None:
        async with testing.mesh([fetch], workers=3) as mesh:
            names = [str(number) for number in range(60)]
            assert await asyncio.gather(*(mesh.call("fetch", name) for name in names)) == [
                f"hello, {name}" for name in names
            ]
            workers = await mesh.workers()
            assert [worker.host for worker in workers] == ["worker-1", "worker-2", "worker-3"]
            assert (await mesh.status()).workers_alive == 3
            assert {task.host for task in await mesh.tasks()} == {worker.host for worker in workers}

    run(story())


def test_without_agents_tasks_wait(run: Run) -> None:
    async def story() -> None:
        async with testing.mesh() as mesh:
            handle = await mesh.submit("shout", "hello")
            with pytest.raises(ResultTimeout):
                await handle.result(timeout=0.01)
            assert (await mesh.get(handle.id)).state == "queued"

    run(story())


def test_two_meshes_know_nothing_of_each_other(run: Run) -> None:
    async def story() -> None:
        async with testing.mesh([shout]) as one, testing.mesh([shout]) as other:
            await one.call("shout", "a")
            assert len(await one.tasks()) == 1
            assert len(await other.tasks()) == 0

    run(story())


def test_a_program_without_a_loop_has_the_same_mesh() -> None:
    with testing.sync_mesh([shout, fetch]) as mesh:
        assert mesh.call("shout", "hello") == "HELLO"
        handles = [mesh.submit_nowait("fetch", str(number)) for number in range(20)]
        assert [handle.result() for handle in handles] == [f"hello, {number}" for number in range(20)]


def test_built_in_kinds_are_agents_too() -> None:
    with testing.sync_mesh(["text", shout]) as mesh:
        assert mesh.call("text", "What a lovely day")
        assert mesh.call("shout", "a") == "A"


def test_closing_does_not_wait_for_what_runs(run: Run) -> None:
    async def story() -> None:
        started = asyncio.Event()

        @agent(kind="long")
        async def long() -> None:
            started.set()
            await asyncio.get_running_loop().create_future()

        async with testing.mesh([long]) as mesh:
            await mesh.submit("long")
            await started.wait()

    run(story())


@pytest.mark.parametrize(
    ("agents", "said"),
    [([len], "not an agent"), ([shout, shout], "kind 'shout'"), (["no_such_module_here:x"], "no module")],
)
def test_what_is_no_agent_is_refused(agents: list[Any], said: str) -> None:
    with pytest.raises(AgentDefinitionError, match=said):
        testing.mesh(agents)


def test_a_mesh_with_agents_has_a_worker() -> None:
    with pytest.raises(InvalidArgument, match="workers is 0"):
        testing.mesh([shout], workers=0)
