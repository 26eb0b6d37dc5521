"""That a wanted hit rate is a hit rate: for each class, the quantile that has to be asked for to get it.

A forecast is not believed. For each of LEVELS it is counted how often delays stayed within the quantile that was asked
for it, and what is asked moves against the difference:

    asked += step * (level - hits)        step = rate * n / (n + samples), n samples of the class in the frame

So the hit rate comes to the level whatever the world or the forecast do, since an error that lasts is corrected for as
long as it lasts (I. Gibbs, E. Candes, "Adaptive Conformal Inference Under Distribution Shift", NeurIPS 2021, section 2;
there one step for each sample, here for each frame, whose samples are seldom independent). High levels move slower,
in the proportion of what may miss. Between levels the correction is interpolated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ohmesh.errors import InvalidArgument

Floats = NDArray[np.float64]
Codes = NDArray[np.uint8]

LEVELS = np.array([0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995])
_FULL_STEP_MISSES = 0.05  # levels with fewer misses than this take steps that are as much smaller
_SCALES = np.minimum(1.0, (1.0 - LEVELS) / _FULL_STEP_MISSES)
_LEAST = LEVELS / 2
_MOST = 1.0 - (1.0 - LEVELS) / 50


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationConfig:
    """rate: the step after a frame of endless samples; 0 switches calibration off. samples: a frame of so many takes
    half of it."""

    rate: float = 0.3
    samples: float = 300.0

    def __post_init__(self) -> None:
        if not (0 <= self.rate <= 1 and self.samples >= 1):
            raise InvalidArgument(
                f"CalibrationConfig has rate {self.rate} and samples {self.samples}.",
                hint="A rate from 0 to 1, samples of at least 1.",
            )


class Calibration:
    """`asked`, shape (classes, levels): the share of the forecast that is asked for to get each level of LEVELS."""

    def __init__(self, classes: int, config: CalibrationConfig) -> None:
        self.config = config
        self.asked: Floats = np.tile(LEVELS, (classes, 1))
        self.samples: Floats = np.zeros(classes)

    def to_ask(self, hit_rate: float) -> Floats:
        """What to ask of a forecast for this hit rate, for each class."""
        return np.array([np.interp(hit_rate, _ENDS, row) for row in self._lines()])

    def to_promise(self, class_codes: Codes, shares: Floats) -> Floats:
        """The inverse: what the share that a forecast gives is worth, for agents of these classes."""
        promised = np.empty(len(shares))
        lines = self._lines()
        for code in np.unique(class_codes):
            chosen = class_codes == code
            promised[chosen] = np.interp(shares[chosen], lines[code], _ENDS)
        return promised

    def learn(self, class_codes: Codes, shares: Floats) -> None:
        """shares: how much of its forecast each delay of a frame exceeded, both of shape (n,)."""
        classes = len(self.asked)
        counts = np.bincount(class_codes, minlength=classes)
        is_hit = shares[:, None] <= self.asked[class_codes]
        for level, hits in enumerate(is_hit.T):
            rates = np.bincount(class_codes, hits, minlength=classes) / np.maximum(counts, 1)
            steps = self.config.rate * _SCALES[level] * counts / (counts + self.config.samples)
            self.asked[:, level] += steps * (LEVELS[level] - rates)
        np.clip(self.asked, _LEAST, _MOST, out=self.asked)
        self.samples += counts

    def merge(self, other: Calibration) -> None:
        weights = other.samples / np.maximum(self.samples + other.samples, 1)
        self.asked += weights[:, None] * (other.asked - self.asked)
        self.samples += other.samples

    def _lines(self) -> Floats:
        rising = np.maximum.accumulate(self.asked, axis=1)
        classes = len(rising)
        return np.concatenate((np.zeros((classes, 1)), rising, np.ones((classes, 1))), axis=1)


_ENDS = np.concatenate(([0.0], LEVELS, [1.0]))
