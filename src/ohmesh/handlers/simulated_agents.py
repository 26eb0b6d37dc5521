"""Agents that exist as rows of arrays only: for a demo fleet, for load, for measuring. Whoever shows them says so.

Each class has a distribution of the time that one message takes, stated here and nowhere tuned: log-normal around the
class's base, wider where the published ranges are. Agents differ among each other, too: each has a speed of its own.
Observing (a ping, a question) takes no time, and neither does a message of which only the arrival is wanted;
everything else takes a draw.

A question that has the word "context" in it is answered by the mark of the context that is held, "none" without one,
any other by the title of the class.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from ohmesh.errors import InvalidArgument
from ohmesh.handlers.simulated_faults import Declared, Fault, SimulatedFaults, WriteContext, faults_by_part
from ohmesh.model.agent_class import AgentClasses
from ohmesh.model.conflict_evidence import read_conflict_order
from ohmesh.model.context import mark_text
from ohmesh.model.fleet_message import Coordinate, Expectation, TargetState, Verb
from ohmesh.model.verdict_order import read_verdict_order
from ohmesh.ports.population import Answered, AnsweredCallback, Residents, Rows, Vitals

# Of the logarithm of the time of one message, by class: edge, serverless, persistent, GPU, local, human.
SPREADS = {"A": 0.25, "B": 0.35, "C": 0.30, "D": 0.30, "E": 0.40, "F": 0.60}
SPEEDS = 0.15  # of the logarithm of an agent's own pace
OTHER_SPREAD = 0.30
LATE_FACTOR = 10.0
CONTEXT = np.uint64(0)
NO_CONTEXT = b"none"

AfterDelays = Callable[[NDArray[np.float32], Callable[[NDArray[np.intp]], None]], None]


def standard_mix(rows: Rows, classes: AgentClasses) -> NDArray[np.uint8]:
    """Class codes in the shares of a full fleet, mixed evenly over the rows: the same for the same rows."""
    shares = np.cumsum([one.share for one in classes.all], dtype=np.float64)
    # The golden ratio's multiples spread over the unit interval more evenly than chance would.
    spots = np.mod((rows + 1) * 0.6180339887498949, 1.0) * shares[-1]
    codes: NDArray[np.uint8] = np.searchsorted(shares, spots, side="right").astype(np.uint8)
    return codes


@dataclass(frozen=True, slots=True)
class Unfit:
    """Parts of all agents, drawn once: `dead` never answer, `lying` report a conflict although there is none,
    `late` take ten times as long as others of their class. The others are those of simulated_faults, at least one agent
    of each, and no people."""

    dead: float = 0.0
    lying: float = 0.0
    late: float = 0.0
    contradicting: float = 0.0
    drifting: float = 0.0
    incapable: float = 0.0
    diverging: float = 0.0
    corrupt: float = 0.0

    @property
    def faults(self) -> dict[Fault, float]:
        return {
            Fault.CONTRADICTING: self.contradicting,
            Fault.DRIFTING: self.drifting,
            Fault.INCAPABLE: self.incapable,
            Fault.DIVERGING: self.diverging,
            Fault.CORRUPT: self.corrupt,
        }


def parse_unfit(text: str) -> Unfit:
    """ "dead=0.03, contradicting=0.01". Raises InvalidArgument: no such fault, a part that is not from 0 to 1."""
    parts: dict[str, float] = {}
    for word in text.replace(",", " ").split():
        name, _, part = word.partition("=")
        try:
            parts[name] = float(part)
        except ValueError:
            parts[name] = math.nan
        if name not in {one.name for one in fields(Unfit)} or not 0 <= parts[name] <= 1:
            raise InvalidArgument(
                f"faults: {word!r} is no part of agents with a fault.",
                hint=f"Say fault=part, a part from 0 to 1, of {', '.join(one.name for one in fields(Unfit))}.",
            )
    if sum(parts.values()) > 1:
        raise InvalidArgument(f"faults: these are {sum(parts.values()):g} of all agents, above 1.")
    return Unfit(**parts)


class SimulatedAgents:
    """`after` calls back with places as their delays (milliseconds) have passed. What those with a fault say of
    themselves is `faults.declared`."""

    def __init__(
        self,
        rows: Rows,
        classes: AgentClasses,
        after: AfterDelays,
        *,
        rng: random.Random,
        unfit: Unfit | None = None,
    ) -> None:
        self._rows = rows
        self._codes = standard_mix(rows, classes)
        self._titles = tuple(one.title.encode() for one in classes.all)
        self._after = after
        self.context_of: Callable[[Rows], NDArray[np.uint64]] = lambda rows: np.full(len(rows), CONTEXT)
        self._rng = rng
        base_ms = np.array([one.base_ms for one in classes.all], np.float32)
        spread = np.array([SPREADS.get(one.name, OTHER_SPREAD) for one in classes.all], np.float32)
        self._spread = spread[self._codes]
        self._pace_ms = base_ms[self._codes] * np.exp(SPEEDS * self._normal(len(rows)))
        self._answered = np.zeros(len(rows), np.uint32)
        unfit, fate = unfit or Unfit(), self._uniform(len(rows))
        self._is_dead = fate < unfit.dead
        self._is_lying = ~self._is_dead & (fate < unfit.dead + unfit.lying)
        self._pace_ms[fate >= 1 - unfit.late] *= LATE_FACTOR
        is_human = np.array([one.is_human for one in classes.all])[
            self._codes
        ]  # who is rarely given work in time
        well = np.flatnonzero((fate >= unfit.dead + unfit.lying) & (fate < 1 - unfit.late) & ~is_human)
        drawn = (
            well[np.argsort(self._uniform(len(well)), kind="stable")] if any(unfit.faults.values()) else well
        )
        faults = np.zeros(len(rows), np.uint8)
        faults[drawn] = faults_by_part(unfit.faults, np.arange(len(drawn)))
        own = Declared(str, lambda place: (classes.all[self._codes[place]].capabilities or ("",))[0])
        self.faults = SimulatedFaults(rows, faults, own)

    def residents(self) -> Residents:
        return Residents(self._rows, self._codes, is_simulated=True)

    @property
    def write_context(self) -> WriteContext:
        return self.faults.write_context

    @write_context.setter
    def write_context(self, write: WriteContext) -> None:
        self.faults.write_context = write

    def vitals(self, rows: Rows) -> Vitals:
        at = self._at(rows)
        count = len(at)
        spread = self._spread[at]
        return Vitals(
            (self._pace_ms[at] * np.exp(spread * spread / 2)).astype(np.float32),
            np.zeros(count, np.uint32),
            np.ones(count, np.float32),
            np.sqrt(np.expm1(spread * spread)).astype(np.float32) * np.float32(0.1),
            np.zeros(count, np.uint8),
            np.full(count, CONTEXT),
        )

    def deliver(self, order: Coordinate, rows: Rows, answered: AnsweredCallback) -> None:
        at = self._at(rows)
        if self._is_dead.any():
            living = ~self._is_dead[at]
            at, rows = at[living], rows[living]
        if not len(at):
            return
        self._answered[at] += np.uint32(1)
        states = np.where(self._is_lying[at], TargetState.CONFLICT, TargetState.READY).astype(np.int8)
        settling = read_conflict_order(order)
        if settling is not None:
            codes = np.arange(1, len(at) + 1, dtype=np.uint16)
            took = np.zeros(len(at), np.float32)
            answered(Answered(rows, states, took, codes, self.faults.obey(settling, at)))
            return
        if read_verdict_order(order) is not None:  # the work is done by then
            answered(Answered(rows, states, np.zeros(len(at), np.float32)))
            return
        objections = self.faults.report(order, at) if order.verb is not Verb.OBSERVE else {}
        states[list(objections)] = TargetState.CONFLICT
        answer, answers = self._answers(order, rows, states)
        if order.verb is Verb.OBSERVE or order.expects is Expectation.NOTHING:
            took = np.zeros(len(at), np.float32)
            answered(Answered(rows, states, took, answer, answers, tuple(objections.items())))
            return
        weight = np.float32(1 + 0.5 * order.weight)
        delays_ms = (self._pace_ms[at] * np.exp(self._spread[at] * self._normal(len(at))) * weight).astype(
            np.float32
        )

        def ring(due: NDArray[np.intp]) -> None:
            due = np.sort(due)
            part = answer[due] if answer is not None else None
            why = tuple(
                (here, objections[place]) for here, place in enumerate(due.tolist()) if place in objections
            )
            answered(Answered(rows[due], states[due], delays_ms[due], part, answers, why))

        self._after(delays_ms, ring)

    def restart(self, rows: Rows) -> None:
        """Whoever was dead, or reported what is not so, is well after it."""
        at = self._at(rows)
        self._is_dead[at] = self._is_lying[at] = False

    def carried(self, rows: Rows) -> bytes:
        """How many messages each has been sent."""
        return self._answered[self._at(rows)].astype("<u4").tobytes()

    def restore(self, rows: Rows, carried: bytes, chosen: NDArray[np.intp]) -> None:
        self._answered[self._at(rows[chosen])] = np.frombuffer(carried, "<u4")[chosen]

    def _answers(
        self, order: Coordinate, rows: Rows, states: NDArray[np.int8]
    ) -> tuple[NDArray[np.uint16] | None, tuple[bytes, ...]]:
        """Who is in conflict has none."""
        if order.expects is not Expectation.ANSWER:
            return None, ()
        is_ready = states == TargetState.READY
        place: NDArray[np.integer]
        if b"context" in order.payload.lower():
            marks, place = np.unique(self.context_of(rows), return_inverse=True)
            answers = tuple(mark_text(mark).encode() if mark else NO_CONTEXT for mark in marks.tolist())
        else:
            place, answers = self._codes[self._at(rows)], self._titles
        codes: NDArray[np.uint16] = np.where(is_ready, place.astype(np.uint16) + 1, 0).astype(np.uint16)
        return codes, answers

    def _at(self, rows: Rows) -> NDArray[np.intp]:
        first = int(self._rows[0])
        if int(self._rows[-1]) - first == len(self._rows) - 1:
            return rows - first
        return np.searchsorted(self._rows, rows)

    def _uniform(self, count: int) -> NDArray[np.float64]:
        """A seeded stream of numbers; of random bytes, since arrays have no generator of their own here."""
        words = np.frombuffer(self._rng.randbytes(8 * count), np.uint64)
        drawn: NDArray[np.float64] = (words >> np.uint64(11)).astype(np.float64) * (1.0 / (1 << 53))
        return drawn

    def _normal(self, count: int) -> NDArray[np.float32]:
        """Box and Muller (1958)."""
        half = (count + 1) // 2
        radius = np.sqrt(-2.0 * np.log1p(-self._uniform(half)))
        angle = 2.0 * math.pi * self._uniform(half)
        pairs = np.concatenate((radius * np.cos(angle), radius * np.sin(angle)))
        return pairs[:count].astype(np.float32)
