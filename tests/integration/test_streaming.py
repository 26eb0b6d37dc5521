"""Streamed results from handlers in worker processes, through a real server, at each door."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from ohmesh import Mesh
from tests.integration.running_mesh import Program, RunningMesh, environment, running_mesh
from tests.waiting import wait_until

STREAMING = """
import asyncio, time
from pathlib import Path
from ohmesh import agent

@agent(retries=3)
def walk(gate: str, count: int):
    for number in range(count):
        yield number
        while number == 1 and not Path(gate).exists():
            time.sleep(0.02)

@agent(retries=3)
async def run(gate: str, count: int):
    for number in range(count):
        yield number
        while number == 1 and not Path(gate).exists():
            await asyncio.sleep(0.02)

@agent(retries=0)
def trickle(mark: str):
    try:
        while True:
            yield "drop"
            time.sleep(0.02)
    finally:
        Path(mark).write_text("tidied up")
"""


def begun(mesh: RunningMesh, directory: Path) -> None:
    (directory / "streaming.py").write_text(STREAMING)
    mesh.up("--workers", "0")
    worker(mesh)


def worker(mesh: RunningMesh) -> Program:
    process = mesh.begin("worker", "streaming", "--data", str(mesh.data))
    process.wait_ready()
    return process


def test_items_arrive_before_the_end_from_sync_and_async_handlers(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as running:
        begun(running, tmp_path)
        with Mesh.connect(data=str(running.data)) as mesh:
            for kind in ("walk", "run"):
                gate = tmp_path / f"gate-{kind}"
                handle = mesh.submit(kind, str(gate), 500)
                stream = handle.stream()
                assert [next(stream), next(stream)] == [0, 1]
                late = mesh.stream(handle.id)
                assert [next(late), next(late)] == [0, 1]
                assert not handle.is_done
                gate.touch()
                assert list(stream) == list(late) == list(range(2, 500))
                assert handle.result() == list(range(500))


def test_after_a_worker_is_killed_in_mid_stream_the_items_of_the_next_attempt_come_complete(
    tmp_path: Path,
) -> None:
    with running_mesh(tmp_path) as running:
        (tmp_path / "streaming.py").write_text(STREAMING)
        running.up("--workers", "0")
        first = worker(running)
        with Mesh.connect(data=str(running.data)) as mesh:
            gate = tmp_path / "gate"
            handle = mesh.submit("walk", str(gate), 300)
            items = handle.items()
            assert [next(items).value, next(items).value] == [0, 1]
            first.kill()
            gate.touch()
            worker(running)
            rest = list(items)
            assert [item.value for item in rest] == list(range(300))
            assert {item.attempt for item in rest} == {2}
            assert handle.result() == list(range(300))


def test_cancel_and_timeout_let_a_sync_generator_tidy_up(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as running:
        begun(running, tmp_path)
        with Mesh.connect(data=str(running.data)) as mesh:
            cancelled, late = tmp_path / "cancelled", tmp_path / "late"
            handle = mesh.submit("trickle", str(cancelled))
            stream = handle.stream()
            assert next(stream) == "drop"
            mesh.cancel(handle.id)
            wait_until(cancelled.exists, what="the cancelled generator tidied up")
            overdue = mesh.submit("trickle", str(late), timeout=0.3)
            wait_until(late.exists, what="the overdue generator tidied up")
            assert mesh.wait(overdue.id).outcomes[0].state == "timed_out"


def test_the_command_line_prints_items_as_they_come(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as running:
        begun(running, tmp_path)
        gate = tmp_path / "gate"
        words = ["submit", "walk", str(gate), "4", "--stream", "--data", str(running.data)]
        with subprocess.Popen(
            [sys.executable, "-m", "ohmesh", *words],
            stdout=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env=environment(),
        ) as submitting:
            assert submitting.stdout is not None
            assert [next(submitting.stdout), next(submitting.stdout)] == ["0\n", "1\n"]
            gate.touch()
            assert list(submitting.stdout) == ["2\n", "3\n"]
        assert submitting.returncode == 0
        listed = running.ask("tasks", "list", "--kind", "walk")
        task_id = listed["tasks"][0]["task_id"]
        shown = running.run("tasks", "stream", task_id, "--json")
        assert [json.loads(line) for line in shown.stdout.splitlines()] == [
            {"task_id": task_id, "attempt": 1, "number": number, "value": number} for number in range(4)
        ]
