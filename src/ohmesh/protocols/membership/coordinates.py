"""Network coordinates: where a member stands, so that the time between any two is known though they never spoke.

A member has a place in a space of few dimensions and a height above it, its way to the network. The time between two is
the distance of their places and both heights. After each round trip it moves along the line between the two, by as much
as its own error is the larger part of both. With 30,000 members that is 30,000 places and not 450,000,000 times.

Sources: Dabek, Cox, Kaashoek, Morris, Vivaldi, 2004, sections 3 and 5.4; the drift towards the origin: Ledlie, Gardner,
Seltzer, Network coordinates in the wild, 2007, section 4.3.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from msgspec import Struct

from ohmesh.errors import InvalidArgument

RandomUnit = Callable[[], float]
"""rng: a float in [0, 1)."""
MOST_ERROR = 1.5
LEAST_HEIGHT_MS = 0.01
NOTHING_MS = 1e-6


class Coordinate(Struct, array_like=True, frozen=True):
    """Milliseconds. error: relative, from 0 (sure) to 1.5 (knows nothing)."""

    place: tuple[float, ...]
    height_ms: float = LEAST_HEIGHT_MS
    error: float = MOST_ERROR

    def rtt_ms(self, other: Coordinate) -> float:
        return math.dist(self.place, other.place) + self.height_ms + other.height_ms


@dataclass(frozen=True, slots=True)
class VivaldiConfig:
    """dimensions: beside the height. error_weight, place_weight: how far one round trip moves the error and the place.
    gravity_ms: at so large a distance from the origin a member falls by a quarter of a millisecond a step."""

    dimensions: int = 3
    error_weight: float = 0.25
    place_weight: float = 0.25
    gravity_ms: float = 1000.0
    most_rtt_ms: float = 10_000.0


class Vivaldi:
    def __init__(self, config: VivaldiConfig | None = None) -> None:
        self.config = config or VivaldiConfig()
        self.coordinate = Coordinate((0.0,) * self.config.dimensions)

    def learn(self, other: Coordinate, rtt_ms: float, random_unit: RandomUnit) -> None:
        """A round trip to a member that says it stands there. Raises InvalidArgument: what cannot be."""
        self._check(other, rtt_ms)
        config, own = self.config, self.coordinate
        rtt_ms = max(rtt_ms, NOTHING_MS)
        wrongness = abs(own.rtt_ms(other) - rtt_ms) / rtt_ms
        weight = own.error / max(own.error + other.error, NOTHING_MS)
        error = min(MOST_ERROR, own.error + config.error_weight * weight * (wrongness - own.error))
        force_ms = config.place_weight * weight * (rtt_ms - own.rtt_ms(other))
        place, height_ms = self._moved(own, other, force_ms, random_unit)
        self.coordinate = Coordinate(self._fallen(place), height_ms, error)

    def _moved(
        self, own: Coordinate, other: Coordinate, force_ms: float, random_unit: RandomUnit
    ) -> tuple[tuple[float, ...], float]:
        distance = math.dist(own.place, other.place)
        if distance > NOTHING_MS:
            direction = [(a - b) / distance for a, b in zip(own.place, other.place, strict=True)]
            height_ms = own.height_ms + (own.height_ms + other.height_ms) * force_ms / distance
        else:
            direction = _random_direction(self.config.dimensions, random_unit)
            height_ms = own.height_ms
        place = tuple(at + force_ms * along for at, along in zip(own.place, direction, strict=True))
        return place, max(LEAST_HEIGHT_MS, height_ms)

    def _fallen(self, place: tuple[float, ...]) -> tuple[float, ...]:
        """The whole space drifts otherwise, since only distances are measured."""
        far = math.hypot(*place)
        if far < NOTHING_MS:
            return place
        fall = (far / self.config.gravity_ms) ** 2 * 0.25
        return tuple(at - fall * at / far for at in place)

    def _check(self, other: Coordinate, rtt_ms: float) -> None:
        figures = (*other.place, other.height_ms, other.error, rtt_ms)
        is_sound = all(map(math.isfinite, figures)) and len(other.place) == self.config.dimensions
        if not (
            is_sound and 0 <= rtt_ms <= self.config.most_rtt_ms and other.height_ms >= 0 and other.error >= 0
        ):
            raise InvalidArgument(f"A round trip of {rtt_ms} ms to {other} is not to be learnt from.")


def _random_direction(dimensions: int, random_unit: RandomUnit) -> list[float]:
    """Two members in one place have to part somehow."""
    found = [random_unit() - 0.5 for _ in range(dimensions)]
    length = math.hypot(*found) or 1.0
    return [each / length for each in found]
