"""A mesh as people run it, for benchmarks that do things to its processes: `ohmesh up` and `ohmesh worker`.

Whatever happens to the benchmark, nothing of it stays: each process that was seen below these is continued and ended by
its pid, in order first and by SIGKILL after a grace.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # it ships no types

ROOT = Path(__file__).resolve().parent.parent
READY_S = 60.0
GRACE_S = 20.0


class MeshProcesses:
    """Commands of one mesh, whose data are in `folder`/mesh. `settings` are variables such as OHMESH_LEDGER."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self.folder = folder
        self.data = folder / "mesh"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("OHMESH_")}
        path = [str(ROOT / "src"), str(ROOT), *(part for part in sys.path if part)]
        self.environment = {**kept, "PYTHONPATH": os.pathsep.join(path), **settings}
        self.commands: dict[str, psutil.Popen] = {}
        self._seen: set[psutil.Process] = set()

    def start(self, name: str, *arguments: str) -> psutil.Popen:
        """Run `ohmesh ARGUMENTS`; what it says goes to NAME.log, its events to NAME.events, in the folder."""
        with (
            (self.folder / f"{name}.log").open("ab") as said,
            (self.folder / f"{name}.events").open("wb") as events,
        ):
            process = psutil.Popen(
                [sys.executable, "-m", "ohmesh", *arguments, "--data", str(self.data), "--json"],
                stdin=subprocess.DEVNULL,
                stdout=events,
                stderr=said,
                cwd=self.folder,
                env=self.environment,
                start_new_session=True,  # Ctrl-C reaches the benchmark, which then ends it in order
            )
        self.commands[name] = process
        return process

    async def ready(self, name: str) -> dict[str, str]:
        """Wait for the event `ready` of a command, and return it. RuntimeError when it ends before."""
        events = self.folder / f"{name}.events"
        async with asyncio.timeout(READY_S):
            while b"\n" not in events.read_bytes():
                if self.commands[name].poll() is not None:
                    raise RuntimeError(f"{name} ended: {(self.folder / f'{name}.log').read_text()[-2000:]}")
                await asyncio.sleep(0.02)
        event: dict[str, str] = json.loads(events.read_text().splitlines()[0])
        return event

    def below(self, name: str) -> list[psutil.Process]:
        """Every process below that command, as it is now."""
        found: list[psutil.Process] = []
        with contextlib.suppress(psutil.Error):
            found = self.commands[name].children(recursive=True)
        self._seen |= set(found)
        return found

    def end(self) -> None:
        """Continue and end everything. A second Ctrl-C meanwhile changes nothing."""
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            for name in self.commands:
                self.below(name)
            mine = list(self.commands.values())
            for process in [*self._seen, *mine]:
                with contextlib.suppress(psutil.Error):
                    process.resume()
            self._end_in_order()
            self._kill({*self._seen, *mine})
        finally:
            signal.signal(signal.SIGINT, before)

    def kill(self) -> None:
        """SIGKILL everything at once, as a power cut does; returns when all are gone."""
        for name in self.commands:
            self.below(name)
        self._kill({*self._seen, *self.commands.values()})

    def _end_in_order(self) -> None:
        """Those that were started last end first."""
        for process in reversed(self.commands.values()):
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + GRACE_S
        for process in self.commands.values():
            with contextlib.suppress(psutil.TimeoutExpired, psutil.Error):
                process.wait(timeout=max(0.0, deadline - time.monotonic()))

    def _kill(self, processes: Iterable[psutil.Process]) -> None:
        left = list(processes)
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=GRACE_S)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
