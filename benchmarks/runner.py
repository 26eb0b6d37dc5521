"""How many trivial tasks a second pass through a pool of runner processes, seen from its parent's event loop.

    python benchmarks/runner.py [--tasks 200000] [--processes 2] [--async] [--json]

A stand-in for the dispatcher keeps as many grants outstanding as the pool announces slots for; each task takes two
integers and 200 bytes of text and returns a sum. Latency is from the grant to its outcome in the parent.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ohmesh.handlers.declaration import agent
from ohmesh.model.task import Grant, Outcome, OutcomeStatus
from ohmesh.runners.config import RunnerConfig
from ohmesh.runners.pool import ProcessRunnerPool

PAYLOAD = msgspec.msgpack.encode([[20, 22, "x" * 200], {}])
FRAME_GRANTS = 256  # grants that arrive together, at most


@agent
def trivial(first: int, second: int, text: str) -> int:
    return first + second


@agent
async def trivial_async(first: int, second: int, text: str) -> int:
    return first + second


class Driver:
    """Keeps the pool as full as it asks to be until all tasks have ended."""

    def __init__(self, tasks: int, agent_name: str) -> None:
        self.tasks = tasks
        self.agent = agent_name
        self.slots = 1
        self.sent = 0
        self.done = 0
        self.wrong = 0
        self.granted_at: dict[int, float] = {}
        self.latencies: list[float] = []
        self.widths: list[int] = []
        self.finished = asyncio.Event()

    def resize(self, name: str, slots: int) -> None:
        if name == self.agent:
            self.slots = slots
            self.widths.append(slots)
            asyncio.get_running_loop().call_soon(self.fill)

    def report(self, outcomes: Sequence[Outcome]) -> None:
        now = time.perf_counter()
        for outcome in outcomes:
            self.latencies.append(now - self.granted_at.pop(outcome.lease))
            self.wrong += outcome.status is not OutcomeStatus.SUCCEEDED
        self.done += len(outcomes)
        if self.done == self.tasks:
            self.finished.set()
        self.fill()

    def fill(self) -> None:
        count = min(self.slots - (self.sent - self.done), self.tasks - self.sent, FRAME_GRANTS)
        if count <= 0:
            return
        now = time.perf_counter()
        grants = [
            Grant(number, f"task-{number}", self.agent, PAYLOAD, 1, 30_000)
            for number in range(self.sent + 1, self.sent + count + 1)
        ]
        for grant in grants:
            self.granted_at[grant.lease] = now
        self.sent += count
        self.pool.run(grants)

    async def drive(self, config: RunnerConfig) -> dict[str, object]:
        self.pool = ProcessRunnerPool(config)
        began = time.perf_counter()
        specs = await self.pool.start(self.report, self.resize)
        warm_s = time.perf_counter() - began
        self.slots = next(one.slots for one in specs if one.agent == self.agent)
        began, cpu = time.perf_counter(), time.process_time()
        self.fill()
        await self.finished.wait()
        took_s, parent_cpu_s = time.perf_counter() - began, time.process_time() - cpu
        await self.pool.stop(grace_s=1)
        return {
            "tasks": self.tasks,
            "agent": self.agent,
            "processes": config.sync_processes,
            "tasks_per_s": round((self.tasks - self.wrong) / took_s),  # those handed back are not counted
            "not_succeeded": self.wrong,
            "latency_ms": {
                "p50": round(statistics.median(self.latencies) * 1000, 3),
                "p99": round(statistics.quantiles(self.latencies, n=100)[98] * 1000, 3),
            },
            "parent_cpu_share": round(parent_cpu_s / took_s, 3),
            "start_ms": round(warm_s * 1000),
            "widest": max(self.widths, default=self.slots),
            "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=int, default=200_000)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--async", dest="is_async", action="store_true", help="an async handler instead")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    config = RunnerConfig(
        targets=("runner:trivial", "runner:trivial_async"),
        import_paths=(str(Path(__file__).resolve().parent),),
        sync_processes=given.processes,
    )
    name = "trivial_async" if given.is_async else "trivial"
    result = asyncio.run(Driver(given.tasks, name).drive(config))
    if given.json:
        json.dump(result, sys.stdout)
        print()
        return
    for key, value in result.items():
        print(f"{key:18} {value}")


if __name__ == "__main__":
    main()
