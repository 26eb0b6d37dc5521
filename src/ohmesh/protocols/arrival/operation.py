"""The record of an operation in one sector: what is known of each target, as columns.

`take` is the only way to change it: an event says what was done (Released, Skipped, Lost) or heard (Answers, or the
record of another holder), for many targets at once. Knowledge only grows (target_state), so the record does not depend
on the order in which events come, nor on how often; two holders of parts of it merge to the same whole.

Invariants: every target has one state, so the states sum to the targets. The time of an answer is the earliest that
was told with the answer that stands. Who is not a target changes nothing and is counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ohmesh.errors import InvalidArgument
from ohmesh.protocols.arrival.counts import Counts, counted
from ohmesh.protocols.arrival.target_state import (
    Delivery,
    Knowledge,
    SkipReason,
    knowledge_of_answers,
    states_of,
)

Rows = NDArray[np.int64]
NO_TIME = np.float32(np.inf)
_PENDING, _UNREACHED, _SKIPPED = np.uint8(Knowledge.PENDING), np.uint8(Knowledge.UNREACHED), Knowledge.SKIPPED
_TRANSIT, _LOST = np.uint8(Knowledge.TRANSIT), np.uint8(Knowledge.LOST)
_CONFLICT, _READY = Knowledge.CONFLICT, Knowledge.READY


@dataclass(frozen=True, slots=True, eq=False)
class Released:
    """These were asked, in this way."""

    rows: Rows
    delivery: Delivery = Delivery.LEAD


@dataclass(frozen=True, slots=True, eq=False)
class Skipped:
    """These are not asked. `reasons`: values of SkipReason. `needed_ms`: the lead of each; `available_ms`: what was
    left of the time until T, below zero when T had passed. All of the shape of `rows`."""

    rows: Rows
    reasons: NDArray[np.uint8]
    needed_ms: NDArray[np.floating]
    available_ms: NDArray[np.floating]


@dataclass(frozen=True, slots=True, eq=False)
class Lost:
    """The host of these is gone. Who was skipped stays so; who answers after all is believed."""

    rows: Rows


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """`states`: -1, 0 or 1 of each row, as TargetState names them; 0 is a target that heard and is not ready.
    `ready_ms`: mesh time when it was ready (or knew that it conflicts); what is not finite is not known."""

    rows: Rows
    states: NDArray[np.int8]
    ready_ms: NDArray[np.float64]
    delivery: Delivery = Delivery.LEAD


class Heard(NamedTuple):
    """What an event came to. `grown`: targets of which more is known now. `unknown`: rows that are no targets."""

    grown: int = 0
    unknown: int = 0


class SectorRecord:
    """`rows` ascend: places in the columns of the fleet, shape (n,). `target_ms` is T, in mesh time."""

    def __init__(self, sector: int, rows: Rows, target_ms: float) -> None:
        """Raises InvalidArgument: a row is named twice or out of order."""
        rows = np.asarray(rows, np.int64)
        if len(rows) and (rows[0] < 0 or (np.diff(rows) <= 0).any()):
            raise InvalidArgument(
                f"The targets in sector {sector} are not in order.", hint="Name each row once, ascending."
            )
        self.sector = sector
        self.rows = rows
        self.target_ms = target_ms
        self.knowledge = np.zeros(len(rows), np.uint8)
        self.deliveries = np.zeros(len(rows), np.uint8)
        self.offsets_ms = np.full(
            len(rows), NO_TIME
        )  # of the answer that stands, from T; infinite: not known
        self.contradicted = np.zeros(len(rows), bool)
        self.reasons = np.zeros(len(rows), np.uint8)
        self.needed_ms = np.zeros(len(rows), np.float32)
        self.available_ms = np.full(len(rows), NO_TIME)

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, event: Event) -> Heard:
        match event:
            case Answers():
                return self._answer(event)
            case SectorRecord():
                return self._merge(event)
            case Released():
                return self._release(event)
            case Skipped():
                return self._skip(event)
            case Lost():
                return self._lose(event)

    def close(self) -> None:
        """No more will be released: of whom nobody says that it was asked, there was no way to it."""
        self.knowledge[self.knowledge == _PENDING] = _UNREACHED

    @property
    def states(self) -> NDArray[np.int8]:
        """Values of TargetState, or PENDING, shape (n,)."""
        return states_of(self.knowledge)

    def rows_in(self, *states: int) -> Rows:
        return self.rows[np.isin(self.states, states)]

    def counts(self) -> Counts:
        return self.counts_by(np.zeros(len(self), np.uint8), 1)[0]

    def counts_by(self, groups: NDArray[np.uint8], number: int) -> list[Counts]:
        """Of each group of targets; `groups` says for each target which it belongs to, from 0, below `number`."""
        wide = groups.astype(np.intp)
        known = _table(wide, self.knowledge, number, len(Knowledge))
        ways = _table(wide, self.deliveries, number, len(Delivery))
        both = np.bincount(wide[self.contradicted], minlength=number).tolist()
        return [counted(*parts) for parts in zip(known, ways, both, strict=True)]

    def _find(self, rows: Rows) -> tuple[NDArray[np.intp], NDArray[np.bool_] | None, int]:
        """Places of `rows` here, a mask of those that are targets (None: all are), how many are not."""
        at = np.searchsorted(self.rows, rows)
        if not len(self.rows):
            return at[:0], np.zeros(len(rows), bool), len(rows)
        at[at == len(self.rows)] = 0
        found = self.rows[at] == rows
        missing = len(rows) - int(np.count_nonzero(found))
        return (at[found], found, missing) if missing else (at, None, 0)

    def _answer(self, answers: Answers) -> Heard:
        at, found, unknown = self._find(answers.rows)
        states, ready_ms = answers.states, answers.ready_ms
        if found is not None:
            states, ready_ms = states[found], ready_ms[found]
        told = knowledge_of_answers(states)
        before = self.knowledge.copy()
        np.maximum.at(self.knowledge, at, told)
        np.maximum.at(self.deliveries, at, np.uint8(answers.delivery))
        grown = self.knowledge != before
        now = self.knowledge[at]
        self._mark_contradicted(at, now, told, before[at])
        self.offsets_ms[grown] = NO_TIME
        offsets = (ready_ms - self.target_ms).astype(np.float32)
        timed = (told == now) & (told >= _CONFLICT) & np.isfinite(offsets)
        np.minimum.at(self.offsets_ms, at[timed], offsets[timed])
        return Heard(int(np.count_nonzero(grown)), unknown)

    def _mark_contradicted(
        self,
        at: NDArray[np.intp],
        now: NDArray[np.uint8],
        told: NDArray[np.uint8],
        before: NDArray[np.uint8],
    ) -> None:
        both = (now == _READY) & ((told == _CONFLICT) | (before == _CONFLICT))
        self.contradicted[at[both]] = True

    def _merge(self, other: SectorRecord) -> Heard:
        if other.sector != self.sector or other.target_ms != self.target_ms:
            raise InvalidArgument(
                f"A record of sector {other.sector} at T = {other.target_ms} is none of sector {self.sector} at "
                f"T = {self.target_ms}.",
                hint="Merge records of one operation only.",
            )
        at, found, unknown = self._find(other.rows)
        chosen = slice(None) if found is None else found
        told, before = other.knowledge[chosen], self.knowledge[at]
        now = np.maximum(before, told)
        self.knowledge[at] = now
        self.deliveries[at] = np.maximum(self.deliveries[at], other.deliveries[chosen])
        ours = np.where(told > before, NO_TIME, self.offsets_ms[at])
        theirs = np.where(told < before, NO_TIME, other.offsets_ms[chosen])
        self.offsets_ms[at] = np.minimum(ours, theirs)
        self.contradicted[at] |= other.contradicted[chosen]
        self._mark_contradicted(at, now, told, before)
        skipped = told == _SKIPPED
        if skipped.any():
            self._keep_reasons(at[skipped], _part(other, chosen, skipped))
        return Heard(int(np.count_nonzero(now != before)), unknown)

    def _release(self, event: Released) -> Heard:
        at, _, unknown = self._find(event.rows)
        self.deliveries[at] = np.maximum(self.deliveries[at], np.uint8(event.delivery))
        return Heard(self._grow(at, _TRANSIT), unknown)

    def _skip(self, event: Skipped) -> Heard:
        at, found, unknown = self._find(event.rows)
        self._keep_reasons(at, event if found is None else _part(event, found, slice(None)))
        return Heard(self._grow(at, np.uint8(_SKIPPED)), unknown)

    def _lose(self, event: Lost) -> Heard:
        at, _, unknown = self._find(event.rows)
        known = self.knowledge[at]
        grown = self._grow(at[known == _TRANSIT], _LOST) + self._grow(at[known == _PENDING], _UNREACHED)
        return Heard(grown, unknown)

    def _grow(self, at: NDArray[np.intp], least: np.uint8) -> int:
        before = self.knowledge[at]
        self.knowledge[at] = np.maximum(before, least)
        return int(np.count_nonzero(before < least))

    def _keep_reasons(self, at: NDArray[np.intp], told: Skipped) -> None:
        """Of two accounts of a skip the one that asks for more; each column for itself, so that order is nothing."""
        self.reasons[at] = np.maximum(self.reasons[at], told.reasons)
        self.needed_ms[at] = np.maximum(self.needed_ms[at], told.needed_ms.astype(np.float32))
        self.available_ms[at] = np.minimum(self.available_ms[at], told.available_ms.astype(np.float32))


Event = Released | Skipped | Lost | Answers | SectorRecord


def _table(groups: NDArray[np.intp], codes: NDArray[np.uint8], number: int, width: int) -> list[list[int]]:
    """How often each code stands in each group."""
    table: list[list[int]] = (
        np.bincount(groups * width + codes, minlength=number * width).reshape(-1, width).tolist()
    )
    return table


def _part(
    told: Skipped | SectorRecord,
    chosen: NDArray[np.bool_] | slice,
    within: NDArray[np.bool_] | slice,
) -> Skipped:
    return Skipped(
        told.rows[chosen][within],
        told.reasons[chosen][within],
        told.needed_ms[chosen][within],
        told.available_ms[chosen][within],
    )


def skipped_for(reason: SkipReason, rows: Rows) -> Skipped:
    """Skips whose reason is not a matter of time."""
    return Skipped(
        rows, np.full(len(rows), reason, np.uint8), np.zeros(len(rows)), np.full(len(rows), np.inf)
    )
