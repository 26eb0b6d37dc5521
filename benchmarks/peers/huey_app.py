"""The trivial task for Huey. A result is looked for every millisecond, which is more often than by default."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from huey import RedisHuey

from benchmarks.peers.driver import TEXT, WAIT_S

LONGEST_PAUSE_S = 0.001

huey = RedisHuey("peer", url=os.environ["PEER_URL"])


def _add(left: int, right: int, text: str) -> int:
    return left + right


add = huey.task()(_add)


def enqueue(numbers: Sequence[int]) -> Sequence[Any]:
    return [add(number, 1, TEXT) for number in numbers]


def bulk(numbers: Sequence[int]) -> Sequence[Any]:
    return list(add.map([(number, 1, TEXT) for number in numbers]))


def results(handles: Sequence[Any]) -> list[int]:
    return [handle.get(blocking=True, timeout=WAIT_S, max_delay=LONGEST_PAUSE_S) for handle in handles]
