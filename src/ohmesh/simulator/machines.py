"""A world for machines: protocols without roles, under a network and clocks that follow from a seed.

A role needs a loop and ports; a protocol needs only events in their order, so thousands of seeds of one cost seconds.
Everything that happens is an event in one queue: `at(ms, act)`. Messages take the ways of `Network`: delayed, lost,
doubled, overtaken, cut in one direction or in both.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Collection
from itertools import count

from msgspec import Struct

from ohmesh.errors import SimulationTooLong

Act = Callable[[], None]


class NetworkFaults(Struct, frozen=True, kw_only=True):
    """Delays in ms: even between the two of `delay_ms`, and with the chance `slow` up to `slow_ms` more."""

    delay_ms: tuple[float, float] = (1.0, 10.0)
    slow: float = 0.0
    slow_ms: float = 0.0
    loss: float = 0.0
    duplication: float = 0.0


def draw_network_faults(rng: random.Random) -> NetworkFaults:
    """A swarm: each fault is on or off for a whole run, of a severity of its own."""

    def chance(most: float) -> float:
        return rng.uniform(0.0, most) if rng.random() < 0.5 else 0.0

    low = rng.uniform(0.1, 5.0)
    return NetworkFaults(
        delay_ms=(low, low + rng.uniform(0.1, 30.0)),
        slow=chance(0.1),
        slow_ms=rng.uniform(50.0, 1000.0),
        loss=chance(0.3),
        duplication=chance(0.5),
    )


class MachineWorld:
    """`steps` bounds a run: a world that never comes to rest is an error."""

    def __init__(self, seed: int, *, steps: int = 1_000_000) -> None:
        self.rng = random.Random(seed)
        self.now_ms = 0.0
        self.steps = 0
        self._most_steps = steps
        self._events: list[tuple[float, int, Act]] = []
        self._number = count()

    def at(self, at_ms: float, act: Act) -> None:
        heapq.heappush(self._events, (max(at_ms, self.now_ms), next(self._number), act))

    def after(self, delay_ms: float, act: Act) -> None:
        self.at(self.now_ms + delay_ms, act)

    def run(self, until_ms: float, is_done: Callable[[], bool] = lambda: False) -> bool:
        """Play on until then or until it is done; whether it is."""
        while not is_done():
            if not self._events or self._events[0][0] > until_ms:
                self.now_ms = max(self.now_ms, until_ms)
                return is_done()
            self.steps += 1
            if self.steps > self._most_steps:
                raise SimulationTooLong(f"More than {self._most_steps} events by {self.now_ms:.0f} ms.")
            self.now_ms, _, act = heapq.heappop(self._events)
            act()
        return True


class Network:
    """`cut` holds the ways, each from one member to another, on which nothing arrives."""

    def __init__(self, world: MachineWorld, faults: NetworkFaults) -> None:
        self.faults = faults
        self.cut: set[tuple[str, str]] = set()
        self.sent = self.delivered = 0
        self._world = world

    def send(self, source: str, to: str, deliver: Act) -> None:
        faults, rng = self.faults, self._world.rng
        self.sent += 1
        copies = 1 + (rng.random() < faults.duplication)
        for _ in range(copies):
            if rng.random() < faults.loss:
                continue
            delay_ms = rng.uniform(*faults.delay_ms)
            if rng.random() < faults.slow:
                delay_ms += rng.uniform(0.0, faults.slow_ms)
            self._world.after(delay_ms, lambda: self._arrive(source, to, deliver))

    def part(self, one: Collection[str], other: Collection[str], *, both_ways: bool = True) -> None:
        self.cut |= {(source, to) for source in one for to in other}
        if both_ways:
            self.cut |= {(to, source) for source in one for to in other}

    def heal(self) -> None:
        self.cut.clear()

    def _arrive(self, source: str, to: str, deliver: Act) -> None:
        if (source, to) not in self.cut:
            self.delivered += 1
            deliver()
