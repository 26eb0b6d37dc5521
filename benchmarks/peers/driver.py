"""The client of one peer, in that peer's own environment: it is told what to measure line by line, and answers in JSON.

    python -m benchmarks.peers.driver celery_app

An app has `enqueue(numbers)`, one call for each task; `results(handles)`, which waits for all of them; and where its
library has a way to hand in many at once, `bulk(numbers)`. Only the standard library may be used here.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

TEXT = "x" * 200
WAIT_S = 60

Figures = dict[str, float]


class App(Protocol):
    """What a module `*_app` has. A handle is whatever its library gives for a task."""

    def enqueue(self, numbers: Sequence[int]) -> Sequence[Any]: ...

    def bulk(self, numbers: Sequence[int]) -> Sequence[Any]: ...

    def results(self, handles: Sequence[Any]) -> list[int]: ...


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # some libraries print
    app = cast("App", importlib.import_module(f"benchmarks.peers.{sys.argv[1]}"))
    for line in sys.stdin:
        verb, count = line.split()
        answers.write(json.dumps(VERBS[verb](app, int(count))) + "\n")
        answers.flush()


def one_by_one(app: App, count: int) -> Figures:
    return _timed(app, app.enqueue, count)


def bulk(app: App, count: int) -> Figures:
    """Nothing where the library has no such way."""
    return _timed(app, app.bulk, count) if hasattr(app, "bulk") else {}


def round_trips(app: App, count: int) -> Figures:
    """One task at a time, from the call to its result."""
    trips_ms = []
    for number in range(count):
        begin = time.perf_counter()
        _check(app.results(app.enqueue([number])), [number])
        trips_ms.append((time.perf_counter() - begin) * 1000)
    trips_ms.sort()
    return {"p50": trips_ms[count // 2], "p99": trips_ms[int(count * 0.99)]}


def _timed(app: App, hand_in: Callable[[Sequence[int]], Sequence[Any]], count: int) -> Figures:
    """Hand in all, then wait for all."""
    numbers = range(count)
    begin = time.perf_counter()
    handles = hand_in(numbers)
    handed_in = time.perf_counter()
    _check(app.results(handles), numbers)
    ended = time.perf_counter()
    return {"enqueue_per_s": count / (handed_in - begin), "per_s": count / (ended - begin)}


def _check(values: list[int], numbers: Sequence[int]) -> None:
    if values != [number + 1 for number in numbers]:
        raise SystemExit(f"not every one of {len(numbers)} tasks gave its number plus 1")


VERBS: dict[str, Callable[[App, int], Figures]] = {
    "one_by_one": one_by_one,
    "bulk": bulk,
    "round_trips": round_trips,
}

if __name__ == "__main__":
    main()
