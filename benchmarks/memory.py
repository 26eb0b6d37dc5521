"""What a million tasks take: of memory while they are delayed, of memory once they have ended, and of time to list.

    python benchmarks/memory.py [--tasks 1000000] [--json]

Meshes as `ohmesh up` starts them, one after the other. The first gets so many tasks of two small integers, each by a
submission of its own (an envelope would be one task), that may start tomorrow; the second runs as many to their end,
and is looked at after a fifth of them and after all. Memory is the resident set of each process, before and after, once
the projector has caught up. A page is the median of --repeats. Takes about ten minutes.

delayed_bytes_per_task: of the node that has grown most: it has the dispatcher of the kind, and the projector, which
    follows every shard, may be on it too. worker_growth_mib: of the worker and its runners, over all delayed tasks.
finished_growth_mib: of the node that has grown most between a fifth and all of the finished ones.
page_ms: the slowest of the pages of both meshes: 100 and 1,000 tasks, of the live listing and of history.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # ships no types
import uvloop

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from benchmarks.own_mesh import open_mesh  # noqa: E402
from ohmesh import AsyncMesh  # noqa: E402

KIND = "add-pair"
DELAY_S = 86_400.0
WINDOW = 1_000
WARM_UP = 10_000  # buffers have found their size by then
SETTLE_S = 5.0
SETTLE_TRIES = 60
MIB = 2**20
PAGES = (100, 1_000)
WORDS = ("nats-server", "runners.child", "worker", "node")


@dataclass
class Measured:
    """Bytes by process; `seconds` by part."""

    delayed: dict[str, int] = field(default_factory=dict)
    finished: dict[str, int] = field(default_factory=dict)
    pages_ms: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    measured = Measured()
    uvloop.run(_delayed(arguments.tasks, arguments.repeats, measured))
    uvloop.run(_finished(arguments.tasks, arguments.repeats, measured))
    report = {
        "tasks": arguments.tasks,
        "delayed_bytes_per_task": round(_most(measured.delayed, "node") / (arguments.tasks - WARM_UP)),
        "worker_growth_mib": round(_sum(measured.delayed, ("worker", "runners.child")) / MIB, 1),
        "finished_growth_mib": round(_most(measured.finished, "node") / MIB, 1),
        "page_ms": max(measured.pages_ms.values()),
        "delayed_growth_mib": {name: round(size / MIB, 1) for name, size in measured.delayed.items()},
        "finished_growth_by_process_mib": {
            name: round(size / MIB, 1) for name, size in measured.finished.items()
        },
        "pages_ms": measured.pages_ms,
        "seconds": measured.seconds,
    }
    if arguments.json:
        print(json.dumps(report))
        return
    for name, value in report.items():
        print(f"{name}: {value}")


async def _delayed(tasks: int, repeats: int, measured: Measured) -> None:
    async with open_mesh() as mesh:
        await _hand_in(mesh, WARM_UP)
        before = await _settled()
        begin = time.perf_counter()
        await _hand_in(mesh, tasks - WARM_UP)  # a kind may have a million, and no more
        measured.seconds["delayed"] = round(time.perf_counter() - begin, 1)
        measured.delayed = _growth(before, await _settled())
        await _time_pages("delayed", mesh, repeats, measured)


async def _finished(tasks: int, repeats: int, measured: Measured) -> None:
    async with open_mesh() as mesh:
        begin = time.perf_counter()
        await _run(mesh, tasks // 5)
        before = await _settled()
        await _run(mesh, tasks - tasks // 5)
        measured.seconds["finished"] = round(time.perf_counter() - begin, 1)
        measured.finished = _growth(before, await _settled())
        await _time_pages("finished", mesh, repeats, measured)


async def _hand_in(mesh: AsyncMesh, tasks: int) -> None:
    """Each its own submission; nobody keeps a handle."""
    for begin in range(0, tasks, WINDOW):
        numbers = range(begin, min(tasks, begin + WINDOW))
        await asyncio.gather(*(mesh.submit(KIND, number, 1, delay=DELAY_S) for number in numbers))


async def _run(mesh: AsyncMesh, tasks: int) -> None:
    unfinished: deque[Awaitable[object]] = deque()
    for number in range(tasks):
        if len(unfinished) >= WINDOW:
            await unfinished.popleft()
        unfinished.append(mesh.submit_nowait(KIND, number, 1).result())
    while unfinished:
        await unfinished.popleft()


async def _time_pages(name: str, mesh: AsyncMesh, repeats: int, measured: Measured) -> None:
    """The live listing and that of history, which is left out while nothing is in it."""
    asked: dict[str, Callable[[int], Awaitable[object]]] = {
        "live": lambda limit: mesh.tasks(limit=limit),
        "live, running": lambda limit: mesh.tasks(state="running", limit=limit),
    }
    if name == "finished":
        asked["history"] = lambda limit: mesh.history(limit=limit)
    for door, ask in asked.items():
        for limit in PAGES:
            took_ms = []
            for _ in range(repeats):
                begin = time.perf_counter()
                await ask(limit)
                took_ms.append((time.perf_counter() - begin) * 1_000)
            measured.pages_ms[f"{name}, {door}, {limit}"] = round(statistics.median(took_ms), 1)


async def _settled() -> dict[str, int]:
    """Resident bytes by process, once no process of the mesh has much to do (the projector catches up)."""
    for _ in range(SETTLE_TRIES):
        spent = _processor_s()
        await asyncio.sleep(SETTLE_S)
        if _processor_s() - spent < 0.1 * SETTLE_S:
            break
    return {name: process.memory_info().rss for name, process in _processes().items()}


def _processes() -> dict[str, psutil.Process]:
    """By what they are, numbered in the order of their start."""
    found: dict[str, psutil.Process] = {}
    for process in sorted(
        psutil.Process().children(recursive=True), key=lambda one: (one.create_time(), one.pid)
    ):
        line = " ".join(process.cmdline())
        word = next((word for word in WORDS if word in line), "other")
        number = sum(name.startswith(word) for name in found) + 1
        found[f"{word} {number}"] = process
    return found


def _processor_s() -> float:
    return sum(sum(process.cpu_times()[:2]) for process in _processes().values())


def _growth(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {name: size - before[name] for name, size in after.items() if name in before}


def _most(growth: dict[str, int], word: str) -> int:
    return max(size for name, size in growth.items() if name.startswith(word))


def _sum(growth: dict[str, int], words: tuple[str, ...]) -> int:
    return sum(size for name, size in growth.items() if name.startswith(words))


if __name__ == "__main__":
    main()
