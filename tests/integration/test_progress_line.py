"""A task's own progress on a terminal, while `submit --wait` waits for it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

from tests.integration.running_mesh import COMMAND_S, environment, running_mesh
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


def test_a_terminal_shows_how_far_an_awaited_task_is(tmp_path: Path) -> None:
    (tmp_path / "climbing.py").write_text(CLIMBING)
    gate = tmp_path / "gate"
    with running_mesh(tmp_path) as mesh:
        mesh.up("--workers", "0")
        mesh.begin("worker", "climbing", "--data", str(mesh.data)).wait_ready()
        ours, theirs = pty.openpty()
        os.set_blocking(ours, False)
        words = ["submit", "climb", str(gate), "--wait", "120", "--data", str(mesh.data)]
        waiting = subprocess.Popen(
            [sys.executable, "-m", "ohmesh", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=theirs,
            cwd=tmp_path,
            env={**environment(), "TERM": "xterm"},
        )
        shown = bytearray()

        def is_shown() -> bool:
            try:
                shown.extend(os.read(ours, 65_536))
            except BlockingIOError:
                return False
            return b"1/4 climbing" in shown

        try:
            wait_until(is_shown, what="a step on the terminal")
            gate.touch()
            assert waiting.communicate(timeout=COMMAND_S)[0] == b"up\n"
            assert waiting.returncode == 0
        finally:
            waiting.kill()
            waiting.communicate()
            os.close(theirs)
            os.close(ours)
