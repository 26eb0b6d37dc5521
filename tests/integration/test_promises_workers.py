"""What happens to tasks when their worker dies, comes back under its name, or is told to stop one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import psutil  # type: ignore[import-untyped]  # it ships no types
import pytest

from ohmesh.assembly.connection import connect_client
from ohmesh.assembly.settings import load_settings
from ohmesh.config import Config
from ohmesh.model.message import ListTasks
from ohmesh.model.task import TaskState, TaskView
from ohmesh.roles.client import Client
from ohmesh.roles.client_handle import TaskHandle
from tests.integration.hand_in import hand_in, read_log, request, states
from tests.integration.running_mesh import Program, RunningMesh, is_gone, running_mesh
from tests.waiting import answered, eventually

HOUR_MS = 3_600_000
LONG_S = 600.0
SOON_S = 20.0  # a lease is three seconds here
AGENTS = """
import asyncio, os, time
from ohmesh import agent

@agent(kind="nap", retries=10)
def nap(number: int, seconds: float) -> int:
    time.sleep(seconds)
    return number

@agent(kind="pid", slots=2)
def pid(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()

@agent(kind="pid-async", slots=4)
async def pid_async(seconds: float) -> int:
    await asyncio.sleep(seconds)
    return os.getpid()
"""


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMesh]:
    with running_mesh(tmp_path_factory.mktemp("workers")) as mesh:
        (mesh.folder / "dozing.py").write_text(AGENTS)
        mesh.up("--workers", "0")
        for program in [begin_worker(mesh, name) for name in ("one", "two")]:
            program.wait_ready()
        yield mesh


def begin_worker(mesh: RunningMesh, name: str) -> Program:
    return mesh.begin("worker", "dozing", "--name", name, "--concurrency", "2", "--data", str(mesh.data))


def worker_named(mesh: RunningMesh, name: str) -> Program:
    """The one that lives."""
    alive = [program for program in mesh.programs if not is_gone(program.process)]
    return next(program for program in alive if name in program.process.cmdline())


def settings_of(mesh: RunningMesh) -> Config:
    return load_settings({"mesh.data": str(mesh.data)})


async def view_of(client: Client, handle: TaskHandle) -> TaskView:
    (view,) = (await client.requests.list_tasks(ListTasks([handle.id]))).tasks
    return view


async def until_running(client: Client, *handles: TaskHandle, beside: str = "") -> None:
    """On any worker but this one."""

    async def all_run() -> bool:
        page = await client.requests.list_tasks(ListTasks([handle.id for handle in handles]))
        return all(view.state is TaskState.RUNNING and view.host != beside for view in page.tasks)

    await answered(all_run, what="they run", timeout_s=SOON_S)


def test_a_worker_that_dies_in_a_task_of_an_hour_is_missed_within_its_lease(mesh: RunningMesh) -> None:
    async def scenario() -> None:
        async with connect_client(settings_of(mesh)) as client:
            long = request(client, "nap", 1, LONG_S, timeout_ms=HOUR_MS)
            (handle,) = (await hand_in(client, [long])).handles
            await until_running(client, handle)
            holder = (await view_of(client, handle)).host
            await asyncio.to_thread(worker_named(mesh, holder).kill)
            await until_running(client, handle, beside=holder)
            assert (await view_of(client, handle)).attempts == 2
            await client.cancel([handle.id])
            await asyncio.to_thread(begin_worker(mesh, holder).wait_ready)

    asyncio.run(scenario())


def test_a_worker_that_comes_back_under_its_name_leaves_no_task_of_its_former_life_behind(
    mesh: RunningMesh,
) -> None:
    async def scenario() -> None:
        async with connect_client(settings_of(mesh)) as client:
            naps = [request(client, "nap", number, 2.0, requires=("host:one",)) for number in range(2)]
            handles = (await hand_in(client, naps)).handles
            await until_running(client, *handles)
            await asyncio.to_thread(worker_named(mesh, "one").kill)
            await asyncio.to_thread(begin_worker(mesh, "one").wait_ready)
            assert await states(handles, timeout_s=SOON_S) == {"succeeded": 2}
            audit = await read_log(settings_of(mesh))
            assert [audit.executions()[handle.id] for handle in handles] == [2, 2]

    asyncio.run(scenario())


def test_cancelling_ends_what_waits_and_what_blocks_and_touches_no_other_process(mesh: RunningMesh) -> None:
    """Waiting, async and blocking; of all processes only that of the blocking one ends."""

    async def scenario() -> None:
        async with connect_client(settings_of(mesh)) as client:
            before = {process.pid for process in worker_named(mesh, "two").children()}
            doomed, others = await busy_on_two(client)
            waiting, asynchronous, blocking = doomed
            begun = await view_of(client, waiting)
            assert begun.state is TaskState.QUEUED
            await client.cancel([waiting.id, asynchronous.id])
            assert await states([waiting, asynchronous], timeout_s=SOON_S) == {"cancelled": 2}
            assert before <= set(map(process_id, worker_named(mesh, "two").children()))
            await client.cancel([blocking.id])
            assert await states([blocking], timeout_s=SOON_S) == {"cancelled": 1}
            survivors = [await handle.result(SOON_S) for handle in others]
            assert set(survivors) <= before
            await eventually(
                lambda: len(before - alive(before)) == 1, what="the process that was blocked ends"
            )
            assert (await view_of(client, waiting)).attempts == 0
            assert [(await view_of(client, handle)).attempts for handle in others] == [1, 1]

    asyncio.run(scenario())


async def busy_on_two(client: Client) -> tuple[list[TaskHandle], list[TaskHandle]]:
    """Those to be cancelled, and the others beside them: both slots of `pid` are taken, and one waits for them."""
    there = {"requires": ("host:two",)}
    asynchronous = request(client, "pid-async", LONG_S, **there, timeout_ms=HOUR_MS)
    blocking = request(client, "pid", LONG_S, **there, timeout_ms=HOUR_MS)
    short = [request(client, "pid-async", 5.0, **there), request(client, "pid", 5.0, **there)]
    handed_in = await hand_in(client, [asynchronous, blocking, *short])
    await until_running(client, *handed_in.handles)
    (waiting,) = (await hand_in(client, [request(client, "pid", 0.0, **there)])).handles
    first, second, *others = handed_in.handles
    return [waiting, first, second], others


def process_id(process: psutil.Process) -> int:
    return int(process.pid)


def alive(pids: set[int]) -> set[int]:
    return {pid for pid in pids if psutil.pid_exists(pid) and not is_gone(psutil.Process(pid))}
