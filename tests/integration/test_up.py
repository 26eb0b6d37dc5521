"""`ohmesh up` as people use it: real work through other terminals, a clean end, and nothing left behind."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # it ships no types
import pytest

from ohmesh import Mesh
from tests.integration.running_mesh import COMMAND_S, environment, hear_interrupts, is_gone, running_mesh
from tests.waiting import wait_until


def test_work_flows_by_command_line_and_by_python(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh:
        mesh.up()
        assert (
            mesh.ask("submit", "text", "What a lovely day!", "--wait", "20")["value"]["label"] == "POSITIVE"
        )
        task_id = mesh.run("submit", "function", "ohmesh.handlers.samples:add", "1", "2").stdout.strip()
        assert mesh.ask("result", task_id)["value"] == 3

        with Mesh.connect(data=str(mesh.data)) as python:
            assert python.call("function", "ohmesh.handlers.samples:add", 20, 22, timeout=20) == 42

        assert [task["state"] for task in mesh.ask("tasks")["tasks"]] == ["succeeded"] * 3
        assert [worker["host"] for worker in mesh.ask("workers")["workers"]] == ["worker-1"]


def test_who_waits_in_vain_has_the_id_and_the_state(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh:
        program = mesh.up("--workers", "0")
        wait_until(lambda: "no worker\n" in program.said, what="it does not promise kinds")
        ran = mesh.run("submit", "nobody-runs-it", "--wait", "0.2", "--json")
        assert ran.returncode == 3
        late = json.loads(ran.stdout)
        assert (late["state"], late["error"]["code"]) == ("queued", "result_timeout")
        assert ran.stderr.startswith(f"{late['task_id']} is submitted")


def test_a_worker_of_ones_own_joins_and_leaves(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh:
        mesh.up("--workers", "0")
        worker = mesh.worker("--name", "mine")
        answer = mesh.run("submit", "echo", "hello", "--wait", "20")
        assert answer.stdout == "hello\n", answer.stderr
        children = worker.children()
        worker.interrupt()
        assert worker.exit_code() == 0, worker.said
        wait_until(lambda: all(map(is_gone, children)), what="the runners end with their worker")
        workers = mesh.ask("workers")["workers"]
        assert [worker for worker in workers if worker["liveness"] == "active"] == []


def test_a_worker_that_is_started_first_waits_for_the_mesh(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh:
        worker = mesh.begin("worker", "napping", "--data", str(mesh.data))
        wait_until(lambda: "waiting for the mesh" in worker.said, what="it says what it waits for")
        mesh.up("--workers", "0")
        worker.wait_ready()
        assert worker.said.count("waiting for the mesh") == 1, worker.said


def test_a_worker_that_waits_for_a_mesh_ends_at_ctrl_c(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh:
        worker = mesh.begin("worker", "napping", "--data", str(mesh.data))
        wait_until(lambda: "waiting for the mesh" in worker.said, what="it says what it waits for")
        worker.interrupt()
        assert worker.exit_code() == 130


def test_a_name_belongs_to_one_worker_at_a_time(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh:
        mesh.up("--workers", "0")
        worker = mesh.worker("--name", "mine")
        second = mesh.run("worker", "napping", "--name", "mine")
        assert second.returncode == 2
        assert "'mine' is alive" in second.stderr
        assert mesh.run("submit", "echo", "hello", "--wait", "20").stdout == "hello\n"
        worker.kill()
        mesh.worker("--name", "mine")
        assert mesh.run("submit", "echo", "again", "--wait", "20").stdout == "again\n"


def test_a_worker_says_how_long_it_may_take_to_end_and_a_second_ctrl_c_hands_back(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh:
        mesh.up("--workers", "0")
        worker = mesh.worker("--name", "mine")
        task_id = mesh.run("submit", "nap", "1", "300").stdout.strip()
        wait_until(
            lambda: mesh.ask("tasks", "get", task_id)["tasks"][0]["state"] == "running", what="it runs"
        )
        worker.interrupt()
        wait_until(lambda: "stopping: 1 task may take up to 10 s" in worker.said, what="it says so at once")
        worker.interrupt()
        assert worker.exit_code() == 0
        assert worker.said.splitlines()[-1].startswith("ended")
        assert "did not end within 10" not in worker.said
        (task,) = mesh.ask("tasks", "get", task_id)["tasks"]
        assert (task["state"], task["failures"]) == ("queued", []), (
            "it is nobody's fault, and waits for the next one"
        )


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminate"])
def test_a_signal_ends_everything_in_order(tmp_path: Path, how: signal.Signals) -> None:
    with running_mesh(tmp_path) as mesh:
        program = mesh.up()
        children = program.children()
        assert len(children) >= 4  # nats-server, two nodes, a worker, its runners
        program.process.send_signal(how)
        assert program.exit_code() == 0, program.said
        assert all(map(is_gone, children)), "a child outlived the mesh"
        assert not (mesh.data / "runtime.json").exists()


def test_a_second_ctrl_c_ends_at_once_what_does_not_end_in_order(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh:
        program = mesh.up()
        children = program.children()
        program.child("ohmesh", "node").suspend()
        program.interrupt()
        wait_until(lambda: "again Ctrl-C" in program.said, what="the first one was heard")
        program.interrupt()
        assert program.exit_code() == 130
        wait_until(lambda: all(map(is_gone, children)), what="nothing is left behind")


def test_down_ends_it_from_another_terminal_and_says_when_there_is_none(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh:
        program = mesh.up()
        children = program.children()
        assert mesh.ask("down")["pid"] == program.process.pid
        assert program.exit_code() == 0
        assert all(map(is_gone, children))
        assert mesh.run("down").returncode == 4


def test_a_killed_supervisor_takes_its_children_along(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh:
        program = mesh.up()
        children = program.children()
        program.kill()
        wait_until(lambda: all(map(is_gone, children)), what=f"no child outlives it: {_alive(children)}")
        gone = f"(process {program.process.pid}) is gone"
        asked, examined = mesh.run("status"), mesh.run("doctor")
        assert (asked.returncode, gone in asked.stderr) == (6, True), asked.stderr
        assert (examined.returncode, gone in " ".join(examined.stdout.split())) == (1, True), examined.stdout


def test_up_again_goes_on_where_it_was(tmp_path: Path) -> None:
    """Tasks that were running or waiting when the supervisor was killed end after the next `up`; the worker in its
    own terminal waits and comes back by itself."""
    with running_mesh(tmp_path) as mesh:
        program = mesh.up("--workers", "0")
        mesh.worker("--name", "mine", "--concurrency", "2")
        with Mesh.connect(data=str(mesh.data)) as python:
            handles = [python.submit("nap", number, 0.1) for number in range(40)]
            handles[0].result(timeout=20)
            program.kill()
            mesh.up("--workers", "0")
            assert [handle.result(timeout=60) for handle in handles] == list(range(40))


@pytest.mark.parametrize(
    "victim",
    [("ohmesh", "node"), ("ohmesh", "worker"), ("nats-server", "-c")],
    ids=["node", "worker", "nats-server"],
)
def test_a_killed_child_is_replaced_and_nothing_is_lost(tmp_path: Path, victim: tuple[str, str]) -> None:
    with running_mesh(tmp_path) as mesh:
        program = mesh.up()
        with Mesh.connect(data=str(mesh.data)) as python:
            handles = [python.submit("text", f"Sentence {number} is fine.") for number in range(100)]
            killed = program.child(*victim)
            killed.kill()
            handles += [python.submit("text", f"Sentence {number} is bad.") for number in range(100, 200)]
            results = [handle.result(timeout=60) for handle in handles]
        labels = {result["label"] for result in results if isinstance(result, dict)}
        assert labels == {"POSITIVE", "NEGATIVE"}
        wait_until(lambda: program.child(*victim).pid != killed.pid, what="another one takes its place")


def _alive(processes: list[psutil.Process]) -> list[str]:
    found: list[str] = []
    for process in processes:
        with contextlib.suppress(psutil.Error):  # it may end while it is looked at
            if not is_gone(process):
                found.append(" ".join(process.cmdline()))
    return found


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminate"])
def test_a_worker_that_imports_its_modules_ends_at_the_first_signal(
    tmp_path: Path, how: signal.Signals
) -> None:
    with running_mesh(tmp_path) as mesh:
        mesh.up("--workers", "0", "--nodes", "1")
        (mesh.folder / "slow.py").write_text(
            "import pathlib, time\npathlib.Path('importing').touch()\ntime.sleep(100)\n"
        )
        worker = mesh.begin("worker", "slow", "--data", str(mesh.data))
        wait_until((mesh.folder / "importing").exists, what="its module is being imported")
        runners = worker.children()
        worker.process.send_signal(how)
        assert worker.exit_code() == 0, "it left; it was not ended by the bound of an import"
        assert all(map(is_gone, runners))


def test_a_signal_ends_a_mesh_whose_words_nobody_reads_any_more(tmp_path: Path) -> None:
    """As `ohmesh up 2>&1 | head` leaves it."""
    with running_mesh(tmp_path) as mesh:
        command = ["up", "--data", str(mesh.data), "--workers", "0", "--nodes", "1"]
        with subprocess.Popen(
            [sys.executable, "-m", "ohmesh", *command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=mesh.folder,
            env=environment(),
            preexec_fn=hear_interrupts,  # noqa: PLW1509 - one call, before anything else of the child runs
        ) as program:
            assert program.stderr is not None
            assert any(b"Ctrl-C ends it" in line for line in program.stderr)
            program.stderr.close()
            program.send_signal(signal.SIGINT)
            try:
                program.wait(COMMAND_S)
            finally:
                program.kill()
        assert not (mesh.data / "runtime.json").exists(), "it ended in order"
