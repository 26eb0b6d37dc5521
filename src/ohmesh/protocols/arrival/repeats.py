"""How likely a delay is told again unchanged: where one is measured now and then and repeated in between.

Platforms do that (a monitor that shows its last value, a probe on a timer), and a forecast that takes each repetition
for a new measurement is sure of itself for no reason. So a value that equals the last one is not new: it teaches
nothing but that the platform repeats. How often it does, after how many repetitions already, is counted for each class;
with a probe on a timer that says when the next new value is due.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LONGEST_RUN = 63
_MEMORY = 5_000.0  # samples after which what was counted has faded to a third
_STRENGTH = 5.0  # as if so many new values had been seen after each run
_MOST = 0.999

Codes = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]


class Repeats:
    """`seen` and `repeated`, shape (classes, LONGEST_RUN + 1): values that followed a run of so many repetitions, and
    how many of them repeated it once more."""

    def __init__(self, classes: int) -> None:
        self.seen: Floats = np.zeros((classes, LONGEST_RUN + 1))
        self.repeated: Floats = np.zeros((classes, LONGEST_RUN + 1))

    def chances(self, class_codes: Codes, runs: Codes) -> Floats:
        """That the next value repeats the last one."""
        chances = self.repeated / (self.seen + _STRENGTH)
        return np.minimum(chances, _MOST)[class_codes, runs]

    def learn(self, class_codes: Codes, runs: Codes, is_repeated: Mask) -> None:
        places = class_codes.astype(np.intp) * (LONGEST_RUN + 1) + runs
        size = self.seen.size
        seen = np.bincount(places, minlength=size).reshape(self.seen.shape)
        fading = np.exp(-seen / _MEMORY)
        self.seen = self.seen * fading + seen
        again = np.bincount(places, is_repeated, minlength=size).reshape(self.seen.shape)
        self.repeated = self.repeated * fading + again

    def merge(self, other: Repeats) -> None:
        self.seen += other.seen
        self.repeated += other.repeated
        kept = np.minimum(1.0, _MEMORY / np.maximum(self.seen, 1.0))
        self.seen *= kept
        self.repeated *= kept
