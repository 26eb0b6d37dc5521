"""Restarts: in order and under load, one after the other, and of everything at once.

`OHMESH_SOAK=1` (or `make soak`) makes it twenty.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import Counter, defaultdict
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # it ships no types

from ohmesh.assembly.audit import Attempt, Audit
from ohmesh.assembly.connection import connect_client
from ohmesh.assembly.settings import load_settings
from ohmesh.config import Config
from ohmesh.errors import OhmeshError
from ohmesh.model.message import ListTasks
from ohmesh.model.task import TaskState
from ohmesh.roles.client import Client
from ohmesh.roles.client_handle import TaskHandle
from tests.integration.hand_in import hand_in, read_log, request, states
from tests.integration.running_mesh import Program, RunningMesh, is_gone, running_mesh
from tests.waiting import answered, eventually

ROUNDS = 10 if os.environ.get("OHMESH_SOAK") == "1" else 2
"""Each restarts a worker and a node, by turns."""
NAP_S = 0.02
BURST = 10
MARKS = """
import os, time
from ohmesh import agent

@agent(kind="mark", retries=10)
def mark(number: int, seconds: float) -> int:
    time.sleep(seconds)
    with open("marks", "a") as marks:  # one write, appended whole
        marks.write(f"{number}\\n")
    return number
"""


def settings_of(mesh: RunningMesh) -> Config:
    return load_settings({"mesh.data": str(mesh.data)})


def begin_worker(mesh: RunningMesh, name: str) -> Program:
    return mesh.begin("worker", "marking", "--name", name, "--concurrency", "2", "--data", str(mesh.data))


def marks(mesh: RunningMesh) -> Counter[str]:
    """How often each number was worked on."""
    file = mesh.folder / "marks"
    return Counter(file.read_text().split()) if file.exists() else Counter()


def test_rolling_restarts_under_load_lose_and_repeat_no_task(tmp_path: Path) -> None:
    async def scenario(mesh: RunningMesh, up: Program, workers: dict[str, Program]) -> None:
        async with connect_client(settings_of(mesh)) as client:
            restarting = asyncio.create_task(restart_all_in_turn(mesh, client, up, workers))
            handles = await load_until(client, restarting)
            await restarting
            assert await states(handles) == {"succeeded": len(handles)}
            ids = [handle.id for handle in handles]
        audit = await read_log(settings_of(mesh))
        assert audit.lost(ids) == []
        assert audit.committed_twice() == []
        assert repeated(audit) == []
        assert marks(mesh) == {str(number): 1 for number in range(len(handles))}

    with running_mesh(tmp_path) as mesh:
        (mesh.folder / "marking.py").write_text(MARKS)
        up = mesh.up("--workers", "0")
        workers = {name: begin_worker(mesh, name) for name in ("one", "two")}
        for worker in workers.values():
            worker.wait_ready()
        asyncio.run(scenario(mesh, up, workers))


def repeated(audit: Audit) -> list[list[Attempt]]:
    """The attempts of tasks that had more than one; one that was handed back does not count."""
    of_task = defaultdict(list)
    for attempt in audit.attempts.values():
        if not attempt.was_returned:
            of_task[attempt.task_id].append(attempt)
    return [attempts for attempts in of_task.values() if len(attempts) > 1]


async def load_until(client: Client, restarting: asyncio.Task[None]) -> list[TaskHandle]:
    """Somewhat less than the workers can do, until the restarts are over."""
    handles: list[TaskHandle] = []
    while not restarting.done():
        numbers = range(len(handles), len(handles) + BURST)
        handed_in = await hand_in(client, [request(client, "mark", number, NAP_S) for number in numbers])
        assert not handed_in.errors
        handles += handed_in.handles
        await states(handed_in.handles[:1])
    return handles


async def restart_all_in_turn(
    mesh: RunningMesh, client: Client, up: Program, workers: dict[str, Program]
) -> None:
    """As one does it with a new version: one at a time, and the next when the one before works again."""
    for number in range(ROUNDS):
        name = list(workers)[number % 2]
        workers[name].interrupt()
        assert await asyncio.to_thread(workers[name].exit_code) == 0, workers[name].said
        workers[name] = begin_worker(mesh, name)
        await asyncio.to_thread(workers[name].wait_ready)
        await restart_node(client, up, number % 2)


async def restart_node(client: Client, up: Program, number: int) -> None:
    before = nodes(up)
    before[number].terminate()

    def is_replaced() -> bool:
        return is_gone(before[number]) and len(nodes(up)) == len(before)

    async def is_dispatched() -> bool:
        with contextlib.suppress(OhmeshError):
            owners = [shard.owner for shard in await client.requests.describe(timeout_s=1)]
            return all(psutil.pid_exists(int(owner.rpartition("-")[2])) for owner in owners)
        return False

    await eventually(is_replaced, what="the supervisor starts another node")
    await answered(is_dispatched, what="every shard has a dispatcher that lives")


def nodes(up: Program) -> list[psutil.Process]:
    found = [process for process in up.children() if not is_gone(process) and "node" in words_of(process)]
    return sorted(found, key=lambda process: " ".join(words_of(process)))


def words_of(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def test_a_task_that_is_cancelled_while_no_worker_is_there_never_starts_after_a_restart_of_everything(
    tmp_path: Path,
) -> None:
    async def cancel_one() -> list[str]:
        async with connect_client(settings_of(mesh)) as client:
            handles = (
                await hand_in(client, [request(client, "mark", number, 0.0) for number in (1, 2)])
            ).handles
            await client.cancel([handles[0].id])
            assert await states(handles[:1]) == {"cancelled": 1}
            return [handle.id for handle in handles]

    async def see_that_it_stays(ids: list[str]) -> None:
        async with connect_client(settings_of(mesh)) as client:
            later = (await hand_in(client, [request(client, "mark", 3, 0.0)])).handles
            assert await states([*later, await client.watch(ids[1])]) == {"succeeded": 2}
            views = (await client.requests.list_tasks(ListTasks(ids))).tasks
            told = {view.task_id: (view.state, view.attempts) for view in views}
            assert told == {ids[0]: (TaskState.CANCELLED, 0), ids[1]: (TaskState.SUCCEEDED, 1)}
        assert marks(mesh) == {"2": 1, "3": 1}

    with running_mesh(tmp_path) as mesh:
        (mesh.folder / "marking.py").write_text(MARKS)
        up = mesh.up("--workers", "0")
        ids = asyncio.run(cancel_one())
        children = up.children()
        up.kill()
        asyncio.run(eventually(lambda: all(map(is_gone, children)), what="everything is down"))
        mesh.up("--workers", "0")
        begin_worker(mesh, "late").wait_ready()
        asyncio.run(see_that_it_stays(ids))
