"""How fast is history recorded, and how long does a page of a long history take, on SQLite and on PostgreSQL?

    python benchmarks/ledger.py [--rows 1000000] [--databases sqlite postgresql] [--postgresql URL] [--json]

Tasks are recorded through the port, one batch in flight as a projector has it, with 100 bytes of result, one failure
in fifty and an event per batch. `loop_late_ms` is how late a 1 ms timer of the same event loop came meanwhile. Pages
of 100 tasks are then read by every condition, from the start and from random cursors. Without --postgresql a server
is started from the development requirements; on 2 cores it shares them with the recorder.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from ohmesh.engines.ledger import open_ledger  # noqa: E402
from ohmesh.model.task import TaskFailure, TaskState, TaskView  # noqa: E402
from ohmesh.ports.ledger import Batch, Event, Ledger, TaskQuery  # noqa: E402

START_MS = 1_700_000_000_000
TASKS_PER_MS = 30
BATCH_SIZES = (500, 5_000)
SMALL_RUN_ROWS = 100_000
PAGE_REPEATS = 40
VALUE = bytes(100)
TRACEBACK = "Traceback (most recent call last):\n" + "  File ...\n" * 20
KINDS = ("text", "image", "vision", "audio")
STATES = (TaskState.SUCCEEDED,) * 49 + (TaskState.DEAD,)


def finished(number: int) -> TaskView:
    state = STATES[number % 50]
    at_ms = START_MS + number // TASKS_PER_MS
    return TaskView(
        task_id=f"01HF{number:022d}",
        kind=KINDS[number % 4],
        state=state,
        priority=1,
        attempts=1,
        max_attempts=4,
        submitted_ms=at_ms,
        started_ms=at_ms + 2,
        finished_ms=at_ms + number * 7919 % 50,
        host=f"host-{number % 20}",
        agent=f"host-{number % 20}/text-{number % 7}",
        failures=(TaskFailure("ValueError", "no", TRACEBACK),) if state is TaskState.DEAD else (),
        value=VALUE if state is TaskState.SUCCEEDED else b"",
        order=number,
    )


def queries(rows: int) -> dict[str, TaskQuery]:
    end_ms = START_MS + rows // TASKS_PER_MS
    middle_ms = (START_MS + end_ms) // 2
    return {
        "newest": TaskQuery(),
        "kind": TaskQuery(kind="text"),
        "state": TaskQuery(state="dead"),
        "host": TaskQuery(host="host-3"),
        "kind, state, host": TaskQuery(kind="image", state="dead", host="host-9"),
        "a combination without rows": TaskQuery(kind="text", state="cancelled"),
        "a span of time": TaskQuery(since_ms=middle_ms, until_ms=middle_ms + 1_000),
        "the oldest of a host": TaskQuery(host="host-3", until_ms=START_MS + 500),
        "one id": TaskQuery(task_ids=[f"01HF{rows // 2:022d}"]),
    }


async def watch(record: asyncio.Future[None], late_ms: list[float]) -> None:
    """How late a timer of 1 ms fires in this event loop until the batch is recorded."""
    while not record.done():
        due = time.perf_counter() + 0.001
        await asyncio.wait({record}, timeout=0.001)
        if not record.done():
            late_ms.append((time.perf_counter() - due) * 1000)


def spread(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "p50": round(statistics.median(ordered), 3),
        "p99": round(ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)], 3),
        "max": round(ordered[-1], 3),
    }


async def record(ledger: Ledger, source: str, *, rows: int, batch_rows: int) -> dict[str, object]:
    late_ms: list[float] = []
    spent_s = cpu_s = 0.0
    for position, first in enumerate(range(0, rows, batch_rows), 1):
        tasks = [finished(number) for number in range(first, min(rows, first + batch_rows))]
        events = [Event(START_MS + position, "snapshot", source, "a batch")]
        batch = Batch(source, position, tasks, events, follows=position - 1)
        began, cpu = time.perf_counter(), time.process_time()
        recorded = asyncio.ensure_future(ledger.record(batch))
        await watch(recorded, late_ms)
        await recorded
        spent_s += time.perf_counter() - began
        cpu_s += time.process_time() - cpu
    return {
        "rows_per_s": round(rows / spent_s),
        "cpu_us_per_row": round(cpu_s / rows * 1e6, 1),
        "loop_late_ms": spread(late_ms),
    }


async def read_pages(ledger: Ledger, rows: int) -> dict[str, dict[str, float]]:
    rng = random.Random(7)
    found = {}
    for name, query in queries(rows).items():
        taken_ms = []
        for repeat in range(PAGE_REPEATS):
            at_ms = START_MS + rng.randrange(max(1, rows // TASKS_PER_MS))
            after = f"{at_ms}-{1 << 60}" if repeat % 2 and not query.until_ms and not query.task_ids else ""
            asked = TaskQuery(
                query.task_ids,
                query.kind,
                query.state,
                query.host,
                query.since_ms,
                query.until_ms,
                after=after,
            )
            began = time.perf_counter()
            await ledger.tasks(asked)
            taken_ms.append((time.perf_counter() - began) * 1000)
        found[name] = spread(taken_ms)
    return found


async def verify(ledger: Ledger) -> dict[str, object]:
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    verdict = await ledger.verify()
    spent_s = time.perf_counter() - began
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
    return {
        "entries_per_s": round(verdict.entries / spent_s),
        "broken_at": verdict.broken_at,
        "memory_grown_mib": round(grown_kib / 1024, 1),
    }


async def measure(url: str, rows: int) -> dict[str, object]:
    ledger = await open_ledger(url)
    small = await record(ledger, "small", rows=min(rows, SMALL_RUN_ROWS), batch_rows=BATCH_SIZES[0])
    large = await record(ledger, "large", rows=rows, batch_rows=BATCH_SIZES[1])
    result: dict[str, object] = {
        "record": {f"batches of {BATCH_SIZES[0]}": small, f"batches of {BATCH_SIZES[1]}": large},
        "page_ms": await read_pages(ledger, rows),
        "verify": await verify(ledger),
    }
    await ledger.close()
    return result


@contextmanager
def place(database: str, given: str) -> Iterator[str]:
    """The URL of an empty ledger, gone afterwards."""
    if database == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/ledger.db"
    elif given:
        yield given
    else:
        from tests.contract.ledger.postgresql_server import PostgresqlServer

        server = PostgresqlServer()
        try:
            server.start()
            yield server.url(server.new_database())
        finally:
            server.remove()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgresql"])
    parser.add_argument("--postgresql", default="", metavar="URL", help="an empty database of yours")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    result: dict[str, object] = {"rows": given.rows}
    for database in given.databases:
        with place(database, given.postgresql) as url:
            result[database] = asyncio.run(measure(url, given.rows))
    asked = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=ROOT)
    result["commit"] = asked.stdout.strip() or "unknown"
    result["machine"] = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    print(json.dumps(result) if given.json else json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
