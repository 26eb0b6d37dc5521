"""A mesh as people run it: `ohmesh up`, `ohmesh worker` and other commands as processes of their own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # it ships no types

from tests.waiting import wait_until

READY_S = 40.0
COMMAND_S = 60.0
AGENTS = """
import asyncio, time
from ohmesh import agent

@agent(kind="nap", retries=10)
def nap(number: int, seconds: float) -> int:
    time.sleep(seconds)
    return number

@agent(kind="echo")
async def echo(text: str) -> str:
    return text
"""


def environment() -> dict[str, str]:
    """Ours, without settings of whoever runs the tests, and able to import the package."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OHMESH_")}
    path = os.pathsep.join(path for path in sys.path if path)
    # The door for HTTP costs every start a second; who tests it says --api.
    return {**kept, "PYTHONPATH": path, "OHMESH_API_ENABLED": "false"}


def ohmesh(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "ohmesh", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment(),
        timeout=COMMAND_S,
    )


def hear_interrupts() -> None:
    """Who runs the tests in the background of a script has SIGINT ignored, and so would every child."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Program:
    """A command that goes on running: `up`, `worker` or `node`. What it said is in `said`."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.output = folder / f"{arguments[0]}-{len(list(folder.glob('*.out')))}.out"
        self._events = self.output.with_suffix(".events")
        form = [] if arguments[0] in {"node", "fleet-host"} else ["--json"]  # those say it in no other
        with self.output.open("w") as talk, self._events.open("w") as events:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ohmesh", *arguments, *form],
                stdin=subprocess.DEVNULL,
                stdout=events,
                stderr=talk,
                cwd=folder,
                env=environment(),
                preexec_fn=hear_interrupts,  # noqa: PLW1509 - one call, before anything else of the child runs
            )
        self.process = psutil.Process(self._process.pid)

    @property
    def said(self) -> str:
        return self.output.read_text()

    def wait_ready(self) -> dict[str, str]:
        """The event `ready`; fails with what was said when it ends before."""

        def is_ready_or_over() -> bool:
            return "ready" in self._events.read_text() or self._process.poll() is not None

        wait_until(is_ready_or_over, what=f"ready: {self.said}", timeout_s=READY_S)
        lines = self._events.read_text().splitlines()
        assert lines, f"it ended before it was ready: {self.said}"
        event: dict[str, str] = json.loads(lines[0])
        return event

    def children(self) -> list[psutil.Process]:
        """All processes below it, the runners of its workers too."""
        found: list[psutil.Process] = self.process.children(recursive=True)
        return found

    def child(self, *words: str) -> psutil.Process:
        """The one of them whose command line holds all these words."""
        for process in self.children():
            with contextlib.suppress(psutil.Error):
                if all(any(word in part for part in process.cmdline()) for word in words):
                    return process
        raise AssertionError(f"no child {words} of {self.process.pid}: {self.said}")

    def terminate(self) -> None:
        """As a service manager does it."""
        self._process.send_signal(signal.SIGTERM)

    def interrupt(self) -> None:
        """Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def exit_code(self) -> int:
        """Wait for its end."""
        return self._process.wait(timeout=COMMAND_S)

    def end(self) -> None:
        """Whatever state it is in; nothing of it remains. Ending in order is what other tests are about, and it takes
        its time: here it is killed, itself first, so that it replaces none of its children."""
        if self._process.poll() is None:
            family = self.children()
            self.kill()
            for process in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            wait_until(lambda: all(map(is_gone, family)), what="the end of all of it", timeout_s=COMMAND_S)


class RunningMesh:
    """`ohmesh up` on a data directory of its own, in a folder that also holds the module `agents`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "mesh-data"
        self.programs: list[Program] = []
        (folder / "napping.py").write_text(AGENTS)

    def up(self, *options: str) -> Program:
        """Start it and wait until it is ready."""
        program = self.begin("up", "--data", str(self.data), *options)
        program.wait_ready()
        return program

    def worker(self, *options: str) -> Program:
        program = self.begin("worker", "napping", "--data", str(self.data), *options)
        program.wait_ready()
        return program

    def begin(self, *arguments: str) -> Program:
        program = Program(self.folder, *arguments)
        self.programs.append(program)
        return program

    def run(self, verb: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One command about this mesh, to its end."""
        return ohmesh(verb, *arguments, "--data", str(self.data), cwd=self.folder)

    def ask(self, verb: str, *arguments: str) -> Any:
        """The JSON that one command answers; fails with what it said when it fails."""
        ran = self.run(verb, *arguments, "--json")
        assert ran.returncode == 0, f"{verb} {arguments}: exit code {ran.returncode}: {ran.stderr}"
        return json.loads(ran.stdout)


@contextlib.contextmanager
def running_mesh(folder: Path) -> Iterator[RunningMesh]:
    """A mesh whose processes are all ended afterwards, workers first."""
    mesh = RunningMesh(folder)
    try:
        yield mesh
    finally:
        for program in reversed(mesh.programs):
            program.end()


def is_gone(process: psutil.Process) -> bool:
    """Neither alive nor waiting for somebody to look at its end."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
