"""Mesh time as a line over the local clock, with a bound of its error that grows with the distance from where it was
drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple


class MeshReading(NamedTuple):
    """Mesh time, microseconds since 1970, and by how much it may be wrong, either way."""

    time_us: int
    error_us: int


@dataclass(frozen=True, slots=True)
class MeshLine:
    """At local time `local_us` mesh time was `mesh_us`, to within `error_us`, and has run at 1 + `drift` since, to
    within `growth` (both are ratios: 1e-6 is one microsecond in a second). Local times have any origin and never
    step."""

    local_us: int
    mesh_us: int
    drift: float = 0.0
    error_us: float = 0.0
    growth: float = 0.0

    def read(self, now_us: int) -> MeshReading:
        since_us = now_us - self.local_us
        error_us = self.error_us + self.growth * abs(since_us)
        return MeshReading(self.mesh_us + since_us + round(self.drift * since_us), math.ceil(error_us))

    def local_time(self, mesh_us: int) -> int:
        """When the local clock will show that mesh time: the inverse of `read`, for who waits until T."""
        return self.local_us + round((mesh_us - self.mesh_us) / (1 + self.drift))

    def as_root(self, now_us: int) -> MeshLine:
        """For who takes the mesh over: its own corrected clock is mesh time from now on, so it goes on without a
        jump and at the same rate, and is right by definition. Others find it within the bound that this line had,
        beside their own."""
        return MeshLine(now_us, self.read(now_us).time_us, self.drift)


def root_line(local_us: int, wall_us: int) -> MeshLine:
    """For the first orchestrator of a mesh: the wall clock of this moment, gone on with by the local clock; whatever
    steps the wall clock makes later, mesh time does not."""
    return MeshLine(local_us, wall_us)
