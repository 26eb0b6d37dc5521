"""Mesh time as one process knows it: its own clock that never steps, corrected by the orchestrator's echoes."""

from __future__ import annotations

from ohmesh.model.fleet_message import ClockEcho, ClockProbe
from ohmesh.ports.clock import Clock
from ohmesh.protocols.clock.link_clock import LinkClock, LinkClockConfig
from ohmesh.protocols.clock.mesh_line import MeshReading, root_line

UNKNOWN_ERROR_US = 10_000_000  # of a wall clock that nobody has compared yet


class MeshTime:
    """`incarnation`: start of this process, milliseconds. `era`: of the orchestrator whose clock is followed."""

    def __init__(self, clock: Clock, *, incarnation: int, config: LinkClockConfig | None = None) -> None:
        self.link = LinkClock(config)
        self.incarnation = incarnation
        self.era = 0
        self._clock = clock
        self._guess = root_line(clock.monotonic_us(), clock.now_ms() * 1000)

    def local_us(self) -> int:
        return self._clock.monotonic_us()

    def read(self) -> MeshReading:
        """Before anything was heard, the wall clock with an error that makes it of no use."""
        local_us = self._clock.monotonic_us()
        found = self.link.mesh_time(local_us)
        return found or MeshReading(self._guess.read(local_us).time_us, UNKNOWN_ERROR_US)

    def now_us(self) -> int:
        return self.read().time_us

    def local_time_of(self, mesh_us: int) -> int:
        """When the local clock shows that mesh time."""
        return (self.link.line or self._guess).local_time(mesh_us)

    # The conversation

    def probe(self) -> ClockProbe:
        local_us = self._clock.monotonic_us()
        self.link.probe(local_us)
        error_us = self.read().error_us if self.link.line is not None else -1
        trip_us = self.link.trip_us
        return ClockProbe(local_us, self.incarnation, -1 if trip_us is None else trip_us, error_us)

    def hear(self, echo: ClockEcho) -> None:
        self.link.hear(echo, self._clock.monotonic_us())
        self.era = max(self.era, echo.era)

    def next_probe_s(self) -> float:
        due_us = self.link.due_us()
        return 0.0 if due_us is None else max(0.0, (due_us - self._clock.monotonic_us()) / 1e6)
