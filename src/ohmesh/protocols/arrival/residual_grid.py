"""Where residuals are counted: cells that are narrow around zero and ever wider away from it.

A residual is how much later than an agent's usual delay an answer came, in units of its class (a hundredth of its
base). It is additive, not a ratio: a queue, a sleeping radio or a lost packet cost what they cost, on a short way as on
a long one. Edges are at sinh(step * k): even near zero, in equal ratios far from it; finer above, where lead times
are, than below. 0 is an edge, so `residual <= 0` is exact.

Invariant: a distribution is `cumulated`, shape (n, CELLS), rising to 1; within a cell its mass lies evenly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Cells = NDArray[np.intp]

_ABOVE = np.sinh(0.25 * np.arange(60))
_BELOW = np.sinh(0.5 * np.arange(16, 0, -1))
EDGES = np.concatenate((-_BELOW, _ABOVE))
CELLS = len(EDGES) + 1
_TAIL = 1.5  # the outer cells end at so many times the outer edges
_LOWER = np.concatenate(([_TAIL * EDGES[0]], EDGES))
_UPPER = np.concatenate((EDGES, [_TAIL * EDGES[-1]]))
_ROUNDING = 1e-6


def cells_of(residuals: ArrayLike) -> Cells:
    """The cell that each lies in; one on an edge lies below it."""
    return np.searchsorted(EDGES, residuals, side="left")


def shares_below(cumulated: Singles, residuals: Floats) -> Floats:
    """How much of row i of `cumulated` lies at or below residual i."""
    places = np.arange(len(cumulated))
    cells = cells_of(residuals)
    upper = cumulated[places, cells].astype(np.float64)
    lower = np.where(cells > 0, cumulated[places, np.maximum(cells - 1, 0)], 0.0)
    within = np.clip((residuals - _LOWER[cells]) / (_UPPER[cells] - _LOWER[cells]), 0.0, 1.0)
    return np.asarray(lower + (upper - lower) * within)


def quantiles(cumulated: Singles, shares: Floats) -> Floats:
    """The least residual with share i of row i at or below it; the inverse of `shares_below`."""
    places = np.arange(len(cumulated))
    reached = shares * (1 - _ROUNDING)
    cells = np.minimum((cumulated < reached.astype(np.float32)[:, None]).sum(axis=1), CELLS - 1)
    upper = cumulated[places, cells].astype(np.float64)
    lower = np.where(cells > 0, cumulated[places, np.maximum(cells - 1, 0)], 0.0)
    within = np.clip((shares - lower) / np.maximum(upper - lower, 1e-12), 0.0, 1.0)
    return np.asarray(_LOWER[cells] + within * (_UPPER[cells] - _LOWER[cells]))
