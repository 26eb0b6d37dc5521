"""The server as its connections see it: up or down, running or stopped, with an inbox that outlives a stop.

Whatever happens here runs in the server's own context, never in that of the process that asked for it: a message on its
way arrives although its sender has been stopped or killed meanwhile.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from contextvars import copy_context

from ohmesh.engines.memory.faults import CallFate, EngineFaults, EngineLimits

Observe = Callable[[str, str, bytes], None]
"""Told of everything that happens: (what, on which subject or key, with which bytes)."""


class Server:
    """is_up: not killed. is_paused: stopped (SIGSTOP); what arrives waits in the inbox."""

    def __init__(
        self, *, faults: EngineFaults, limits: EngineLimits, seed: int, observe: Observe | None
    ) -> None:
        self.faults = faults
        self.limits = limits
        self.seed = seed
        self.is_up = True
        self.is_paused = False
        self.scripted: deque[CallFate] = deque()
        self._context = copy_context()
        self._inbox: deque[Callable[[], None]] = deque()
        self._observe = observe

    @property
    def answers(self) -> bool:
        return self.is_up and not self.is_paused

    def rng(self, name: str) -> random.Random:
        """An independent stream: a new connection does not shift the draws of the others."""
        return random.Random(f"{self.seed}/engine/{name}")

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def schedule(self, delay_s: float, action: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        if delay_s > 0.0:
            loop.call_later(delay_s, action, context=self._context)
        else:
            loop.call_soon(action, context=self._context)

    def schedule_at(self, when: float, action: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        if when > loop.time():
            loop.call_at(when, action, context=self._context)
        else:
            loop.call_soon(action, context=self._context)

    def handle(self, action: Callable[[], None]) -> None:
        """Something has arrived: act, keep it while stopped, lose it while down or when the inbox is full."""
        if not self.is_up:
            return
        if not self.is_paused:
            action()
        elif len(self._inbox) < self.limits.inbox:
            self._inbox.append(action)

    def drain_inbox(self) -> None:
        while self._inbox and self.answers:
            self._inbox.popleft()()

    def empty_inbox(self) -> None:
        self._inbox.clear()

    def record(self, what: str, where: str, data: bytes = b"") -> None:
        if self._observe is not None:
            self._observe(what, where, data)
