"""`--watch` on a mesh of real processes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from tests.integration.running_mesh import COMMAND_S, environment, hear_interrupts, running_mesh
from tests.waiting import wait_until


def test_a_watch_prints_what_changes_until_it_is_interrupted(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh:
        mesh.up("--workers", "0")
        lines, talk = tmp_path / "lines", tmp_path / "talk"
        words = ["status", "--watch", "0.2", "--output", "jsonl", "--data", str(mesh.data)]
        with lines.open("w") as out, talk.open("w") as err:
            watching = subprocess.Popen(
                [sys.executable, "-m", "ohmesh", *words],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=tmp_path,
                env=environment(),
                preexec_fn=hear_interrupts,  # noqa: PLW1509 - one call, before anything else of the child runs
            )
        try:
            wait_until(lambda: lines.read_text().endswith("\n"), what=f"a first line: {talk.read_text()}")
            assert mesh.run("submit", "text", "What a lovely day").returncode == 0

            def is_counted() -> bool:
                whole = lines.read_text().rpartition("\n")[0].splitlines()
                return [queue["queued"] for queue in json.loads(whole[-1])["queues"]] == [1]

            wait_until(is_counted, what="a line with the task")
            watching.send_signal(signal.SIGINT)
            assert watching.wait(timeout=COMMAND_S) == 130
            assert "Traceback" not in talk.read_text()
        finally:
            watching.kill()
            watching.wait()
