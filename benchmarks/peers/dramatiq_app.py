"""The trivial task for Dramatiq: Redis as broker and result backend."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from benchmarks.peers.driver import TEXT, WAIT_S

URL = os.environ["PEER_URL"]

broker = RedisBroker(url=URL)
broker.add_middleware(Results(backend=RedisBackend(url=URL)))
dramatiq.set_broker(broker)


def _add(left: int, right: int, text: str) -> int:
    return left + right


add = dramatiq.actor(_add, actor_name="add", store_results=True)


def enqueue(numbers: Sequence[int]) -> Sequence[Any]:
    return [add.send(number, 1, TEXT) for number in numbers]


def bulk(numbers: Sequence[int]) -> Sequence[Any]:
    return list(dramatiq.group([add.message(number, 1, TEXT) for number in numbers]).run().children)


def results(handles: Sequence[Any]) -> list[int]:
    return [handle.get_result(block=True, timeout=WAIT_S * 1000) for handle in handles]
