"""Does a flood of one kind hold up another, does CRITICAL work start next, and does LOW work ever start?

    python benchmarks/isolation.py [--flood 10000] [--rounds 3] [--json]

A mesh is started as `ohmesh up` does it, with a worker for each kind; both kinds belong to the same dispatcher.

flood       the wait of `text` tasks, from their submission to the first line of their handler: on a quiet mesh, and
            while a flood of `image` tasks waits and is worked off. Held when the p99 is at most twice the quiet one.
            Rounds alternate and are put together, so that other work on the machine meets both. `burst` is the wait
            in the moment in which all of the flood is handed in at once: its frames are before ours then.
critical    so many LOW tasks wait, then one CRITICAL: held when the log grants none after it and before it.
starving    HIGH tasks come as fast as they are done, so some always wait; one LOW among them. Held when no HIGH that
            came later than twice --aging was granted before it: the bound that docs/durability.md states.

Exit code 1 when one of them is not held.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from benchmarks.chaos_judge import GRANTED, SUBMITTED, read_logs  # noqa: E402
from benchmarks.mesh_processes import MeshProcesses  # noqa: E402
from ohmesh import AsyncMesh, OhmeshError  # noqa: E402
from ohmesh.roles.client_handle import TaskHandle  # noqa: E402

TEXT_EVERY_S = 0.02
TEXTS = 250
TEXT_S = 0.002
IMAGE_S = 0.002
LOW_S = 0.02
HIGH_S = 0.01
HIGH_WAITING = 50
UNTRIMMED = {"OHMESH_DISPATCHER_SNAPSHOT_TRIM_INTERVAL_S": "1000000"}


@dataclass(frozen=True)
class Flood:
    """Waits in milliseconds. ratio: of the p99 with and without the flood."""

    quiet_p50: float
    quiet_p99: float
    flooded_p50: float
    flooded_p99: float
    burst_p50: float
    burst_max: float
    ratio: float
    tasks: int
    still_waiting: int

    @property
    def is_held(self) -> bool:
        return self.ratio <= 2.0


@dataclass(frozen=True)
class Critical:
    low_waiting: int
    granted_before: int
    waited_ms: float

    @property
    def is_held(self) -> bool:
        return self.granted_before == 0


@dataclass(frozen=True)
class Starving:
    """waited_s: of the LOW task. bound_s: after it, later HIGH tasks yield; those that waited already do not."""

    waited_s: float
    bound_s: float
    high_before: int
    later_high_before: int

    @property
    def is_held(self) -> bool:
        return self.later_high_before == 0 and self.high_before > 0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--flood", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--aging", type=float, default=2.0, help="dispatcher.aging_ms, in seconds")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--hand-in", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.hand_in:
        asyncio.run(hand_in(given.hand_in, given.flood))
        return 0
    folder = Path(tempfile.mkdtemp(prefix="ohmesh-isolation-"))
    try:
        found = asyncio.run(measure(given, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    figures: dict[str, object] = {
        name: {**asdict(each), "is_held": each.is_held} for name, each in found.items()
    }
    figures["machine"] = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    if given.json:
        print(json.dumps(figures))
    else:
        for name, figure in figures.items():
            print(f"{name:9} {figure}")
    return 0 if all(each.is_held for each in found.values()) else 1


async def measure(given: argparse.Namespace, folder: Path) -> dict[str, Flood | Critical | Starving]:
    settings = {**UNTRIMMED, "OHMESH_DISPATCHER_AGING_MS": str(round(given.aging * 1000))}
    processes = MeshProcesses(folder, settings)
    try:
        processes.start("up", "up", "--workers", "0", "--no-api")
        await processes.ready("up")
        for kind in ("image", "text"):
            target = f"benchmarks.isolation_agents:{kind}"
            processes.start(kind, "worker", target, "--name", kind, "--concurrency", "1")
            await processes.ready(kind)
        async with AsyncMesh.connect(data=str(processes.data)) as mesh:
            return {
                "flood": await flooded(mesh, given.flood, given.rounds, processes.data),
                "critical": await critical(mesh, given.flood, processes.data),
                "starving": await starving(mesh, given.aging, processes.data),
            }
    finally:
        processes.end()


async def flooded(mesh: AsyncMesh, flood: int, rounds: int, data: Path) -> Flood:
    await waits_of_text(mesh)  # warms up
    quiet: list[float] = []
    burst: list[float] = []
    during: list[float] = []
    still_waiting = flood
    for _ in range(rounds):
        quiet += await waits_of_text(mesh)
        handing_in = asyncio.create_task(handed_in_elsewhere(data, flood))
        burst += await waits_of_text(mesh, until=handing_in.done)
        await handing_in
        during += await waits_of_text(mesh)
        still_waiting = min(still_waiting, await emptied(mesh, "image"))
    quiet_p99, flooded_p99 = at(quiet, 0.99), at(during, 0.99)
    return Flood(
        quiet_p50=at(quiet, 0.5),
        quiet_p99=quiet_p99,
        flooded_p50=at(during, 0.5),
        flooded_p99=flooded_p99,
        burst_p50=at(burst, 0.5),
        burst_max=round(max(burst), 2),
        ratio=round(flooded_p99 / quiet_p99, 2),
        tasks=flood,
        still_waiting=still_waiting,
    )


async def handed_in_elsewhere(data: Path, flood: int) -> None:
    """By a program of its own: ours would be held up by it, and no queue be to blame."""
    command = [sys.executable, __file__, "--hand-in", str(data), "--flood", str(flood)]
    process = await asyncio.create_subprocess_exec(*command)
    if await process.wait():
        raise RuntimeError("the flood could not be handed in")


async def hand_in(data: Path, flood: int) -> None:
    async with AsyncMesh.connect(data=str(data)) as mesh:
        images = [mesh.submit_nowait("image", IMAGE_S, priority="HIGH") for _ in range(flood)]
        await asyncio.gather(*(each.accepted() for each in images))


async def waits_of_text(mesh: AsyncMesh, until: Callable[[], bool] = lambda: False) -> list[float]:
    """One every so often, each submitted when it is due and not when the one before has ended."""

    async def wait_ms() -> float:
        submitted_ns = time.time_ns()
        began_ns = await (await mesh.submit("text", TEXT_S)).result()
        assert isinstance(began_ns, int)
        return (began_ns - submitted_ns) / 1e6

    began = time.monotonic()
    waiting = []
    for number in range(TEXTS):
        await asyncio.sleep(began + number * TEXT_EVERY_S - time.monotonic())
        if until():
            break
        waiting.append(asyncio.create_task(wait_ms()))
    return list(await asyncio.gather(*waiting))


async def critical(mesh: AsyncMesh, low: int, data: Path) -> Critical:
    lows = [mesh.submit_nowait("image", LOW_S, priority="LOW") for _ in range(low)]
    await asyncio.gather(*(each.accepted() for each in lows))
    submitted_ns = time.time_ns()
    urgent = await mesh.submit("image", LOW_S, priority="CRITICAL")
    began_ns = await urgent.result()
    assert isinstance(began_ns, int)
    waiting = await emptied(mesh, "image")
    granted = 0
    async for tag, task_id in happened(data):
        if tag == SUBMITTED and task_id == urgent.id:
            granted = 0
        elif tag == GRANTED and task_id == urgent.id:
            break
        granted += tag == GRANTED
    return Critical(waiting, granted, round((began_ns - submitted_ns) / 1e6, 2))


async def starving(mesh: AsyncMesh, aging_s: float, data: Path) -> Starving:
    """A caller for each HIGH task that waits: whenever one has ended, the next is submitted."""
    is_over = asyncio.Event()
    submitted_s: dict[str, float] = {}

    async def caller() -> None:
        while not is_over.is_set():
            handle = await high(mesh, submitted_s)
            await handle.end()

    callers = [asyncio.create_task(caller()) for _ in range(HIGH_WAITING)]
    await asyncio.sleep(1)
    began_s = time.monotonic()
    low = await mesh.submit("image", HIGH_S, priority="LOW")
    async with asyncio.timeout(60 + 10 * aging_s):
        await low.end()
    waited_s = time.monotonic() - began_s
    is_over.set()
    await asyncio.gather(*callers)
    before = []
    async for tag, task_id in happened(data):
        if tag == GRANTED and task_id == low.id:
            break
        if tag == GRANTED and submitted_s.get(task_id, 0.0) > began_s:
            before.append(task_id)
    later = [task_id for task_id in before if submitted_s[task_id] > began_s + waited_margin(aging_s)]
    return Starving(round(waited_s, 2), 2 * aging_s, len(before), len(later))


def waited_margin(aging_s: float) -> float:
    """Twice the stretch; and what our clock, read before a submission is sent, may be ahead of its row's."""
    return 2 * aging_s + 0.1


async def high(mesh: AsyncMesh, submitted_s: dict[str, float]) -> TaskHandle:
    at_s = time.monotonic()
    handle = await mesh.submit("image", HIGH_S, priority="HIGH")
    submitted_s[handle.id] = at_s
    return handle


async def emptied(mesh: AsyncMesh, kind: str) -> int:
    """Cancel what waits of that kind, and return when nothing runs; how many had waited."""
    purged = await mesh.purge(kind)
    while True:
        with suppress(OhmeshError):
            if not any(each.kind == kind and each.running + each.queued for each in await mesh.queues()):
                return int(purged.cancelled)
        await asyncio.sleep(0.05)


async def happened(data: Path) -> AsyncIterator[tuple[int, str]]:
    """Submissions and grants of all shards in the order of their logs: (tag of the row, id of the task)."""
    for entries in (await read_logs(data)).values():
        for _, entry in entries:
            rows: Iterable[list[Any]] = msgspec.msgpack.decode(entry)[4]
            for row in rows:
                if row[0] == SUBMITTED:
                    for task in row[2]:
                        yield SUBMITTED, task[0]
                elif row[0] == GRANTED:
                    for task_id in row[5]:
                        yield GRANTED, task_id


def at(values: list[float], share: float) -> float:
    return round(sorted(values)[int(len(values) * share)], 2)


if __name__ == "__main__":
    sys.exit(main())
