"""Waiting for a fact: the condition is looked at until it holds, and after a deadline the test fails and says what
it waited for. The only place where tests sleep."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

STEP_S = 0.01


def wait_until(condition: Callable[[], object], *, what: str, timeout_s: float = 60.0) -> None:
    """Return when `condition()` is true; other threads and processes go on meanwhile."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what}")
        time.sleep(STEP_S)


async def eventually(condition: Callable[[], object], *, what: str, timeout_s: float = 60.0) -> None:
    """Return when `condition()` is true; other tasks of the loop go on meanwhile (in virtual time too)."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while not condition():
        if loop.time() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what}")
        await asyncio.sleep(STEP_S)


async def answered(question: Callable[[], Awaitable[object]], *, what: str, timeout_s: float = 60.0) -> None:
    """Return when `await question()` is true: for what only a mesh can tell."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while not await question():
        if loop.time() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what}")
        await asyncio.sleep(STEP_S)
