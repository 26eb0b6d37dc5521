"""Tasks that are bad company: some kill their process, some hold it for long, some come by the thousand."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from ohmesh.assembly.connection import connect_client
from ohmesh.assembly.settings import load_settings
from ohmesh.config import Config
from ohmesh.model.message import ListTasks
from ohmesh.roles.client import Client
from tests.integration.hand_in import hand_in, read_log, request, states
from tests.integration.running_mesh import RunningMesh, running_mesh
from tests.waiting import answered

RETRIES = 2
LONG_S = 8.0
AGENTS = f"""
import os, signal, time
from ohmesh import agent

@agent(kind="evil", retries={RETRIES})
def evil(how: str) -> str:
    if how == "exit":
        os._exit(3)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "memory":
        return "x" * 10**15
    return how

@agent(kind="wait")
def wait(seconds: float) -> str:
    time.sleep(seconds)
    return os.environ.get("SPEED", "")

@agent(kind="work")
def work() -> str:
    time.sleep(float(os.environ.get("SPEED", "0")))
    return os.environ.get("SPEED", "")

@agent(kind="other")
def other(number: int) -> int:
    return number
"""


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMesh]:
    """Two workers with one process each; the kind `work` takes LONG_S on the second one."""
    with running_mesh(tmp_path_factory.mktemp("tasks")) as mesh:
        (mesh.folder / "bad_company.py").write_text(AGENTS)
        mesh.up("--workers", "0")
        for name, speed in (("fast", "0"), ("slow", f"{LONG_S}")):
            os.environ["SPEED"] = speed
            try:
                begin_worker(mesh, name)
            finally:
                del os.environ["SPEED"]
        for worker in mesh.programs[1:]:
            worker.wait_ready()
        yield mesh


def begin_worker(mesh: RunningMesh, name: str) -> None:
    options = ("--name", name, "--concurrency", "1", "--data", str(mesh.data))
    mesh.begin("worker", "bad_company", *options)


def settings_of(mesh: RunningMesh) -> Config:
    return load_settings({"mesh.data": str(mesh.data)})


async def attempts_of(client: Client, ids: list[str]) -> Counter[int]:
    page = await client.requests.list_tasks(ListTasks(ids, limit=len(ids)))
    return Counter(view.attempts for view in page.tasks)


def test_poison_is_put_away_after_its_attempts_and_harms_nobody(mesh: RunningMesh) -> None:
    async def scenario() -> None:
        async with connect_client(settings_of(mesh)) as client:
            good = [request(client, "other", number) for number in range(100)]
            bad = [request(client, "evil", how) for how in ("exit", "kill", "memory")]
            handed_in = await hand_in(client, [*good[:50], *bad, *good[50:]])
            poison = handed_in.handles[50:53]
            healthy = [*handed_in.handles[:50], *handed_in.handles[53:]]
            assert await states(healthy) == {"succeeded": 100}
            assert await states(poison) == {"dead": 3}
            assert await attempts_of(client, [handle.id for handle in poison]) == {RETRIES + 1: 3}
            assert await attempts_of(client, [handle.id for handle in healthy]) == {1: 100}
        audit = await read_log(settings_of(mesh))
        assert audit.committed_twice() == []

    asyncio.run(scenario())


def test_a_long_task_does_not_hold_short_ones_behind_it(mesh: RunningMesh) -> None:
    """No short one waits in the pocket of the worker that is busy for long."""

    async def scenario() -> None:
        async with connect_client(settings_of(mesh)) as client:
            learned = await hand_in(client, [request(client, "wait", 0.001) for _ in range(100)])
            await states(learned.handles)  # from now on it looks like a kind of which one can hold many
            seconds = [0.001] * 50 + [LONG_S] + [0.001] * 50
            handles = (await hand_in(client, [request(client, "wait", each) for each in seconds])).handles
            long = handles.pop(50)
            assert await states(handles) == {"succeeded": 100}
            assert not long.is_done
            await client.cancel([long.id])

    asyncio.run(scenario())


def test_a_slow_worker_keeps_only_what_it_runs(mesh: RunningMesh) -> None:
    """The same kind is fast here and slow there: the fast one does the rest meanwhile."""

    async def scenario() -> None:
        async with connect_client(settings_of(mesh)) as client:
            handles = (await hand_in(client, [request(client, "work") for _ in range(60)])).handles

            begun_s = time.monotonic()

            async def only_the_slow_one_is_at_work() -> bool:
                page = await client.requests.list_tasks(
                    ListTasks([handle.id for handle in handles], limit=60)
                )
                return all(view.finished_ms or view.host == "slow" for view in page.tasks)

            await answered(only_the_slow_one_is_at_work, what="the fast one has done the rest")
            page = await client.requests.list_tasks(ListTasks([handle.id for handle in handles], limit=60))
            slow = [view for view in page.tasks if view.host == "slow"]
            assert len(slow) <= 2 + (time.monotonic() - begun_s) / LONG_S
            await client.cancel([handle.id for handle in handles if not handle.is_done])
            assert sum((await states(handles)).values()) == 60

    asyncio.run(scenario())


def test_a_flood_of_one_kind_does_not_delay_another(mesh: RunningMesh) -> None:
    async def scenario() -> None:
        async with connect_client(settings_of(mesh)) as client:
            flood = await hand_in(client, [request(client, "wait", 0.02) for _ in range(3_000)])
            few = await hand_in(client, [request(client, "other", number) for number in range(20)])
            assert await states(few.handles) == {"succeeded": 20}
            waiting = [handle.id for handle in flood.handles if not handle.is_done]
            assert len(waiting) > len(flood.handles) // 2
            await client.cancel(waiting)
            await states(flood.handles)

    asyncio.run(scenario())
