"""Where the processor time of a trivial task goes, by process: one by one and by `map`.

    python benchmarks/processor_time.py [--tasks 40000] [--bulk 200000] [--json]

Microseconds of user and system time for each task, as the system accounts it to each process of the mesh and to the
client. Rates depend on what else a machine does; these hardly do, so they are what to look at when a change is judged.
`two_cores_per_s` is what they come to on two cores of which no instant is lost: a bound, not a promise.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # ships no types
import uvloop

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from benchmarks.own_mesh import WARM_UP, bulk, one_by_one, open_mesh  # noqa: E402

CORES = 2
WINDOW = 1_000
WORDS = (
    ("nats-server", "nats-server"),
    ("runners.child", "runners"),
    ("node", "nodes"),
    ("worker", "worker"),
)

Costs = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=int, default=40_000)
    parser.add_argument("--bulk", type=int, default=200_000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    measured = uvloop.run(_measure(arguments.tasks, arguments.bulk))
    if arguments.json:
        print(json.dumps(measured))
        return
    for name, costs in measured.items():
        print(f"{name}: " + ", ".join(f"{process} {cost:g}" for process, cost in costs.items()))


async def _measure(tasks: int, items: int) -> dict[str, Costs]:
    async with open_mesh() as mesh:
        await one_by_one(mesh, WARM_UP, WINDOW)
        single = await _costs(tasks, lambda: one_by_one(mesh, tasks, WINDOW))
        together = await _costs(items, lambda: bulk(mesh, items))
    return {"one_by_one_us": single, "map_us": together}


async def _costs(tasks: int, work: Callable[[], Awaitable[float]]) -> Costs:
    before = _spent()
    await work()
    spent = {name: seconds - before[name] for name, seconds in _spent().items()}
    costs = {name: round(seconds / tasks * 1e6, 1) for name, seconds in sorted(spent.items())}
    total = sum(spent.values())
    return costs | {"total": round(total / tasks * 1e6, 1), "two_cores_per_s": round(CORES * tasks / total)}


def _spent() -> Counter[str]:
    """Seconds by the part that a process plays."""
    ours = psutil.Process()
    seconds: Counter[str] = Counter()
    for process in [ours, *ours.children(recursive=True)]:
        line = " ".join(process.cmdline())
        part = next((name for word, name in WORDS if word in line), "other")
        times = process.cpu_times()
        seconds["client" if process.pid == os.getpid() else part] += times.user + times.system
    return seconds


if __name__ == "__main__":
    main()
