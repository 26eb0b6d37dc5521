"""The trivial task for Celery: Redis as broker and result backend, prefork workers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from celery import Celery, group

from benchmarks.peers.driver import TEXT, WAIT_S

URL = os.environ["PEER_URL"]

app = Celery("peer", broker=URL, backend=URL)


def _add(left: int, right: int, text: str) -> int:
    return left + right


add = app.task(_add, name="add")


def enqueue(numbers: Sequence[int]) -> Sequence[Any]:
    return [add.delay(number, 1, TEXT) for number in numbers]


def bulk(numbers: Sequence[int]) -> Sequence[Any]:
    return list(group(add.s(number, 1, TEXT) for number in numbers).apply_async().results)


def results(handles: Sequence[Any]) -> list[int]:
    return [handle.get(timeout=WAIT_S) for handle in handles]
