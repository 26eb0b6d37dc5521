"""The trivial task for Ray, as calls of two actors by turns."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import ray

from benchmarks.peers import ray_cluster
from benchmarks.peers.driver import TEXT, WAIT_S


class _Adder:
    def add(self, left: int, right: int, text: str) -> int:
        return left + right


@cache
def start_adders() -> list[Any]:
    ray_cluster.start()
    return [ray.remote(_Adder).remote() for _ in range(2)]


def enqueue(numbers: Sequence[int]) -> Sequence[Any]:
    adders = start_adders()
    return [adders[number % 2].add.remote(number, 1, TEXT) for number in numbers]


def results(handles: Sequence[Any]) -> list[int]:
    return list(ray.get(list(handles), timeout=WAIT_S))
