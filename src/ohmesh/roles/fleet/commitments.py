"""Agents of one process that prepare for T and wait for the verdict: a Population in front of theirs.

PREPARE --> the agents --done--> READY is told at once; they wait (protocols.arrival.holding)
COMMIT  --> who is prepared is told at T to act, and what it answers then is the answer to the COMMIT
ABORT, or no verdict by T plus the window --> who prepared is told to drop it
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import msgspec
import numpy as np

from ohmesh.model.fleet_message import Coordinate, MessageHead, ReportedConflict, TargetState, Timing
from ohmesh.model.verdict_order import (
    PRESUMED,
    Unable,
    Verdict,
    VerdictOrder,
    encode_verdict_order,
    read_verdict_order,
)
from ohmesh.ports.population import Answered, AnsweredCallback, Population, Residents, Rows, Vitals
from ohmesh.protocols.arrival.holding import (
    DROPPED,
    REFUSED,
    Holding,
    HoldingConfig,
    HoldingStep,
)
from ohmesh.roles.fleet.alarm import Alarm
from ohmesh.roles.fleet.mesh_time import MeshTime

KEPT = 1_000


@dataclass(slots=True)
class _Order:
    """The verdict as it came, and those of these rows that have not answered it."""

    message: Coordinate
    answered: AnsweredCallback
    open: set[int] = field(default_factory=set)


@dataclass(slots=True)
class _Kept:
    message: Coordinate
    parts: list[Holding] = field(default_factory=list)
    verdicts: list[_Order] = field(default_factory=list)


class Commitments:
    def __init__(self, population: Population, *, time: MeshTime, alarm: Alarm) -> None:
        self.notice: Callable[[str], None] = lambda words: None
        self._population = population
        self._time = time
        self._alarm = alarm
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def residents(self) -> Residents:
        return self._population.residents()

    def vitals(self, rows: Rows) -> Vitals:
        return self._population.vitals(rows)

    def deliver(self, order: Coordinate, rows: Rows, answered: AnsweredCallback) -> None:
        told = read_verdict_order(order)
        if told is not None:
            self._hear(told, _Order(order, answered, set(rows.tolist())))
        elif order.timing is Timing.PREPARE:
            kept = self._kept.setdefault(order.head.id, _Kept(order))
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            part = Holding(rows, order.target_us / 1000, HoldingConfig(is_conditional=True))
            kept.parts.append(part)
            for verdict in kept.verdicts:  # it came before the work did
                part.hear(_verdict_of(verdict.message), self._now_ms())
            self._wake_at(kept, part)
            self._population.deliver(order, rows, partial(self._worked, kept, part, answered))
        else:
            self._population.deliver(order, rows, answered)

    def _worked(self, kept: _Kept, part: Holding, answered: AnsweredCallback, told: Answered) -> None:
        is_ready = told.states == TargetState.READY
        part.refused(told.rows[~is_ready])
        step = part.prepared(told.rows[is_ready], self._now_ms())
        answered(told)
        self._follow(kept, part, step)

    def _hear(self, told: VerdictOrder, order: _Order) -> None:
        kept = self._kept.get(told.operation)
        if kept is not None:
            kept.verdicts.append(order)
            for part in kept.parts:
                self._follow(kept, part, part.hear(told.verdict, self._now_ms()))
        if told.verdict is Verdict.ABORT:  # whoever had nothing to drop has nothing prepared either
            _answer(order, sorted(order.open))
            return
        if kept is None:
            _answer(order, sorted(order.open), Unable.NOT_PREPARED)
            return
        known: set[int] = set()
        for part in kept.parts:
            known |= set(part.rows[part.state != REFUSED].tolist())
        _answer(order, sorted(order.open - known), Unable.NOT_PREPARED)
        self._close(kept)

    def _follow(self, kept: _Kept, part: Holding, step: HoldingStep) -> None:
        if len(step.act):
            for order in kept.verdicts:
                acting = step.act[np.isin(step.act, list(order.open))]
                order.open -= set(acting.tolist())
                if len(acting):
                    self._population.deliver(order.message, acting, order.answered)
        if len(step.drop):
            self._drop(kept, part, step.drop)
        self._close(kept)
        self._wake_at(kept, part)

    def _drop(self, kept: _Kept, part: Holding, rows: Rows) -> None:
        message = next((order.message for order in kept.verdicts), None)
        if message is None or _verdict_of(message) is not Verdict.ABORT:
            operation = kept.message.head.id
            if part.verdict is None:
                self.notice(
                    f"No verdict on {operation} came in time: {len(rows)} agents drop what they prepared."
                )
            message = _presumed(kept.message)
        self._population.deliver(message, rows, lambda _told: None)

    def _close(self, kept: _Kept) -> None:
        """Who has dropped it, or contradicts, will not act any more."""
        for order in kept.verdicts:
            if _verdict_of(order.message) is not Verdict.COMMIT:
                continue
            for part in kept.parts:
                for state, why in ((DROPPED, Unable.TOO_LATE), (REFUSED, Unable.NOT_PREPARED)):
                    gone = order.open & set(part.rows[part.state == state].tolist())
                    _answer(order, sorted(gone), why)

    def _wake_at(self, kept: _Kept, part: Holding) -> None:
        wake_ms = part.wake_ms
        if wake_ms is None:
            return
        at_us = np.full(1, self._time.local_time_of(int(wake_ms * 1000)), np.int64)
        self._alarm.add(at_us, lambda _due: self._follow_time(kept, part, wake_ms))

    def _follow_time(self, kept: _Kept, part: Holding, due_ms: float) -> None:
        if part.wake_ms == due_ms:  # else it was set anew meanwhile
            self._follow(kept, part, part.tick(max(due_ms, self._now_ms())))

    def _now_ms(self) -> float:
        return self._time.now_us() / 1000


def _verdict_of(message: Coordinate) -> Verdict:
    told = read_verdict_order(message)
    assert told is not None, "only verdicts are kept as verdicts"
    return told.verdict


def _presumed(message: Coordinate) -> Coordinate:
    """The ABORT that nobody sent."""
    told = VerdictOrder(message.head.id, Verdict.ABORT, PRESUMED)
    head: MessageHead = msgspec.structs.replace(message.head, id=f"{message.head.id}.{PRESUMED}")
    return msgspec.structs.replace(
        message, head=head, timing=Timing.NOW, target_us=0, payload=encode_verdict_order(told)
    )


def _answer(order: _Order, rows: list[int], why: Unable | None = None) -> None:
    if not rows:
        return
    order.open -= set(rows)
    state = TargetState.READY if why is None else TargetState.CONFLICT
    conflicts = () if why is None else tuple((at, ReportedConflict(why)) for at in range(len(rows)))
    count = len(rows)
    order.answered(
        Answered(
            np.array(rows, np.int64),
            np.full(count, state, np.int8),
            np.zeros(count, np.float32),
            conflicts=conflicts,
        )
    )
