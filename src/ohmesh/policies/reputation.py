"""What a peer's word and work have been worth: drawn upon when peers are chosen, and shared.

    +0.01 a success, -0.05 a failure, -0.03 a timeout, from 1.0, within 0..1
    below 0.5 on probation: drawn half as often as its reputation says; below 0.3 in quarantine: not drawn

Columns, so that a whole fleet is judged at once.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

SUCCESS, FAILURE, TIMEOUT = 0.01, -0.05, -0.03
PROBATION_BELOW, QUARANTINE_BELOW = 0.5, 0.3

Reputations = NDArray[np.float64]
Counts = NDArray[np.int64]


class Regard(IntEnum):
    TRUSTED = 0
    PROBATION = 1
    QUARANTINE = 2


def after(before: Reputations, successes: Counts, failures: Counts, timeouts: Counts) -> Reputations:
    """Shape (n,) each. What happened within one step has no order; bounds hold at its end."""
    moved = before + SUCCESS * successes + FAILURE * failures + TIMEOUT * timeouts
    found: Reputations = np.clip(moved, 0.0, 1.0)
    return found


def regard(reputations: Reputations) -> NDArray[np.uint8]:
    """Values of Regard."""
    # A sum of hundredths ends beside the bound that it means.
    rounded = np.round(reputations, 9)
    found = np.full(len(rounded), Regard.TRUSTED, np.uint8)
    found[rounded < PROBATION_BELOW] = Regard.PROBATION
    found[rounded < QUARANTINE_BELOW] = Regard.QUARANTINE
    return found


def draw_weights(reputations: Reputations) -> Reputations:
    """How often each is to be drawn, relative to the others."""
    how = regard(reputations)
    weights = np.where(how == Regard.PROBATION, reputations / 2, reputations)
    found: Reputations = np.where(how == Regard.QUARANTINE, 0.0, weights)
    return found
