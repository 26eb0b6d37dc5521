"""Each process of a mesh is stopped for longer than its lease and continued: what it then believes is out of date."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import psutil  # type: ignore[import-untyped]  # it ships no types
import pytest

from ohmesh.assembly.connection import connect_client
from ohmesh.assembly.settings import load_settings
from ohmesh.config import Config
from ohmesh.errors import OhmeshError
from ohmesh.model.agent import Liveness
from ohmesh.model.message import ListTasks
from ohmesh.model.task import TaskState
from ohmesh.roles.client import Client
from tests.integration.hand_in import hand_in, read_log, request, states
from tests.integration.running_mesh import Program, RunningMesh, running_mesh
from tests.waiting import STEP_S, eventually

LONG_S = 2.0
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMesh]:
    with running_mesh(tmp_path_factory.mktemp("pauses")) as mesh:
        mesh.up("--workers", "0")
        for name in ("one", "two"):
            mesh.worker("--name", name, "--concurrency", "1")
        yield mesh


def settings_of(mesh: RunningMesh) -> Config:
    return load_settings({"mesh.data": str(mesh.data)})


@contextlib.contextmanager
def stopped(process: psutil.Process) -> Iterator[None]:
    process.suspend()
    try:
        yield
    finally:
        process.resume()


async def until_host(client: Client, name: str, liveness: Liveness) -> None:
    """Polls the dispatchers, through whatever happens to them."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with contextlib.suppress(OhmeshError):
                hosts = {host.host: host.liveness for host in await client.requests.list_hosts(timeout_s=1)}
                if hosts.get(name) is liveness:
                    return
            await asyncio.sleep(STEP_S)


async def still_works(client: Client) -> None:
    handed_in = await hand_in(client, [request(client, "nap", number, 0.001) for number in range(50)])
    assert not handed_in.errors
    assert await states(handed_in.handles) == {"succeeded": 50}


async def check_log(mesh: RunningMesh, ids: list[str]) -> None:
    audit = await read_log(settings_of(mesh))
    assert audit.lost(ids) == []
    assert audit.committed_twice() == []


def worker_named(mesh: RunningMesh, name: str) -> Program:
    return mesh.programs[("one", "two").index(name) + 1]


def test_what_a_worker_brings_after_its_lease_is_refused(mesh: RunningMesh) -> None:
    async def scenario() -> None:
        async with connect_client(settings_of(mesh)) as client:
            (handle,) = (await hand_in(client, [request(client, "nap", 7, LONG_S)])).handles
            holder = await runs_on(client, handle.id)
            with stopped(worker_named(mesh, holder).process):
                await until_host(client, holder, Liveness.OFFLINE)
                assert await runs_on(client, handle.id) != holder
            assert await states([handle]) == {"succeeded": 1}
            await until_host(client, holder, Liveness.ACTIVE)
            await still_works(client)
            await check_log(mesh, [handle.id])

    asyncio.run(scenario())


async def runs_on(client: Client, task_id: str) -> str:
    """The worker that has it now."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            (view,) = (await client.requests.list_tasks(ListTasks([task_id]))).tasks
            if view.state is TaskState.RUNNING:
                return view.host
            await asyncio.sleep(STEP_S)


def test_a_dispatcher_that_was_stopped_finds_itself_replaced(mesh: RunningMesh) -> None:
    async def scenario() -> None:
        async with connect_client(settings_of(mesh)) as client:
            before = await client.requests.describe()
            owner = psutil.Process(int(before[0].owner.rpartition("-")[2]))
            handed_in = await hand_in(client, [request(client, "nap", n, 0.05) for n in range(40)])
            with stopped(owner):
                await until_epoch_beyond(client, [each.epoch for each in before])
                await still_works(client)
            assert await states(handed_in.handles) == {"succeeded": 40}
            await still_works(client)
            await check_log(mesh, handed_in.ids)

    asyncio.run(scenario())


async def until_epoch_beyond(client: Client, before: list[int]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with contextlib.suppress(OhmeshError):
                shards = await client.requests.describe(timeout_s=1)
                if any(shard.epoch > epoch for shard, epoch in zip(shards, before, strict=True)):
                    return


def test_an_engine_that_was_stopped_loses_nothing(mesh: RunningMesh) -> None:
    async def scenario() -> None:
        said: list[str] = []
        async with connect_client(settings_of(mesh), notice=said.append) as client:
            handed_in = await hand_in(client, [request(client, "nap", n, 0.05) for n in range(40)])
            with stopped(mesh.programs[0].child("nats-server", "-c")):
                await eventually(lambda: any("silent" in line for line in said), what="it is noticed")
                late = asyncio.ensure_future(hand_in(client, [request(client, "echo", "x")] * 20))
            handed_in.handles += (await late).handles
            assert await states(handed_in.handles) == {"succeeded": 60}
            await check_log(mesh, handed_in.ids)

    asyncio.run(scenario())


def test_a_mesh_works_while_its_supervisor_is_stopped(mesh: RunningMesh) -> None:
    async def scenario() -> None:
        async with connect_client(settings_of(mesh)) as client:
            with stopped(mesh.programs[0].process):
                await still_works(client)
                await until_host(client, "one", Liveness.ACTIVE)
            await still_works(client)

    asyncio.run(scenario())
    assert "Traceback" not in "".join(program.said for program in mesh.programs)
