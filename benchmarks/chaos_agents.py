"""The agents of benchmarks/chaos.py. Each time that one runs, it first writes down that it did."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import time
from functools import cache

from ohmesh import Permanent, agent


@agent(kind="steady", retries=20, timeout=10)
def steady(number: int, seconds: float) -> list[object]:
    token = ran(number)
    time.sleep(seconds)
    return [number, token]


@agent(kind="woven", retries=20, timeout=10)
async def woven(number: int, seconds: float) -> list[object]:
    token = ran(number)
    await asyncio.sleep(seconds)
    return [number, token]


@agent(kind="wobbly", retries=4, timeout=10)
def wobbly(number: int, seconds: float) -> list[object]:
    """Every third run fails, so some succeed later and a few never."""
    token = ran(number)
    time.sleep(seconds)
    if random.random() < 1 / 3:
        raise RuntimeError(f"run {token} of {number} fails")
    return [number, token]


@agent(kind="doomed", timeout=10)
async def doomed(number: int, seconds: float) -> None:
    token = ran(number)
    raise Permanent(f"run {token} of {number}: no retry can help")


def ran(number: int) -> str:
    """Append "number token" in one write; the token is this run's own, so that two results of one task differ."""
    token = secrets.token_hex(8)
    os.write(executions(), f"{number} {token}\n".encode())
    return token


@cache
def executions() -> int:
    return os.open(os.environ["CHAOS_EXECUTIONS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
