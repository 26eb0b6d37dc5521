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
import statistics
import sys
import time
from collections import deque
from pathlib import Path

import psutil
import uvloop

from ohmesh.assembly.connection import connect_client
from ohmesh.assembly.local import start_local
from ohmesh.roles.client import Client, TaskRequest
from ohmesh.roles.client_handle import TaskHandle
from ohmesh.roles.client_payload import encode_arguments

HERE = Path(__file__).resolve().parent
TEXT = "x" * 200
LIMIT_BYTES = 10_000
WARM_UP = 2_000


def main() -> None:
    arguments = _parse(sys.argv[1:])
    figures = uvloop.run(_measure(arguments))
    if arguments.json:
        print(json.dumps({"ours": figures}))
        return
    print(f"{figures['submit_per_s']:,.0f} tasks/s, one by one, durability {figures['durability']}")
    print("round trip p50 {p50:.2f} ms, p99 {p99:.2f} ms".format(**figures["round_trip_ms"]))
    print(f"{figures['memory_mib']:.0f} MiB for the whole mesh; {figures['tasks']:,} tasks, none failed")


def _parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=40_000, help="for each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--window", type=int, default=1_000, help="tasks submitted and not yet ended, at most")
    parser.add_argument("--round-trips", type=int, default=2_000)
    parser.add_argument("--durability", choices=["interval", "fsync"], default="interval")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(words)


async def _measure(arguments: argparse.Namespace) -> dict[str, object]:
    settings = {"engine.durability": arguments.durability, "runner.import_paths": (str(HERE),)}
    async with start_local(["task_agents"], workers=1, settings=settings) as supervisor:
        async with connect_client(supervisor.config) as client:
            await _throughput(client, WARM_UP, arguments.window)
            rates = [
                await _throughput(client, arguments.tasks, arguments.window) for _ in range(arguments.rounds)
            ]
            memory_mib = _memory_mib()
            trips = await _round_trips(client, arguments.round_trips)
    return {
        "submit_per_s": round(statistics.median(rates)),
        "rounds_per_s": [round(rate) for rate in rates],
        "round_trip_ms": trips,
        "memory_mib": round(memory_mib, 1),
        "durability": arguments.durability,
        "tasks": arguments.tasks * arguments.rounds,
        "window": arguments.window,
    }


async def _throughput(client: Client, tasks: int, window: int) -> float:
    """Submit one by one, never more than `window` not ended; from the first call to the last result."""
    unfinished: deque[tuple[int, TaskHandle]] = deque()
    begin = time.perf_counter()
    for number in range(tasks):
        if len(unfinished) >= window:
            await _check(*unfinished.popleft())
        unfinished.append((number, _submit(client, number)))
    while unfinished:
        await _check(*unfinished.popleft())
    elapsed_s = time.perf_counter() - begin
    return tasks / elapsed_s


async def _check(number: int, handle: TaskHandle) -> None:
    if (value := await handle.result()) != number + 1:
        raise SystemExit(f"task {handle.id} gave {value!r}, not {number + 1}")


async def _round_trips(client: Client, count: int) -> dict[str, float]:
    trips_ms: list[float] = []
    for number in range(count):
        begin = time.perf_counter()
        await _submit(client, number).result()
        trips_ms.append((time.perf_counter() - begin) * 1000)
    trips_ms.sort()
    return {"p50": round(trips_ms[count // 2], 3), "p99": round(trips_ms[int(count * 0.99)], 3)}


def _submit(client: Client, number: int) -> TaskHandle:
    return client.submit_nowait(TaskRequest(kind="add", payload=encode_arguments((number, 1, TEXT), {}, LIMIT_BYTES)))


def _memory_mib() -> float:
    return float(sum(child.memory_info().rss for child in psutil.Process().children(recursive=True))) / 2**20


if __name__ == "__main__":
    main()
