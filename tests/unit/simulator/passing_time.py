"""Virtual time passes only where somebody waits for it; this is the waiting, which takes no real time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from ohmesh.simulator.run import run_virtual

Result = TypeVar("Result")


async def pass_time(seconds: float) -> None:
    await asyncio.sleep(seconds)


def in_virtual_time(main: Coroutine[Any, Any, Result]) -> Result:
    return run_virtual(lambda: main)
