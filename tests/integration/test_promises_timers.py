"""What waits for its time: it starts once, when it is due, whatever is killed, and holds up nobody meanwhile."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from ohmesh.assembly.connection import connect_client
from ohmesh.assembly.settings import load_settings
from ohmesh.config import Config
from ohmesh.mesh import AsyncMesh
from ohmesh.model.message import ListTasks
from ohmesh.model.task import TaskState, TaskView
from ohmesh.roles.client import Client
from tests.integration.hand_in import hand_in, read_log, request, states
from tests.integration.running_mesh import Program, RunningMesh, running_mesh
from tests.waiting import answered

LEASE_MS = 1_000  # of the worker of these tests
SOON_S = 30.0
KILLS = 4
AGENTS = """
import asyncio
from ohmesh import Backoff, agent

@agent(kind="pause", slots=4, timeout=60)
async def pause(seconds: float) -> None:
    await asyncio.sleep(seconds)

@agent(kind="stubborn", slots=1, retries=5, backoff=Backoff(base=7200, cap=7200))
async def stubborn(fails: bool) -> str:
    if fails:
        raise ConnectionError("not now")
    return "done"

@agent(kind="beat", slots=8)
async def beat() -> None:
    pass
"""


@dataclass(frozen=True)
class Timed:
    mesh: RunningMesh
    up: Program
    config: Config


@pytest.fixture(scope="module")
def timed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Timed]:
    with running_mesh(tmp_path_factory.mktemp("timers")) as mesh:
        (mesh.folder / "timed.py").write_text(AGENTS)
        (mesh.folder / "ohmesh.toml").write_text(f"[executor]\nheartbeat_ms = 300\nlease_ms = {LEASE_MS}\n")
        up = mesh.up("--workers", "0")
        mesh.begin("worker", "timed", "--data", str(mesh.data)).wait_ready()
        yield Timed(mesh, up, load_settings({"mesh.data": str(mesh.data)}))


async def views(client: Client, kind: str) -> list[TaskView]:
    return (await client.requests.list_tasks(ListTasks(kind=kind, limit=1_000))).tasks


async def has_run(mesh: AsyncMesh, count: int) -> None:
    async def so_often() -> bool:
        return (await mesh.schedule("heart")).runs >= count

    await answered(so_often, what=f"it has run {count} times", timeout_s=SOON_S)


def test_a_delay_and_a_run_of_three_leases_each_are_one_start(timed: Timed) -> None:
    async def scenario() -> None:
        async with connect_client(timed.config) as client:
            late_ms = 3 * LEASE_MS
            asked = [
                request(client, "pause", 0.0, delay_ms=late_ms),
                request(client, "pause", late_ms / 1000),
                request(client, "pause", late_ms / 1000, delay_ms=late_ms),
            ]
            handles = (await hand_in(client, asked)).handles
            assert await states(handles) == {"succeeded": 3}
            shown = {view.task_id: view for view in await views(client, "pause")}
            delayed, long, both = (shown[handle.id] for handle in handles)
            assert delayed.started_ms - delayed.submitted_ms >= late_ms
            assert both.started_ms - both.submitted_ms >= late_ms
            assert long.finished_ms - long.started_ms >= late_ms
        executions = (await read_log(timed.config)).executions()
        assert [executions[handle.id] for handle in handles] == [1, 1, 1]

    asyncio.run(scenario())


def test_a_retry_that_waits_for_an_hour_does_not_hold_back_its_ready_sibling(timed: Timed) -> None:
    """Of the same kind, on the one slot there is, handed in behind it."""

    async def scenario() -> None:
        async with connect_client(timed.config) as client:
            (failing,) = (await hand_in(client, [request(client, "stubborn", True)])).handles

            async def waits() -> bool:
                return (await views(client, "stubborn"))[0].state is TaskState.RETRYING

            await answered(waits, what="its first attempt has failed", timeout_s=SOON_S)
            (view,) = await views(client, "stubborn")
            assert view.due_ms - client.requests.now_ms() > 3_000_000
            siblings = [request(client, "stubborn", False) for _ in range(3)]
            handles = (await hand_in(client, siblings)).handles
            assert await states(handles, timeout_s=SOON_S) == {"succeeded": 3}
            assert not failing.is_done
            await client.cancel([failing.id])

    asyncio.run(scenario())


@pytest.mark.skipif(
    os.environ.get("OHMESH_SOAK") != "1",
    reason="seeds of the simulation do it in every run; processes: make soak",
)
def test_a_schedule_makes_each_of_its_tasks_once_whichever_dispatcher_is_killed(timed: Timed) -> None:
    async def scenario() -> None:
        async with connect_client(timed.config) as client:
            mesh = AsyncMesh(client)
            await mesh.add_schedule("heart", "beat", every=1, catch_up="all")
            for kill in range(1, KILLS + 1):
                await has_run(mesh, 3 * kill)
                node = timed.up.child("node", f"node-{1 + kill % 2}")
                await asyncio.to_thread(node.kill)
            await has_run(mesh, 3 * KILLS + 3)
            made = (await mesh.remove_schedule("heart")).runs

            async def have_ended() -> bool:
                return all(view.state is TaskState.SUCCEEDED for view in await views(client, "beat"))

            await answered(have_ended, what="all have ended", timeout_s=SOON_S)
            dues = sorted(view.due_ms for view in await views(client, "beat"))
            assert len(dues) >= made
            assert dues == list(range(dues[0], dues[-1] + 1, 1_000))

    asyncio.run(scenario())
