"""Progress from handlers in worker processes, sync and async, to a program that watches."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.integration.running_mesh import COMMAND_S, environment

SCRIPT = """
import asyncio, time
from pathlib import Path
from ohmesh import Mesh, agent, report_progress

@agent
def blocking(gate: str) -> str:
    while not Path(gate).exists():
        report_progress(1, 4, "blocking")
        time.sleep(0.05)
    return "done"

@agent
async def yielding(gate: str) -> str:
    while not Path(gate).exists():
        await asyncio.to_thread(report_progress, 2, note="yielding")
        await asyncio.sleep(0.05)
    return "done"

if __name__ == "__main__":
    with Mesh.local([blocking, yielding]) as mesh:
        for kind in ("blocking", "yielding"):
            gate = Path(f"gate-{kind}").resolve()
            handle = mesh.submit(kind, str(gate))
            for step in mesh.progress(handle.id):
                if not gate.exists():
                    print(step.task_id == handle.id, step.done, step.total, step.note, step.share)
                gate.touch()
            print(handle.result())
"""


def test_handlers_in_worker_processes_say_how_far_they_are(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    ran = subprocess.run(
        [sys.executable, "script.py"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(),
        timeout=COMMAND_S,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [
        "True 1.0 4.0 blocking 0.25",
        "done",
        "True 2.0 None yielding None",
        "done",
    ]
