"""How far tasks are, on a terminal, while `submit --wait` and `tasks wait` wait for them."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.running_mesh import COMMAND_S, RunningMesh, environment, running_mesh
from tests.waiting import wait_until

CLIMBING = """
import time
from pathlib import Path
from ohmesh import agent, report_progress

@agent
def climb(gate: str) -> str:
    while not Path(gate).exists():
        report_progress(1, 4, "climbing")
        time.sleep(0.05)
    return "up"
"""


class Waiting:
    """A command whose stderr is a terminal."""

    def __init__(self, mesh: RunningMesh, *words: str) -> None:
        self._ours, self._theirs = pty.openpty()
        os.set_blocking(self._ours, False)
        self._shown = bytearray()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ohmesh", *words, "--data", str(mesh.data)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._theirs,
            cwd=mesh.folder,
            env={**environment(), "TERM": "xterm"},
        )

    def wait_shown(self, text: bytes) -> None:
        wait_until(lambda: text in self._read(), what=f"{text!r} on the terminal")

    def printed(self) -> bytes:
        """Its standard output, once it has ended well."""
        printed = self.process.communicate(timeout=COMMAND_S)[0]
        assert self.process.returncode == 0, self._read()
        return printed

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        os.close(self._theirs)
        os.close(self._ours)

    def _read(self) -> bytes:
        with contextlib.suppress(BlockingIOError):
            self._shown.extend(os.read(self._ours, 65_536))
        return bytes(self._shown)


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMesh]:
    with running_mesh(tmp_path_factory.mktemp("climbing")) as mesh:
        (mesh.folder / "climbing.py").write_text(CLIMBING)
        mesh.up("--workers", "0")
        mesh.begin("worker", "climbing", "--data", str(mesh.data)).wait_ready()
        yield mesh


@pytest.mark.parametrize("verb", ["submit --wait", "tasks wait"])
def test_a_terminal_shows_how_far_an_awaited_task_is(mesh: RunningMesh, tmp_path: Path, verb: str) -> None:
    gate = tmp_path / "gate"
    if verb == "tasks wait":
        words = ["tasks", "wait", mesh.ask("submit", "climb", str(gate))["task_id"], "--wait", "120"]
    else:
        words = ["submit", "climb", str(gate), "--wait", "120"]
    with contextlib.closing(Waiting(mesh, *words)) as waiting:
        waiting.wait_shown(b"1/4 climbing")
        gate.touch()
        assert b"up" in waiting.printed()


def test_a_terminal_shows_how_many_awaited_tasks_have_ended(mesh: RunningMesh, tmp_path: Path) -> None:
    gates = [tmp_path / "first", tmp_path / "second"]
    task_ids = [mesh.ask("submit", "climb", str(gate))["task_id"] for gate in gates]
    with contextlib.closing(Waiting(mesh, "tasks", "wait", *task_ids, "--wait", "120")) as waiting:
        waiting.wait_shown(b"0/2 ended")
        gates[0].touch()
        waiting.wait_shown(b"1/2 ended")
        gates[1].touch()
        printed = waiting.printed().decode()
        assert all(task_id in printed for task_id in task_ids), printed


def test_off_a_terminal_waiting_says_nothing(mesh: RunningMesh, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    task_ids = [mesh.ask("submit", "climb", str(gate))["task_id"] for _ in range(2)]
    ran = mesh.run("tasks", "wait", *task_ids)
    assert (ran.returncode, ran.stderr) == (0, "")
