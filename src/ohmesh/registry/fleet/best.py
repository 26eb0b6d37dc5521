"""The best agents for a task: who is able to take it now and has what it needs, the lowest impedance first.

Only those who have the rarest of the needed capabilities are looked at, by the index of capabilities.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ohmesh.errors import InvalidArgument, NoCapableAgentError
from ohmesh.model.fleet_columns import DUTY_CODES, LIVENESS_CODES
from ohmesh.registry.fleet.columns import Mask, Rows
from ohmesh.registry.fleet.liveness import ACTIVE, IS_MEMBER, READY, is_able
from ohmesh.registry.fleet.table import FleetTable

DEFAULT_BEST = 500


def best_agents(
    fleet: FleetTable, needed: Sequence[str], *, count: int = DEFAULT_BEST, among: Mask | None = None
) -> Rows:
    """Rows of at most `count` agents that are active and ready and have all that is `needed`, by lead_ms, then by row.

    among: of every row, whether it may be chosen (what a selector or a breaker leaves). Raises InvalidArgument: a count
    below 1; NoCapableAgentError: there is none, with what was missing.
    """
    if count < 1:
        raise InvalidArgument(f"{count} agents were asked for; it must be at least one.")
    able = holders = _holders(fleet, needed)
    able = able[is_able(fleet.columns, able)]
    if among is not None:
        able = able[among[able]]
    if not len(able):
        raise _nobody(fleet, needed, holders)
    lead_ms = fleet.columns.lead_ms[able]
    if len(able) > count:
        # Of those that are level with the last place, the first rows: the answer depends on the columns only.
        last = np.partition(lead_ms, count - 1)[count - 1]
        better = np.flatnonzero(lead_ms < last)
        level = np.flatnonzero(lead_ms == last)[: count - len(better)]
        chosen = np.sort(np.concatenate((better, level)))
        able, lead_ms = able[chosen], lead_ms[chosen]
    best: Rows = able[np.argsort(lead_ms, kind="stable")]
    return best


def _holders(fleet: FleetTable, needed: Sequence[str]) -> Rows:
    """Rows of those who have all of it, in order; everybody has nothing."""
    bits, table = fleet.columns.capabilities, fleet.capabilities
    if not needed:
        return np.flatnonzero(IS_MEMBER[fleet.columns.liveness])
    rows = min((table.rows(name, bits) for name in needed), key=len)
    if len(needed) > 1 and len(rows) and all(map(table.knows, needed)):
        for column, wanted in zip(bits, map(np.uint64, table.bits(needed)), strict=True):
            rows = rows[column[rows] & wanted == wanted]
    return rows


def _nobody(fleet: FleetTable, needed: Sequence[str], holders: Rows) -> NoCapableAgentError:
    what = " and ".join(needed) or "nothing in particular"
    bits = fleet.columns.capabilities
    missing = tuple(name for name in needed if not len(fleet.capabilities.rows(name, bits)))
    if missing:
        error = NoCapableAgentError(
            f"No agent has {' nor '.join(missing)}.", hint="Start one that has it, or ask for something else."
        )
        error.missing = missing
        return error
    if not len(holders):
        return NoCapableAgentError(
            f"No agent has {what} at once.", hint="Split the work, or grant one of them the rest."
        )
    return NoCapableAgentError(
        f"{len(holders)} agents have {what}, and none may be chosen now: {_states(fleet, holders)}.",
        hint="Wait for one of them, or release one.",
    )


def _states(fleet: FleetTable, rows: Rows) -> str:
    """`3 offline, 2 quarantined`: what keeps each from being chosen."""
    columns = fleet.columns
    kinds, counts = np.unique(
        columns.liveness[rows] * len(DUTY_CODES) + columns.duty[rows], return_counts=True
    )
    words: Counter[str] = Counter()
    for kind, count in zip(kinds.tolist(), counts.tolist(), strict=True):
        liveness, duty = divmod(kind, len(DUTY_CODES))
        if liveness != ACTIVE:
            words[LIVENESS_CODES[liveness - 1]] += count
        elif duty == READY:
            words["not among those that were allowed"] += count
        else:
            words[DUTY_CODES[duty]] += count
    return ", ".join(f"{count} {word}" for word, count in words.most_common())
