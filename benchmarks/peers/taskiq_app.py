"""The trivial task for Taskiq: Redis streams as broker (the one that acknowledges), Redis as result backend.

A result is looked for every millisecond, which is more often than by default.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from functools import cache
from itertools import islice
from typing import Any

from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from benchmarks.peers.driver import TEXT, WAIT_S

URL = os.environ["PEER_URL"]
CHECK_INTERVAL_S = 0.001
AT_A_TIME = 100

broker = RedisStreamBroker(URL).with_result_backend(RedisAsyncResultBackend(URL, result_ex_time=600))
runner = asyncio.Runner()


def _add(left: int, right: int, text: str) -> int:
    return left + right


add = broker.register_task(_add, task_name="add")


async def _enqueue(numbers: Sequence[int]) -> list[Any]:
    handles: list[Any] = []
    left = iter(numbers)
    while batch := list(islice(left, AT_A_TIME)):
        handles += await asyncio.gather(*(add.kiq(number, 1, TEXT) for number in batch))
    return handles


async def _results(handles: Sequence[Any]) -> list[int]:
    ends = [await handle.wait_result(check_interval=CHECK_INTERVAL_S, timeout=WAIT_S) for handle in handles]
    return [end.return_value for end in ends]


@cache
def start() -> None:
    """Once, and only where tasks are handed in: a worker imports this module too."""
    runner.run(broker.startup())


def enqueue(numbers: Sequence[int]) -> Sequence[Any]:
    start()
    return runner.run(_enqueue(numbers))


def results(handles: Sequence[Any]) -> list[int]:
    return runner.run(_results(handles))
