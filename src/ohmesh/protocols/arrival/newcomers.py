"""What to expect of an agent that was never heard of: its prior, as far as priors held for those before it.

For each class, and for each class in each neighbourhood, the mean of log(first delay / prior) of its newcomers is kept.
A neighbourhood of few is shrunk towards its class, a class of few towards the prior as published.
"""

from __future__ import annotations

import numpy as np

from ohmesh.protocols.arrival.residual_grid import Cells, Floats

_STRENGTH = 3.0  # a class of so many newcomers is believed half, and so is a neighbourhood beside its class
_MEMORY = 1_000.0
_MOST = np.log(1_000.0)


class RatioMeans:
    """`total` and `weight`, shape (keys,): of the logarithms of ratios, older ones fading."""

    def __init__(self, keys: int) -> None:
        self.total: Floats = np.zeros(keys)
        self.weight: Floats = np.zeros(keys)

    def learn(self, keys: Cells, ratios: Floats) -> None:
        size = len(self.total)
        self.total += np.bincount(keys, np.clip(np.log(ratios), -_MOST, _MOST), minlength=size)
        self.weight += np.bincount(keys, minlength=size)
        self._fade()

    def shrunk(self, keys: Cells, towards: Floats | float = 0.0) -> Floats:
        """The mean logarithm of each key, where it has few shrunk `towards` another."""
        return np.asarray((self.total[keys] + _STRENGTH * towards) / (self.weight[keys] + _STRENGTH))

    def merge(self, other: RatioMeans) -> None:
        self.total += other.total
        self.weight += other.weight
        self._fade()

    def _fade(self) -> None:
        kept = np.minimum(1.0, _MEMORY / np.maximum(self.weight, 1.0))
        self.total *= kept
        self.weight *= kept
