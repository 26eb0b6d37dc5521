"""ohmesh under the trivial task of benchmarks/tasks.py: a mesh as `ohmesh up` starts it, measured and ended."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # ships no types

from ohmesh import AsyncMesh
from ohmesh.mesh.async_mesh import Opening
from ohmesh.roles.client_handle import TaskHandle

HERE = Path(__file__).resolve().parent
TEXT = "x" * 200
WARM_UP = 2_000


@dataclass(frozen=True)
class Sizes:
    """How many tasks in each part of one sample; `window`: submitted and not yet ended, at most."""

    tasks: int
    rounds: int
    window: int
    bulk: int
    round_trips: int


@dataclass(frozen=True)
class Sample:
    rounds_per_s: list[float]
    enqueue_per_s: float
    bulk_per_s: float
    trip_p50_ms: float
    trip_p99_ms: float
    memory_mib: float


async def sample(durability: str, sizes: Sizes) -> Sample:
    async with open_mesh(durability) as mesh:
        await one_by_one(mesh, WARM_UP, sizes.window)
        rates = [await one_by_one(mesh, sizes.tasks, sizes.window) for _ in range(sizes.rounds)]
        memory_mib = _memory_mib()
        trips_ms = await _round_trips(mesh, sizes.round_trips)
        enqueue_per_s = await _enqueue(mesh, sizes.tasks, sizes.window)
        bulk_per_s = await bulk(mesh, sizes.bulk)
    middle, last = trips_ms[len(trips_ms) // 2], trips_ms[int(len(trips_ms) * 0.99)]
    return Sample(rates, enqueue_per_s, bulk_per_s, middle, last, memory_mib)


def open_mesh(durability: str = "interval") -> Opening:
    os.environ["OHMESH_ENGINE_DURABILITY"] = durability
    os.environ["OHMESH_RUNNER_IMPORT_PATHS"] = str(HERE)
    return AsyncMesh.local(["task_agents"])


async def one_by_one(mesh: AsyncMesh, tasks: int, window: int) -> float:
    """Each its own call, never more than `window` not ended; from the first call to the last result."""
    unfinished: deque[tuple[int, TaskHandle]] = deque()
    begin = time.perf_counter()
    for number in range(tasks):
        if len(unfinished) >= window:
            await _check(*unfinished.popleft())
        unfinished.append((number, _submit(mesh, number)))
    while unfinished:
        await _check(*unfinished.popleft())
    return tasks / (time.perf_counter() - begin)


async def _enqueue(mesh: AsyncMesh, tasks: int, window: int) -> float:
    """Each its own call, as many callers as the window is wide, until each has heard that its task is durable."""
    handles: list[TaskHandle] = []
    begin = time.perf_counter()
    for start in range(0, tasks, window):
        numbers = range(start, min(start + window, tasks))
        handles += await asyncio.gather(*(mesh.submit("add", number, 1, TEXT) for number in numbers))
    elapsed_s = time.perf_counter() - begin
    for number, handle in enumerate(handles):
        await _check(number, handle)
    return tasks / elapsed_s


async def bulk(mesh: AsyncMesh, tasks: int) -> float:
    """One call for all, as `map`."""
    begin = time.perf_counter()
    mapped = await mesh.map("add-item", ([number, 1, TEXT] for number in range(tasks)))
    elapsed_s = time.perf_counter() - begin
    if mapped.values != list(range(1, tasks + 1)):
        raise SystemExit(f"map gave other values than {tasks} numbers plus 1")
    return tasks / elapsed_s


async def _check(number: int, handle: TaskHandle) -> None:
    if (value := await handle.result()) != number + 1:
        raise SystemExit(f"task {handle.id} gave {value!r}, not {number + 1}")


async def _round_trips(mesh: AsyncMesh, count: int) -> list[float]:
    trips_ms: list[float] = []
    for number in range(count):
        begin = time.perf_counter()
        await _submit(mesh, number).result()
        trips_ms.append((time.perf_counter() - begin) * 1000)
    return sorted(trips_ms)


def _submit(mesh: AsyncMesh, number: int) -> TaskHandle:
    return mesh.submit_nowait("add", number, 1, TEXT)


def _memory_mib() -> float:
    return float(sum(child.memory_info().rss for child in psutil.Process().children(recursive=True))) / 2**20
