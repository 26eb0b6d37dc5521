"""How many tasks a second, and how long for one: submitted one by one by one client, durable, run by plain `def`.

    python benchmarks/tasks.py [--tasks 40000] [--rounds 5] [--durability interval|fsync] [--json]

A mesh is started as `ohmesh up` does it: its own nats-server, two node processes, one worker with the default runners.
Each task has its own id, state and result; it counts when its result has come back to the client.

submit_per_s: tasks submitted one by one (each its own call), with at most --window unanswered; median of the rounds.
round_trip_ms: one task at a time, from the call to its result.
memory_mib: resident memory of all processes of the mesh, the client not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # ships no types
import uvloop

from ohmesh import AsyncMesh
from ohmesh.roles.client_handle import TaskHandle

HERE = Path(__file__).resolve().parent
TEXT = "x" * 200
WARM_UP = 2_000


@dataclass(frozen=True)
class Figures:
    submit_per_s: int
    rounds_per_s: list[int]
    round_trip_ms: dict[str, float]
    memory_mib: float
    durability: str
    tasks: int
    window: int


def main() -> None:
    arguments = _parse(sys.argv[1:])
    figures = uvloop.run(_measure(arguments))
    if arguments.json:
        print(json.dumps({"ours": asdict(figures)}))
        return
    print(f"{figures.submit_per_s:,} tasks/s, one by one, durability {figures.durability}")
    print("round trip p50 {p50:.2f} ms, p99 {p99:.2f} ms".format(**figures.round_trip_ms))
    print(f"{figures.memory_mib:.0f} MiB for the whole mesh; {figures.tasks:,} tasks, none failed")


def _parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=int, default=40_000, help="for each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--window", type=int, default=1_000, help="tasks submitted and not yet ended, at most"
    )
    parser.add_argument("--round-trips", type=int, default=2_000)
    parser.add_argument("--durability", choices=["interval", "fsync"], default="interval")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(words)


async def _measure(arguments: argparse.Namespace) -> Figures:
    os.environ["OHMESH_ENGINE_DURABILITY"] = arguments.durability
    os.environ["OHMESH_RUNNER_IMPORT_PATHS"] = str(HERE)
    async with AsyncMesh.local(["task_agents"]) as mesh:
        await _throughput(mesh, WARM_UP, arguments.window)
        rates = [await _throughput(mesh, arguments.tasks, arguments.window) for _ in range(arguments.rounds)]
        memory_mib = _memory_mib()
        trips_ms = await _round_trips(mesh, arguments.round_trips)
    return Figures(
        submit_per_s=round(statistics.median(rates)),
        rounds_per_s=[round(rate) for rate in rates],
        round_trip_ms=trips_ms,
        memory_mib=round(memory_mib, 1),
        durability=arguments.durability,
        tasks=arguments.tasks * arguments.rounds,
        window=arguments.window,
    )


async def _throughput(mesh: AsyncMesh, tasks: int, window: int) -> float:
    """Submit one by one, never more than `window` not ended; from the first call to the last result."""
    unfinished: deque[tuple[int, TaskHandle]] = deque()
    begin = time.perf_counter()
    for number in range(tasks):
        if len(unfinished) >= window:
            await _check(*unfinished.popleft())
        unfinished.append((number, _submit(mesh, number)))
    while unfinished:
        await _check(*unfinished.popleft())
    elapsed_s = time.perf_counter() - begin
    return tasks / elapsed_s


async def _check(number: int, handle: TaskHandle) -> None:
    if (value := await handle.result()) != number + 1:
        raise SystemExit(f"task {handle.id} gave {value!r}, not {number + 1}")


async def _round_trips(mesh: AsyncMesh, count: int) -> dict[str, float]:
    trips_ms: list[float] = []
    for number in range(count):
        begin = time.perf_counter()
        await _submit(mesh, number).result()
        trips_ms.append((time.perf_counter() - begin) * 1000)
    trips_ms.sort()
    return {"p50": round(trips_ms[count // 2], 3), "p99": round(trips_ms[int(count * 0.99)], 3)}


def _submit(mesh: AsyncMesh, number: int) -> TaskHandle:
    return mesh.submit_nowait("add", number, 1, TEXT)


def _memory_mib() -> float:
    return float(sum(child.memory_info().rss for child in psutil.Process().children(recursive=True))) / 2**20


if __name__ == "__main__":
    main()
