"""Time and chance of the real world, for the ports `clock` and `entropy`, and the loop that roles run in."""

from __future__ import annotations

import asyncio
import gc
import random
import secrets
import sys
import time
from collections.abc import Coroutine
from typing import TypeVar

Result = TypeVar("Result")

# How many more containers than were freed start a collection, and of how many of those one looks further.
COLLECTED_AT = (10_000, 10, 5)


# Seconds for which a thread that writes history may keep the loop waiting; the interpreter's own 5 ms are as long as a
# task takes in all, and much less than this costs more in switching than it gains.
SWITCHED_AFTER_S = 0.002


def settle_interpreter() -> None:
    """For a process of ours once it is up: what it has imported stays and is not looked at again, and rows that come by
    the thousand, none of which can be part of a cycle, do not start a collection each time. Threads give way soon."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTED_AT)
    sys.setswitchinterval(SWITCHED_AFTER_S)


class SystemClock:
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000

    def monotonic_us(self) -> int:
        return time.monotonic_ns() // 1_000


class SystemEntropy:
    def bits(self, count: int) -> int:
        return secrets.randbits(count)

    def rng(self) -> random.Random:
        return random.Random(secrets.randbits(128))


def run_in_loop(main: Coroutine[object, object, Result]) -> Result:
    """asyncio.run on uvloop where there is one, which halves the cost of small messages."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main)


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # it has no build for this platform; the standard loop does the same, slower
        return None
    return uvloop.Loop
