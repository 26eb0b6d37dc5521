"""Quantiles that can be merged: counts of values in buckets whose borders grow by a constant factor.

A quantile of a whole cannot be had from the quantiles of its parts; it can from counts. Adding the counts of two
sketches gives exactly the sketch of both sets of values, in any order and grouping. A quantile is then off by at most
`relative_error` of itself, for values from `lowest` to `highest`; below them by at most `lowest`, and above them it is
`highest`.

Source: Masson, Rim, Lee, DDSketch (2019), sections 2.1 and 2.2; buckets are a fixed array here, so that the sketches of
all clusters are one matrix.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ohmesh.errors import InvalidArgument

Counts = npt.NDArray[np.int64]
"""Of shape (..., buckets)."""


@dataclass(frozen=True, slots=True)
class SketchShape:
    """The default covers a tenth of a millisecond to sixteen minutes within 1 %, in 807 buckets of 8 bytes.

    Halving `relative_error` doubles the buckets. Only sketches of one shape can be added."""

    relative_error: float = 0.01
    lowest: float = 0.1
    highest: float = 1e6

    def __post_init__(self) -> None:
        if not (0 < self.relative_error < 1 and 0 < self.lowest < self.highest < math.inf):
            raise InvalidArgument(
                f"No sketch has an error of {self.relative_error} and values from {self.lowest} to {self.highest}."
            )

    @property
    def growth(self) -> float:
        """A bucket's upper border to its lower one."""
        return (1 + self.relative_error) / (1 - self.relative_error)

    @property
    def buckets(self) -> int:
        """The first holds what is not above `lowest`."""
        return 1 + math.ceil(math.log(self.highest / self.lowest) / math.log(self.growth))

    def bucket(self, values: npt.ArrayLike) -> npt.NDArray[np.intp]:
        """The place of each value, which is 0 or above, and finite."""
        steps = np.log(np.maximum(values, self.lowest) / self.lowest) / math.log(self.growth)
        return np.minimum(np.ceil(steps), self.buckets - 1).astype(np.intp)

    def count(self, values: npt.ArrayLike, groups: npt.NDArray[np.integer], count: int) -> Counts:
        """Sketches of `count` groups, shape (count, buckets); groups: of each value, the place of its group."""
        places = groups.astype(np.intp) * self.buckets + self.bucket(values)
        return np.bincount(places, minlength=count * self.buckets).reshape(count, self.buckets)

    def quantiles(self, counts: Counts, shares: Sequence[float]) -> list[npt.NDArray[np.float64]]:
        """For each of `shares`, of each sketch the value at or below which that share of its values lie (nearest rank).

        counts: (n, buckets). Each result: (n,), NaN of an empty sketch. Raises InvalidArgument: a share that is not
        above 0 and at most 1."""
        if not all(0 < share <= 1 for share in shares):
            raise InvalidArgument(f"Quantiles are asked for by shares above 0 and at most 1, not {shares}.")
        # One rising array over all sketches, so that every rank is found by bisection.
        reached = counts.reshape(-1).cumsum()
        total = counts.sum(axis=1)
        below = np.cumsum(total) - total
        first = np.arange(len(counts)) * self.buckets
        found = []
        for share in shares:
            rank = below + np.maximum(1, np.ceil(share * total).astype(np.int64))
            place = np.where(total > 0, np.searchsorted(reached, rank) - first, 0)
            found.append(np.where(total > 0, self._value(place), np.nan))
        return found

    def _value(self, place: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
        """What is off by the least from every value of a bucket."""
        middle = self.lowest * self.growth ** place.astype(np.float64) * (1 - self.relative_error)
        return np.where(place == 0, self.lowest, np.minimum(middle, self.highest))


def pack_counts(counts: Counts) -> tuple[bytes, bytes]:
    """One sketch as it travels: little-endian buffers of the places (u2) and counts (u4) that are not zero."""
    places = np.flatnonzero(counts)
    return places.astype("<u2").tobytes(), counts[places].astype("<u4").tobytes()


def unpack_counts(places: bytes, counts: bytes, shape: SketchShape) -> Counts:
    """Raises InvalidArgument: not one count for each place, or a place beyond the buckets of `shape`."""
    if len(places) % 2 or len(counts) != 2 * len(places):
        raise InvalidArgument(f"A sketch of {len(places)} bytes of places has {len(counts)} bytes of counts.")
    at = np.frombuffer(places, "<u2")
    if len(at) and at.max() >= shape.buckets:
        raise InvalidArgument(f"A sketch has a bucket {at.max()}; this mesh counts in {shape.buckets}.")
    found = np.zeros(shape.buckets, np.int64)
    np.add.at(found, at, np.frombuffer(counts, "<u4"))
    return found
