"""How long does a page of a long history take, by every condition, on SQLite and on PostgreSQL?

    python benchmarks/history.py [--tasks 1000000] [--databases sqlite postgresql] [--postgresql URL] [--json]

The ledger is filled through its own `record`, in batches of 5,000, one in flight, as a projector does (no shortcut: the
rows are hashed, chained and indexed like any others). Then pages are read through the port: the first one, one by a
cursor in the middle, the oldest; alone and with kind, state, worker and time, conditions that nearly everything meets
and conditions that hardly anything meets. A page is 100 tasks, as by default; a thousand at once,
the most that can be asked for, is measured beside it. `page_ms` is the median and the slowest of --repeats, `worst_ms`
and `worst_large_ms` the highest medians. Without --postgresql a server is started from the development requirements.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from msgspec import structs

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from benchmarks.ledger import START_MS, TASKS_PER_MS, finished, place  # noqa: E402
from ohmesh.engines.ledger import open_ledger  # noqa: E402
from ohmesh.ports.ledger import Batch, Ledger, TaskQuery  # noqa: E402

BATCH_TASKS = 5_000
GOAL_MS = 50.0
LARGE = "1,000 at once"

CONDITIONS = {
    "all": TaskQuery(),
    "kind (a quarter)": TaskQuery(kind="text"),
    "state (nearly all)": TaskQuery(state="succeeded"),
    "state (one in fifty)": TaskQuery(state="dead"),
    "state (none)": TaskQuery(state="cancelled"),
    "worker (one in twenty)": TaskQuery(host="host-3"),
    "kind, state": TaskQuery(kind="image", state="dead"),
    "kind, worker": TaskQuery(kind="audio", host="host-3"),
    "kind, worker (none)": TaskQuery(kind="text", host="host-3"),
    "state, worker": TaskQuery(state="succeeded", host="host-9"),
    "kind, state, worker": TaskQuery(kind="image", state="dead", host="host-9"),
}


def questions(tasks: int) -> Iterator[tuple[str, TaskQuery]]:
    """Each condition from the newest end, from a cursor in the middle, from near the oldest, and within a span."""
    last_ms = START_MS + tasks // TASKS_PER_MS
    middle_ms = (START_MS + last_ms) // 2
    span_ms = max(1, (last_ms - START_MS) // 100)
    for name, query in CONDITIONS.items():
        yield f"{name}: first page", query
        yield f"{name}: {LARGE}", structs.replace(query, limit=1_000)
        yield f"{name}: deep, by cursor", structs.replace(query, after=f"{middle_ms}-{1 << 60}")
        yield f"{name}: the oldest", structs.replace(query, until_ms=START_MS + span_ms)
        yield (
            f"{name}: a hundredth of the time",
            structs.replace(query, since_ms=middle_ms, until_ms=middle_ms + span_ms),
        )
        yield f"{name}: since the middle", structs.replace(query, since_ms=middle_ms)
    yield "one id", TaskQuery(task_ids=[finished(tasks // 2).task_id])


async def fill(ledger: Ledger, tasks: int) -> float:
    """Seconds."""
    began = time.perf_counter()
    for position, first in enumerate(range(0, tasks, BATCH_TASKS), 1):
        views = [finished(number) for number in range(first, min(tasks, first + BATCH_TASKS))]
        await ledger.record(Batch("history", position, views, follows=position - 1))
    return time.perf_counter() - began


async def measure(url: str, tasks: int, repeats: int) -> dict[str, object]:
    ledger = await open_ledger(url)
    filled_s = await fill(ledger, tasks)
    pages: dict[str, dict[str, float]] = {}
    for name, query in questions(tasks):
        taken_ms = []
        for _ in range(repeats):
            began = time.perf_counter()
            page = await ledger.tasks(query)
            taken_ms.append((time.perf_counter() - began) * 1000)
        pages[name] = {
            "tasks": len(page.tasks),
            "median": round(statistics.median(taken_ms), 2),
            "max": round(max(taken_ms), 2),
        }
    await ledger.close()
    return {
        "filled_s": round(filled_s, 1),
        "tasks_per_s": round(tasks / filled_s),
        "worst_ms": max(page["median"] for name, page in pages.items() if LARGE not in name),
        "worst_large_ms": max(page["median"] for name, page in pages.items() if LARGE in name),
        "page_ms": pages,
    }


def show(database: str, found: dict[str, object]) -> None:
    print(f"\n{database}: filled in {found['filled_s']} s ({found['tasks_per_s']} tasks a second)")
    pages = found["page_ms"]
    assert isinstance(pages, dict)
    for name, page in pages.items():
        print(
            f"  {name:<45} {page['tasks']:>5} tasks {page['median']:>8.2f} ms {page['max']:>8.2f} ms at most"
        )
    print(f"  slowest median of a page: {found['worst_ms']} ms; the goal is {GOAL_MS:g} ms")
    print(f"  slowest median of {LARGE}: {found['worst_large_ms']} ms")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgresql"])
    parser.add_argument("--postgresql", default="", metavar="URL", help="an empty database of yours")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    result: dict[str, object] = {"tasks": given.tasks}
    for database in given.databases:
        with place(database, given.postgresql) as url:
            found = asyncio.run(measure(url, given.tasks, given.repeats))
        result[database] = found
        if not given.json:
            show(database, found)
    asked = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=ROOT)
    result["commit"] = asked.stdout.strip() or "unknown"
    result["machine"] = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    if given.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
