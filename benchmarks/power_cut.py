"""What does a power cut take, is it noticed, and what does `durability: fsync` cost?

    python benchmarks/power_cut.py [--seconds 5] [--json]

The store of nats-server is a file system of its own in a file (mounted through a loop device, so root and Linux are
needed; elsewhere the benchmark says that it is skipped, and why). In mid-run all processes of the mesh are stopped and
the file is copied: the copy is what a disk holds in the instant when power fails, without what only the page cache had.
Then the copy is mounted in its place, and the mesh goes on from there. Who fails with the store is --cut:

    machine     everything is killed, and `ohmesh up` is run again; the ledger was on a disk that lived
    engine      only nats-server is killed; dispatchers, projector, workers and clients go on

    acknowledged    ids that the client, which lives, had heard of before the copy
    missing         of them, in no log afterwards: must be 0 with fsync
    is_told         status, doctor and history each say that the end of a log was lost; events say it as long as the
                    log reaches back so far
    works_on        a hundred tasks submitted afterwards are done

Exit code 1 when fsync lost something, the mesh did not go on, or a loss of the engine alone was not told. (When the
whole machine fails, a loss can be told where a snapshot or history was ahead of the log: docs/durability.md.)
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import psutil  # type: ignore[import-untyped]  # it ships no types

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from benchmarks.chaos_judge import SUBMITTED, read_logs  # noqa: E402
from benchmarks.chaos_victims import is_kind  # noqa: E402
from benchmarks.mesh_processes import MeshProcesses  # noqa: E402
from ohmesh import AsyncMesh, OhmeshError  # noqa: E402
from ohmesh.roles.client_handle import TaskHandle  # noqa: E402

DISK_BYTES = 512 << 20
WINDOW = 500
AFTERWARDS = 100
PATIENCE_S = 60.0
TEXT = "x" * 200
SETTINGS = {"OHMESH_DISPATCHER_SNAPSHOT_TRIM_INTERVAL_S": "1000000"}


@dataclass(frozen=True)
class Outcome:
    durability: str
    cut: str
    tasks_per_s: int
    acknowledged: int
    missing: int
    told_by: list[str]
    is_told: bool
    works_on: bool

    @property
    def is_held(self) -> bool:
        if self.durability == "fsync":
            return self.missing == 0 and self.works_on
        if (
            self.cut == "machine"
        ):  # nobody is left who knows better than the log, unless history was ahead of it
            return self.works_on
        return (self.is_told or not self.missing) and self.works_on


class Disk:
    """A file system in the file `image`, mounted on `root`."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.root = root
        self._image = folder / "disk"
        self._copies = 0

    def make(self) -> None:
        with self._image.open("wb") as file:
            file.truncate(DISK_BYTES)
        run("mkfs.ext4", "-q", "-F", str(self._image))
        self.root.mkdir(parents=True, exist_ok=True)
        self._mount()

    def copy(self) -> None:
        """What has reached the disk. What the page cache of our file system holds is not in there."""
        self._copies += 1
        copy = self._image.with_name(f"disk-{self._copies}")
        run("cp", "--reflink=never", "--sparse=auto", str(self._image), str(copy))
        self._image = copy

    def swap(self) -> None:
        """Mount the last copy in the place of what it was made of."""
        self.unmount()
        self._mount()

    def unmount(self) -> None:
        """Also while somebody still has files open there: to them it stays what it was."""
        if self.root.is_mount():
            run("umount", "--lazy", str(self.root))

    def _mount(self) -> None:
        run("mount", "-o", "loop", str(self._image), str(self.root))


def run(*command: str) -> None:
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode:
        raise RuntimeError(f"{' '.join(command)}: {ran.stderr.strip()}")


def why_not() -> str:
    """Why it cannot be done here, "" where it can."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return "only root may mount a loop device, and only Linux has them"
    missing = [name for name in ("mkfs.ext4", "mount", "umount") if shutil.which(name) is None]
    if missing:
        return f"{missing[0]} is not installed"
    with tempfile.TemporaryDirectory() as folder:
        disk = Disk(Path(folder), Path(folder) / "store")
        try:
            disk.make()
        except RuntimeError as error:
            return str(error)
        disk.unmount()
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="of submitting before the cut")
    parser.add_argument("--durability", choices=["fsync", "interval"], action="append")
    parser.add_argument("--cut", choices=["machine", "engine"], action="append")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if reason := why_not():
        print(json.dumps({"skipped": reason}) if given.json else f"skipped: {reason}")
        return 0
    outcomes = [
        cut_power(durability, cut, given.seconds)
        for cut in given.cut or ["machine", "engine"]
        for durability in given.durability or ["fsync", "interval"]
    ]
    if given.json:
        print(json.dumps({"outcomes": [{**asdict(each), "is_held": each.is_held} for each in outcomes]}))
    else:
        for each in outcomes:
            print(
                f"{each.durability:8} power of the {each.cut:7}: {each.tasks_per_s:>6,} tasks/s before; "
                f"{each.missing:,} of {each.acknowledged:,} acknowledged are missing; "
                f"told by {', '.join(each.told_by) or 'nobody'}; "
                f"{'goes on' if each.works_on else 'DOES NOT GO ON'}; {'held' if each.is_held else 'NOT HELD'}"
            )
    return 0 if all(each.is_held for each in outcomes) else 1


def cut_power(durability: str, cut: str, seconds: float) -> Outcome:
    folder = Path(tempfile.mkdtemp(prefix="ohmesh-power-cut-"))
    try:
        with contextlib.closing(Run(folder, durability)) as mesh:
            return asyncio.run(mesh.ordeal(cut, seconds))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Run:
    """One mesh, from its first start to what it does after the cut."""

    def __init__(self, folder: Path, durability: str) -> None:
        self.durability = durability
        self.processes = MeshProcesses(folder, {**SETTINGS, "OHMESH_ENGINE_DURABILITY": durability})
        self.disk = Disk(folder, self.processes.data / "store")

    def close(self) -> None:
        self.processes.end()
        self.disk.unmount()

    async def ordeal(self, cut: str, seconds: float) -> Outcome:
        self._prepare()
        await self._up()
        async with AsyncMesh.connect(data=str(self.processes.data)) as mesh:
            load = Load(mesh)
            loading = asyncio.create_task(load.go_on())
            await asyncio.sleep(seconds)
            rate = load.acknowledged_per_s()
            with self._stopped():
                acknowledged = set(load.acknowledged)
                self.disk.copy()
                if cut == "engine":
                    self._end_engine()
            loading.cancel()
            await asyncio.gather(loading, return_exceptions=True)
            if cut == "engine":
                return await self._afterwards(mesh, cut, rate, acknowledged)
        self.processes.kill()
        self.disk.swap()
        await self._up()
        async with AsyncMesh.connect(data=str(self.processes.data)) as mesh:
            return await self._afterwards(mesh, cut, rate, acknowledged)

    def _prepare(self) -> None:
        """A data directory is made by `up` and taken for no other's, so its store is mounted when it is there."""
        self.processes.data.mkdir(mode=0o700)
        (self.processes.data / "mesh.json").write_text('{"mesh":"default","shards":2}\n')
        self.disk.make()

    async def _up(self) -> None:
        self.processes.start("up", "up", "--workers", "0", "--no-api")
        await self.processes.ready("up")
        self.processes.start("worker", "worker", "benchmarks.task_agents", "--concurrency", "1")
        await self.processes.ready("worker")

    @contextlib.contextmanager
    def _stopped(self) -> Iterator[None]:
        """In the instant of a power cut nobody writes any more. (A busy process goes on until one of its threads has
        taken the signal in, and what it writes meanwhile would be torn by the copy.)"""
        processes = [*self.processes.commands.values(), *self.processes.below("up")]
        for process in processes:
            process.suspend()
        deadline = time.monotonic() + PATIENCE_S
        while not all(map(has_stopped, processes)):
            if time.monotonic() > deadline:
                raise RuntimeError("a process of the mesh does not stop")
            time.sleep(0.001)
        try:
            yield
        finally:
            for process in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.resume()

    def _end_engine(self) -> None:
        """While `up` is stopped, so that the next server begins on what the disk held."""
        for process in self.processes.below("up"):
            if is_kind(process, "engine"):
                process.kill()
        self.disk.swap()

    async def _afterwards(self, mesh: AsyncMesh, cut: str, rate: int, acknowledged: set[str]) -> Outcome:
        works_on = False
        with contextlib.suppress(OhmeshError, TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                handles = [await mesh.submit("add", number, 1, TEXT) for number in range(AFTERWARDS)]
                values = [await handle.result() for handle in handles]
                works_on = values == [number + 1 for number in range(AFTERWARDS)]
        missing = acknowledged - await self._in_the_logs()
        told_by = await self._tellers(mesh)
        is_told = set(told_by) >= {"status", "doctor", "history"}
        return Outcome(
            self.durability, cut, rate, len(acknowledged), len(missing), told_by, is_told, works_on=works_on
        )

    async def _in_the_logs(self) -> set[str]:
        found: set[str] = set()
        for entries in (await read_logs(self.processes.data)).values():
            for _, entry in entries:
                rows: list[Any] = msgspec.msgpack.decode(entry)[4]
                found |= {task[0] for row in rows if row[0] == SUBMITTED for task in row[2]}
        return found

    async def _tellers(self, mesh: AsyncMesh) -> list[str]:
        """Who says that a tail was lost."""
        told = []
        if any(each.lost_tail for each in (await mesh.status()).dispatchers):
            told.append("status")
        findings = json.loads(await self._ask("doctor"))["findings"]
        if any(each["subject"] == "tail" and each["weight"] == "problem" for each in findings):
            told.append("doctor")
        if "tail_lost" in await self._ask("events", "--after", "start", "--filter", "type=shard.tail_lost"):
            told.append("events")
        if (await mesh.history_events(kind="tail_lost")).events:
            told.append("history")
        return told

    async def _ask(self, *words: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "ohmesh", *words, "--data", str(self.processes.data), "--json"],
            stdout=asyncio.subprocess.PIPE,
            env=self.processes.environment,
            cwd=self.processes.folder,
        )
        said, _ = await process.communicate()
        return said.decode()


def has_stopped(process: psutil.Process) -> bool:
    """Every thread of it."""
    threads = Path(f"/proc/{process.pid}/task").iterdir()
    return all("State:\tT" in (thread / "status").read_text() for thread in threads)


class Load:
    """Submits as fast as the mesh acknowledges, with at most a window unanswered."""

    def __init__(self, mesh: AsyncMesh) -> None:
        self.acknowledged: list[str] = []
        self._mesh = mesh
        self._began_s = 0.0

    def acknowledged_per_s(self) -> int:
        return round(len(self.acknowledged) / (time.monotonic() - self._began_s))

    async def go_on(self) -> None:
        self._began_s = time.monotonic()
        async with asyncio.TaskGroup() as callers:
            for number in range(WINDOW):
                callers.create_task(self._call(number))

    async def _call(self, number: int) -> None:
        while True:
            with contextlib.suppress(OhmeshError):
                handle: TaskHandle = await self._mesh.submit("add", number, 1, TEXT)
                self.acknowledged.append(handle.id)


if __name__ == "__main__":
    sys.exit(main())
