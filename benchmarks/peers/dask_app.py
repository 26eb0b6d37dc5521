"""The trivial task for Dask: a scheduler and two workers as processes of their own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from typing import Any

from distributed import Client

from benchmarks.peers.driver import TEXT, WAIT_S


@cache
def connect() -> Any:
    """Only where tasks are handed in: a worker imports this module too."""
    client = Client(os.environ["PEER_URL"], timeout=WAIT_S)
    client.wait_for_workers(2, timeout=WAIT_S)
    return client


def add(left: int, right: int, text: str) -> int:
    return left + right


def enqueue(numbers: Sequence[int]) -> Sequence[Any]:
    client = connect()
    return [client.submit(add, number, 1, TEXT, pure=False) for number in numbers]


def bulk(numbers: Sequence[int]) -> Sequence[Any]:
    count = len(numbers)
    return list(connect().map(add, numbers, [1] * count, [TEXT] * count, pure=False))


def results(handles: Sequence[Any]) -> list[int]:
    return list(connect().gather(handles))
