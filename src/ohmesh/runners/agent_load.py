"""How much of one agent's work this host can hold: measured, announced, and taken back when it proves wrong.

    width = what runs at once + what will be done within `queue_ahead_ms`, at most `slots_max`

by an exponentially weighted mean of the duration. It at most doubles at a time and falls at once: a wrong guess upwards
makes tasks wait, one downwards only costs a round trip.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ohmesh.model.agent import AgentSpec
from ohmesh.runners.config import RunnerConfig
from ohmesh.runners.held_task import HeldTask

_WEIGHT = 0.1  # of the newest duration
_ANNOUNCE_SHARE = 4  # a change smaller than one part in so many is not worth a message
_UNLIMITED = 1 << 30


class AgentLoad:
    """`held` tasks are in processes, `parked` ones wait because `limit` of them are."""

    def __init__(
        self, spec: AgentSpec, config: RunnerConfig, *, is_async: bool, is_stream: bool = False
    ) -> None:
        self.name = spec.agent
        self.spec = spec
        self.is_async = is_async
        self.is_stream = is_stream
        self.held = 0
        self.parked: deque[HeldTask] = deque()
        self.is_closed = False
        self._config = config
        self._mean_ns = 0.0
        processes = config.async_processes if is_async else config.sync_processes
        if is_async:
            self.limit = self.concurrency = spec.slots or config.async_slots
        else:
            self.limit = spec.slots if 0 < spec.slots < processes else _UNLIMITED
            self.concurrency = min(spec.slots or processes, processes)
        self.concurrency = min(self.concurrency, config.slots_max)
        self._announced = self.concurrency
        self.estimate_ns = self._unknown_ns = int(config.process_ahead_ms * 1_000_000) + 1

    @property
    def is_full(self) -> bool:
        return self.held >= self.limit

    def observe(self, duration_ns: int) -> None:
        mean = self._mean_ns
        self._mean_ns = mean = mean + _WEIGHT * (duration_ns - mean) if mean else float(duration_ns or 1)
        self.estimate_ns = int(mean) + 1

    def width(self) -> int:
        """Slots to announce now."""
        if self.is_closed:
            return self.held
        if not self._mean_ns:
            return self.concurrency
        ahead = int(self.concurrency * self._config.queue_ahead_ms * 1_000_000 / self._mean_ns)
        wanted = min(self.concurrency + ahead, self._config.slots_max)
        return min(wanted, max(2 * self._announced, self.concurrency))

    def announce(self, resize: Callable[[str, int], None]) -> None:
        """Tell `resize` when the width has changed by enough to matter."""
        width = self.width()
        change = abs(width - self._announced)
        settles = width in (self.concurrency, self._config.slots_max) or self.is_closed
        if change and (settles or change * _ANNOUNCE_SHARE >= self._announced):
            self._announced = width
            resize(self.name, width)
