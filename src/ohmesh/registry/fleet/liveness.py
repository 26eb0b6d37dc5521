"""Whether agents are heard of, as codes: what is heard, what silence does, and the table of all transitions.

    event       vacant   joining   active    suspect   offline   left
    silent      -        joining   suspect   suspect   offline   -
    dead        -        offline   offline   offline   offline   -
    leave       -        left      left      left      left      left

A heartbeat makes an agent what its host says that it is, unless it left or the row is vacant; then it joins again. Who
has just joined is not doubted before it is given up: it may still be starting.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

import numpy as np

from ohmesh.model.agent import Duty
from ohmesh.model.fleet_columns import DUTY_CODES, LIVENESS_CODES
from ohmesh.model.heartbeat import HEARTBEAT_PROFILES
from ohmesh.registry.fleet.columns import Codes, FleetColumns, Mask, Rows

VACANT = 0
JOINING, ACTIVE, SUSPECT, OFFLINE, LEFT = range(1, 1 + len(LIVENESS_CODES))
READY = DUTY_CODES.index(Duty.READY)


class Event(Enum):
    SILENT = (VACANT, JOINING, SUSPECT, SUSPECT, OFFLINE, LEFT)
    DEAD = (VACANT, OFFLINE, OFFLINE, OFFLINE, OFFLINE, LEFT)
    LEAVE = (VACANT, LEFT, LEFT, LEFT, LEFT, LEFT)


NEXT: dict[Event, Codes] = {event: np.array(event.value, np.uint8) for event in Event}
IS_MEMBER: Mask = np.array([False, True, True, True, True, False])
"""Counts for the fleet: neither vacant nor gone on purpose."""
IS_HEARD: Mask = np.array([False, False, True, True, False, False])
"""Has figures that were measured, and not long ago."""

_SUSPECT_MS = np.array([one.suspect_ms for one in HEARTBEAT_PROFILES], np.int64)
_DEAD_MS = np.array([one.dead_ms for one in HEARTBEAT_PROFILES], np.int64)


class Transitions(NamedTuple):
    """Rows whose liveness changed, with the codes before and after; arrays of one length."""

    rows: Rows
    before: Codes
    after: Codes

    def into(self, code: int) -> Rows:
        """The rows that became so: `into(OFFLINE)`."""
        rows: Rows = self.rows[self.after == code]
        return rows


def silences(columns: FleetColumns, now_ms: int) -> Transitions:
    """What the silence of every agent has come to at mesh time `now_ms`; nothing is changed here."""
    silence_ms = now_ms - columns.heartbeat_ms
    after = columns.liveness
    after = np.where(silence_ms >= _SUSPECT_MS[columns.profile], NEXT[Event.SILENT][after], after)
    after = np.where(silence_ms >= _DEAD_MS[columns.profile], NEXT[Event.DEAD][after], after)
    rows = np.flatnonzero(after != columns.liveness)
    return Transitions(rows, columns.liveness[rows], after[rows])


def is_able(columns: FleetColumns, rows: Rows | slice = slice(None)) -> Mask:
    """Active and ready: who counts as active in a rate, and who may be given something."""
    able: Mask = (columns.liveness[rows] == ACTIVE) & (columns.duty[rows] == READY)
    return able
