"""A simulated process: a gate, a connection, a clock and a source of chance, and the tasks that inherit its context."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from enum import StrEnum
from typing import Any

from ohmesh.engines.memory.cluster import MemoryEngine
from ohmesh.simulator.clock import SimulatedClock
from ohmesh.simulator.entropy import SimulatedEntropy
from ohmesh.simulator.loop import Gate


class Condition(StrEnum):
    RUNNING = "running"
    PAUSED = "paused"
    CRASHED = "crashed"
    ENDED = "ended"


class Process:
    """One incarnation; `engine`, `clock` and `entropy` are the ports its roles get.

    ended: resolves (to None) when its main has returned or raised, or it was crashed.
    failure: what its main raised. suspended_s: since when its machine has been suspended.
    """

    def __init__(
        self,
        name: str,
        incarnation: int,
        *,
        gate: Gate,
        clock: SimulatedClock,
        entropy: SimulatedEntropy,
    ) -> None:
        self.name = name
        self.incarnation = incarnation
        self.gate = gate
        self.clock = clock
        self.entropy = entropy
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.condition = Condition.RUNNING
        self.failure: BaseException | None = None
        self.suspended_s: float | None = None
        self.engine: MemoryEngine
        self.task: asyncio.Task[None]

    @property
    def is_alive(self) -> bool:
        return self.condition in (Condition.RUNNING, Condition.PAUSED)


Main = Callable[[Process], Coroutine[Any, Any, None]]
