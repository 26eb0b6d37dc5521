"""The trivial task for arq. Worker and client poll, here every few milliseconds: more often than by default."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from functools import cache
from itertools import islice
from typing import Any, ClassVar

from arq import create_pool
from arq.connections import RedisSettings

from benchmarks.peers.driver import TEXT, WAIT_S

SETTINGS = RedisSettings.from_dsn(os.environ["PEER_URL"])
POLL_DELAY_S = 0.001
AT_A_TIME = 100


async def add(context: dict[str, Any], left: int, right: int, text: str) -> int:
    return left + right


class WorkerSettings:
    """What `arq` runs."""

    functions: ClassVar = [add]
    redis_settings = SETTINGS
    poll_delay = 0.005
    max_jobs = 100
    keep_result = 600


runner = asyncio.Runner()


@cache
def connect() -> Any:
    return runner.run(create_pool(SETTINGS))


async def _enqueue(redis: Any, numbers: Sequence[int]) -> list[Any]:
    handles: list[Any] = []
    left = iter(numbers)
    while batch := list(islice(left, AT_A_TIME)):
        handles += await asyncio.gather(*(redis.enqueue_job("add", number, 1, TEXT) for number in batch))
    return handles


async def _results(handles: Sequence[Any]) -> list[int]:
    return [await handle.result(timeout=WAIT_S, poll_delay=POLL_DELAY_S) for handle in handles]


def enqueue(numbers: Sequence[int]) -> Sequence[Any]:
    return runner.run(_enqueue(connect(), numbers))


def results(handles: Sequence[Any]) -> list[int]:
    return runner.run(_results(handles))
