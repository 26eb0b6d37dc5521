"""The trivial task for Ray, as a task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ray

from benchmarks.peers import ray_cluster
from benchmarks.peers.driver import TEXT, WAIT_S


def _add(left: int, right: int, text: str) -> int:
    return left + right


add = ray.remote(_add)


def enqueue(numbers: Sequence[int]) -> Sequence[Any]:
    ray_cluster.start()
    return [add.remote(number, 1, TEXT) for number in numbers]


def results(handles: Sequence[Any]) -> list[int]:
    return list(ray.get(list(handles), timeout=WAIT_S))
