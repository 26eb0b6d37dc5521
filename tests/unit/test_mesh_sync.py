"""Mesh: the same verbs for code without an event loop, from any thread."""

from __future__ import annotations

import inspect
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from ohmesh.errors import (
    Backpressure,
    InvalidArgument,
    MeshUnreachable,
    ResultTimeout,
    TaskCancelled,
    TaskFailed,
    UnknownTask,
    UsageError,
)
from ohmesh.mesh import AsyncMesh, Mesh, sync_mesh
from ohmesh.mesh.async_mesh import Opening
from ohmesh.model.task import TaskState
from tests.unit.mesh_in_memory import mesh_in_memory
from tests.waiting import wait_until


@pytest.fixture
def mesh() -> Iterator[Mesh]:
    with Mesh(Opening(mesh_in_memory)) as opened:
        yield opened


def public(kind: type) -> dict[str, object]:
    return {name: getattr(kind, name) for name in dir(kind) if not name.startswith("_")}


def test_both_doors_have_the_same_verbs_with_the_same_parameters() -> None:
    assert set(public(Mesh)) == set(public(AsyncMesh))
    for name in public(AsyncMesh):
        asynchronous, synchronous = getattr(AsyncMesh, name), getattr(Mesh, name)
        if isinstance(asynchronous, property):
            assert isinstance(synchronous, property), name
            continue
        ours = inspect.signature(asynchronous).parameters.values()
        theirs = inspect.signature(synchronous).parameters.values()
        assert [(one.name, one.kind, one.default) for one in ours] == [
            (one.name, one.kind, one.default) for one in theirs
        ], name
        assert inspect.getdoc(synchronous) == inspect.getdoc(asynchronous), name


def test_nothing_is_awaited_by_its_caller(mesh: Mesh) -> None:
    assert mesh.call("echo", 1, two=2) == [[1], {"two": 2}]
    handle = mesh.submit("echo", "x")
    handle.accepted()
    assert handle.result(10) == [["x"], {}]
    assert (handle.state, handle.is_done) == (TaskState.SUCCEEDED, True)
    assert repr(handle) == f"<task {handle.id} succeeded>"
    assert mesh.result(handle.id) == handle.result()
    assert mesh.get(handle.id).value == [["x"], {}]
    assert mesh.tasks(kind="echo").total >= 2
    assert len(mesh.workers()) == 1
    assert mesh.status().mesh == "memory"
    assert repr(mesh) == "<Mesh 'memory'>"


def test_errors_come_through(mesh: Mesh) -> None:
    with pytest.raises(TaskFailed):
        mesh.call("fail")
    with pytest.raises(InvalidArgument):
        mesh.submit_nowait("echo", object())
    with pytest.raises(UnknownTask):
        mesh.get("NEVERWAS")
    endless = mesh.submit_nowait("never")
    with pytest.raises(ResultTimeout):
        endless.result(0.05)
    assert mesh.cancel(endless.id).cancelled == [endless.id]
    with pytest.raises(TaskCancelled):
        endless.result()


def test_thousands_are_submitted_without_waiting_and_all_are_answered(mesh: Mesh) -> None:
    handles = [mesh.submit_nowait("echo", number) for number in range(5_000)]
    assert len({handle.id for handle in handles}) == 5_000
    assert [handle.result(30) for handle in handles] == [[[number], {}] for number in range(5_000)]


def test_many_threads_share_one_mesh(mesh: Mesh) -> None:
    results: dict[int, list[object]] = {}

    def work(thread: int) -> None:
        handles = [mesh.submit_nowait("echo", thread, number) for number in range(300)]
        results[thread] = [handle.result(30) for handle in handles]

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number_of_thread in range(4):
        assert results[number_of_thread] == [[[number_of_thread, number], {}] for number in range(300)]


def test_the_same_key_is_the_same_task(mesh: Mesh) -> None:
    one, two = mesh.submit_nowait("echo", key="once"), mesh.submit("echo", key="once")
    assert one.id == two.id
    assert one.result(10) == two.result(10)


def test_an_inbox_that_is_full_refuses(mesh: Mesh) -> None:
    block = threading.Event()
    mesh.background.call_soon(lambda: block.wait(30))
    try:
        for _ in range(sync_mesh.INBOX_TASKS):
            mesh.submit_nowait("echo")
        with pytest.raises(Backpressure) as caught:
            mesh.submit_nowait("echo")
        assert caught.value.retry_after_ms > 0
    finally:
        block.set()


def test_closing_sends_what_was_submitted_before() -> None:
    mesh = Mesh(Opening(mesh_in_memory))
    handles = [mesh.submit_nowait("echo", number) for number in range(1_000)]
    mesh.close()
    mesh.close()
    assert {handle.state for handle in handles} <= {TaskState.QUEUED, TaskState.SUCCEEDED}
    with pytest.raises(MeshUnreachable, match="closed"):
        mesh.call("echo")
    with pytest.raises(MeshUnreachable, match="closed"):
        mesh.submit_nowait("echo")


def test_an_interrupted_wait_is_given_up_in_the_loop_too(mesh: Mesh) -> None:
    endless, client = mesh.submit("never"), mesh.mesh.client
    main = threading.get_ident()

    def interrupt() -> None:
        wait_until(lambda: client.statistics().awaited, what="the wait")
        signal.pthread_kill(main, signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        interrupter = threading.Thread(target=interrupt)
        interrupter.start()
        with pytest.raises(KeyboardInterrupt):
            endless.result()
        interrupter.join()
    finally:
        signal.signal(signal.SIGINT, before)
    wait_until(lambda: not client.statistics().awaited, what="the end of the wait")
    assert mesh.call("echo") == [[], {}]


def test_using_it_in_its_own_loop_is_refused_instead_of_hanging(mesh: Mesh) -> None:
    caught: list[BaseException] = []
    done = threading.Event()

    def inside() -> None:
        try:
            mesh.status()
        except UsageError as error:
            caught.append(error)
        done.set()

    mesh.background.call_soon(inside)
    assert done.wait(10)
    assert "AsyncMesh" in str(caught[0])


def test_a_mesh_that_cannot_be_opened_leaves_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    with pytest.raises(MeshUnreachable, match="ohmesh up"):
        Mesh.connect(data=str(tmp_path))
    assert threading.active_count() == before


def test_a_program_that_ends_without_closing_still_hands_in_its_tasks() -> None:
    script = (
        "from ohmesh.mesh import Mesh\n"
        "from ohmesh.mesh.async_mesh import Opening\n"
        "from tests.unit.mesh_in_memory import mesh_in_memory\n"
        "import atexit\n"
        "handles = []\n"
        "atexit.register(lambda: print({str(one.state) for one in handles} <= {'queued', 'succeeded'}))\n"
        "mesh = Mesh(Opening(mesh_in_memory))\n"
        "handles += [mesh.submit_nowait('echo', n) for n in range(500)]\n"
    )
    root = Path(__file__).parents[2]
    path = f"{root}:{root / 'src'}"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": path, "PATH": ""},
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_an_error_of_ours_shows_the_callers_lines_and_not_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown() -> str:
        with pytest.raises(MeshUnreachable) as raised:
            Mesh.connect(data=str(tmp_path))
        return "".join(traceback.format_exception(raised.value))

    monkeypatch.delenv("OHMESH_DEBUG", raising=False)
    assert shown().count("File ") <= 4, shown()
    monkeypatch.setenv("OHMESH_DEBUG", "1")
    assert shown().count("File ") > 4
