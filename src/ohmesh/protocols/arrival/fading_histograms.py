"""What a neighbourhood or a class saw lately: one histogram of residuals for each, at several memories.

A memory of M samples weighs what came k samples ago with exp(-k / M). It counts samples and not seconds, so it
needs no clock, and a neighbourhood that is heard of often forgets sooner. A short memory beside a long one answers a
shock within one frame and is outvoted again once it has passed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ohmesh.protocols.arrival.residual_grid import CELLS, Cells, Singles


class FadingHistograms:
    """`mixture`, shape (keys, CELLS): for each key the mean over its memories of count / (samples + strength), so it
    sums to less than 1 while samples are few. Kept up to date by `learn`; not to be written."""

    def __init__(self, keys: int, memories: tuple[float, ...], *, strength: float) -> None:
        self.memories = memories
        self.strength = strength
        self.counts = np.zeros((len(memories), keys, CELLS), np.float32)
        self.mixture: Singles = np.zeros((keys, CELLS), np.float32)

    def learn(self, keys: Cells, cells: Cells) -> None:
        """One residual, by its cell, for each entry of `keys`; both of shape (n,)."""
        if not len(keys):
            return
        touched, places = np.unique(keys, return_inverse=True)
        fresh = np.bincount(places * CELLS + cells, minlength=len(touched) * CELLS).reshape(-1, CELLS)
        samples = fresh.sum(axis=1)
        for memory, counts in zip(self.memories, self.counts, strict=True):
            kept = np.exp(-samples / memory)
            weights = (
                memory * (1 - kept) / samples
            )  # of each new one, as if they had come one after the other
            counts[touched] = counts[touched] * kept[:, None] + fresh * weights[:, None]
        self._mix(touched)

    def merge(self, other: FadingHistograms) -> None:
        """As if both had been heard of at once; no more than the memory is kept."""
        self.counts += other.counts
        held = self.counts.sum(axis=2, keepdims=True)
        limits = np.array(self.memories, np.float32)[:, None, None]
        self.counts *= np.minimum(1.0, limits / np.maximum(held, 1e-9))
        self.refresh()

    def refresh(self) -> None:
        """After `counts` were written from outside."""
        self._mix(np.arange(len(self.mixture)))

    def _mix(self, keys: NDArray[np.intp]) -> None:
        counts = self.counts[:, keys]
        weights = 1.0 / (counts.sum(axis=2, keepdims=True) + self.strength)
        self.mixture[keys] = (counts * weights).mean(axis=0)
