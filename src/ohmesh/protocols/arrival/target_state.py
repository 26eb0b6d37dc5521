"""What can be known of one target of an operation, and how what is known grows.

A target is told its state by one byte of *knowledge*. Knowledge only grows, whatever is heard in whatever order, twice
or from two sides, so records of one operation are merged by taking the greater:

    PENDING < UNREACHABLE (never asked) < SKIPPED < TRANSIT < UNREACHABLE (asked) < CONFLICT < READY

- TRANSIT is asked and silent, SKIPPED not asked on purpose, UNREACHABLE without a way, or none any more: its host is
  gone, or nobody is left who could say that it was asked.
- Who is known to have been asked is no longer pending, skipped or without a way.
- An answer says more than silence, and READY more than CONFLICT: the first READY stands. A target that said both, in
  either order, is READY and *contradicted*.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from ohmesh.model.fleet_message import TargetState

PENDING = 4
"""The state of a target that is not asked yet: beside those of TargetState, which are told on the wire."""


class Delivery(IntEnum):
    """NOW: it acts on receipt, at once. LEAD: it was released at T minus its lead and acts on receipt. HOLD: it was
    asked early and waits until T by its corrected clock."""

    NONE = 0
    NOW = 1
    LEAD = 2
    HOLD = 3


class SkipReason(IntEnum):
    """Why a target is not asked. CALLED_OFF: the operation ended before its turn."""

    NONE = 0
    INSUFFICIENT_LEAD_TIME = 1
    LEAD_ABOVE_LIMIT = 2
    BREAKER_OPEN = 3
    NOT_ON_DUTY = 4
    CALLED_OFF = 5
    UNHEALTHY_SECTOR = 6

    @property
    def word(self) -> str:
        return self.name.lower()


class Knowledge(IntEnum):
    """In the order in which it grows."""

    PENDING = 0
    UNREACHED = 1
    SKIPPED = 2
    TRANSIT = 3
    LOST = 4
    CONFLICT = 5
    READY = 6


_STATES = (
    PENDING,
    TargetState.UNREACHABLE,
    TargetState.SKIPPED,
    TargetState.TRANSIT,
    TargetState.UNREACHABLE,
    TargetState.CONFLICT,
    TargetState.READY,
)
_STATE_OF = np.array(_STATES, np.int8)
_ANSWERED = np.array([Knowledge.CONFLICT, Knowledge.TRANSIT, Knowledge.READY], np.uint8)


def states_of(knowledge: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Values of TargetState, or PENDING, of the same shape."""
    return _STATE_OF[knowledge]


def knowledge_of_answers(states: NDArray[np.int8]) -> NDArray[np.uint8]:
    """What an answer of -1, 0 or 1 tells: whoever answers was asked."""
    return _ANSWERED[states + 1]
