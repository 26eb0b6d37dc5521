"""Context and duty of the agents of one process, in front of the population that does their work.

Orders about state are carried out here and never reach the population; everything else goes through to it, except to
who is frozen. What has changed is told in a heartbeat at once, before the answer, and kept: a freeze before its answer,
contexts within a second. A process that starts anew begins with what was kept, so who was frozen comes up frozen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ohmesh.errors import EngineError, EngineFailed, InvalidArgument
from ohmesh.model.agent import Duty
from ohmesh.model.conflict_evidence import ConflictOrder, read_conflict_order
from ohmesh.model.context import mark_of, mark_text
from ohmesh.model.fleet_columns import DUTY_CODES
from ohmesh.model.fleet_message import Coordinate, ReportedConflict, TargetState
from ohmesh.model.state_order import Refusal, StateOrder, read_state_order
from ohmesh.ports.population import (
    Answered,
    AnsweredCallback,
    CarriesState,
    IsFrozenToo,
    Mask,
    Population,
    Residents,
    Restarts,
    Rows,
    SaysContext,
    Vitals,
    WritesContext,
)
from ohmesh.protocols.context.store import ContextStore
from ohmesh.roles.fleet.state_records import StateRecord, StateRecords

READY = DUTY_CODES.index(Duty.READY)
QUARANTINED = DUTY_CODES.index(Duty.QUARANTINED)
FROZEN = DUTY_CODES.index(Duty.FROZEN)
SAVE_PAUSE_S = 1.0
RETRY_S = 0.5

Index = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """The agents that one order has arrived at; `at`: their places here."""

    rows: Rows
    at: Index
    answered: AnsweredCallback

    def part(self, chosen: Mask | Index) -> Asked:
        return replace(self, rows=self.rows[chosen], at=self.at[chosen])


class AgentStates:
    """A Population in front of another. records: None keeps nothing beyond the life of the process.

    obey: what carries out orders about state; see StateOrders. settle: what a conflict orders about contexts, and for
    whom it did; see ConflictOrders. changed: called with rows whose vitals have changed."""

    def __init__(self, population: Population, records: StateRecords | None) -> None:
        self.changed: Callable[[Rows], None]
        self.obey: Callable[[StateOrder, Coordinate, Asked], None]
        self.settle: Callable[[ConflictOrder, Asked], Mask]
        self.notice: Callable[[str], None]
        self.rows = population.residents().rows
        self.contexts = ContextStore(len(self.rows))
        self.duty = np.full(len(self.rows), READY, np.uint8)
        self.freeze_of = np.zeros(len(self.rows), np.uint32)
        self.is_held = np.zeros(
            len(self.rows), bool
        )  # in quarantine because of a conflict; told anew in each life
        self.freezes: list[str] = [""]
        self.records = records
        self._population = population
        if isinstance(population, SaysContext):
            population.context_of = self.context_of
        if isinstance(population, WritesContext):
            population.write_context = self.write_context
        self._dirty = asyncio.Event()

    # As a population

    def residents(self) -> Residents:
        return self._population.residents()

    def vitals(self, rows: Rows) -> Vitals:
        """The population's own duty shows where this one is ready, and its context where none was set."""
        vitals, at = self._population.vitals(rows), self.places(rows)
        marks, duty = self.contexts.marks(at), self.shown_duty(at)
        return replace(
            vitals,
            duty=np.where(duty == READY, vitals.duty, duty),
            context_hash=np.where(marks == 0, vitals.context_hash, marks),
        )

    def context_of(self, rows: Rows) -> NDArray[np.uint64]:
        return self.vitals(rows).context_hash

    def write_context(self, rows: Rows, entries: Mapping[str, bytes], is_change: bool) -> None:
        """They do it themselves, and nobody else knows of the version."""
        asked = Asked(rows, self.places(rows), lambda _answered: None)
        self.contexts.write(asked.at, entries, is_change=is_change)
        self.told(asked)

    def deliver(self, order: Coordinate, rows: Rows, answered: AnsweredCallback) -> None:
        about_state = read_state_order(order)
        asked = Asked(rows, self.places(rows), answered)
        if about_state is not None:
            self.obey(about_state, order, asked)
            return
        is_frozen = self.is_frozen(asked.at)
        if is_frozen.any():
            self.refuse_frozen(asked.part(is_frozen))
            rows, asked = rows[~is_frozen], asked.part(~is_frozen)
        about_conflict = read_conflict_order(order)
        if about_conflict is not None and len(rows):
            rows = rows[~self.settle(about_conflict, asked)]
        elif (is_away := self.shown_duty(asked.at) == QUARANTINED).any():
            self.refuse(
                asked.part(is_away), lambda held: ReportedConflict(Refusal.QUARANTINED, context_hash=held[:8])
            )
            rows = rows[~is_away]
        if len(rows):
            self._population.deliver(order, rows, answered)

    def restart(self, rows: Rows) -> bool:
        """Whether they can be begun anew at all."""
        if not isinstance(self._population, Restarts):
            return False
        self._population.restart(rows)
        return True

    # Duty

    def is_frozen(self, at: Index) -> Mask:
        frozen: Mask = self.freeze_of[at] != 0
        return frozen

    def shown_duty(self, at: Index) -> NDArray[np.uint8]:
        """Codes. Who is frozen keeps the duty it had, for when it is thawed."""
        duty = np.where(self.is_held[at], np.uint8(QUARANTINED), self.duty[at])
        return np.where(self.is_frozen(at), np.uint8(FROZEN), duty)

    def freeze(self, at: Index, freeze: str) -> None:
        """Who is frozen already stays under the freeze that it is under."""
        if freeze not in self.freezes:
            self.freezes.append(freeze)
        fresh = at[~self.is_frozen(at)]
        self.freeze_of[fresh] = self.freezes.index(freeze)
        if len(fresh) and isinstance(self._population, IsFrozenToo):
            self._population.freeze(self.rows[fresh], thaw=False)

    def freezes_of(self, at: Index) -> set[str]:
        """Those that these are under."""
        return {self.freezes[code] for code in np.unique(self.freeze_of[at]).tolist() if code}

    def move_freeze(self, at: Index, before: str, after: str) -> None:
        if after not in self.freezes:
            self.freezes.append(after)
        those = at[self.freeze_of[at] == self.freezes.index(before)]
        self.freeze_of[those] = self.freezes.index(after)

    def thaw(self, at: Index, record: StateRecord) -> None:
        """Take these from what was kept of them, all of whom are in it. Raises InvalidArgument: a context that is not
        what its name says."""
        there = np.searchsorted(record.rows, self.rows[at])
        self._take(record, at, there)
        if isinstance(self._population, CarriesState) and record.carried:
            self._population.restore(record.rows, record.carried, there)
        self.freeze_of[at] = 0
        if isinstance(self._population, IsFrozenToo):
            self._population.freeze(self.rows[at], thaw=True)

    # Answers

    def ready(self, asked: Asked, note: Callable[[bytes], bytes] | None = None) -> None:
        """With the marks of their contexts, or what `note` makes of a version's name."""
        if not len(asked.rows):
            return
        answers, codes = [], np.zeros(len(asked.rows), np.uint16)
        for version, places in self.contexts.heads(asked.at).items():
            answers.append(note(version) if note else mark_text(mark_of(version)).encode() or b"none")
            codes[places] = len(answers)
        states = np.full(len(asked.rows), TargetState.READY, np.int8)
        took = np.zeros(len(asked.rows), np.float32)
        asked.answered(Answered(asked.rows, states, took, codes, tuple(answers)))

    def refuse(self, asked: Asked, why: Callable[[bytes], ReportedConflict]) -> None:
        """`why`: for the version that agents hold."""
        if not len(asked.rows):
            return
        conflicts: list[tuple[int, ReportedConflict]] = []
        for version, places in self.contexts.heads(asked.at).items():
            reason = why(version)
            conflicts += [(place, reason) for place in places.tolist()]
        states = np.full(len(asked.rows), TargetState.CONFLICT, np.int8)
        took = np.zeros(len(asked.rows), np.float32)
        asked.answered(Answered(asked.rows, states, took, conflicts=tuple(conflicts)))

    def refuse_frozen(self, asked: Asked) -> None:
        self.refuse(asked, lambda held: ReportedConflict(Refusal.FROZEN, context_hash=held[:8]))

    def told(self, asked: Asked) -> None:
        """What these are has changed: tell it, and keep it soon."""
        if len(asked.rows):
            self.changed(asked.rows)
            self._dirty.set()

    def places(self, rows: Rows) -> Index:
        """`rows` live here."""
        first = int(self.rows[0])
        if int(self.rows[-1]) - first == len(self.rows) - 1:
            return (rows - first).astype(np.intp, copy=False)
        return np.searchsorted(self.rows, rows)

    # What is kept

    async def load(self) -> None:
        """Begin with what was kept, however long the engine lets wait; what cannot be read is said and left alone."""
        while self.records is not None and len(self.rows):
            try:
                record = await self.records.current()
            except EngineError as error:
                self.notice(f"The state of agents could not be read: {error}")
                if isinstance(error, EngineFailed):
                    return
                await asyncio.sleep(RETRY_S)
                continue
            if record is not None:
                self._begin_with(record)
            return

    async def keep(self) -> None:
        """Until it is cancelled."""
        while self.records is not None:
            await self._dirty.wait()
            try:
                await self.save()
            except EngineError as error:
                self.notice(f"The state of agents could not be kept, it is tried again: {error}")
                self._dirty.set()
            await asyncio.sleep(SAVE_PAUSE_S)
        await asyncio.Event().wait()

    async def save(self) -> None:
        """Raises EngineError."""
        if self.records is not None:
            self._dirty.clear()
            self.contexts.release()
            if not self.freeze_of.any():
                self.freezes = [""]
            await self.records.put_current(self.record())

    def record(self, *, with_carried: bool = False) -> StateRecord:
        contexts = self.contexts
        carried = b""
        if with_carried and isinstance(self._population, CarriesState):
            carried = self._population.carried(self.rows)
        held = [contexts.content_of(name) for name in contexts.in_use()]
        return StateRecord(
            rows=self.rows,
            duty=self.duty.copy(),
            head=contexts.head.copy(),
            good=contexts.good.copy(),
            freeze_of=self.freeze_of.copy(),
            names=contexts.names(),
            freezes=list(self.freezes),
            history=contexts.history.versions(),
            contents=[content for content in held if content is not None],
            carried=carried,
        )

    def _begin_with(self, record: StateRecord) -> None:
        _, at, there = np.intersect1d(self.rows, record.rows, assume_unique=True, return_indices=True)
        try:
            self._take(record, at, there)
            self.freezes = list(record.freezes)
            self.freeze_of[at] = record.freeze_of[there]
        except (InvalidArgument, IndexError) as error:
            self.notice(f"The state of agents that was kept is damaged and was not taken: {error}")

    def _take(self, record: StateRecord, at: Index, there: Index) -> None:
        self.contexts.take(record.history, record.contents)
        for put, kept in ((self.contexts.put, record.head), (self.contexts.approve, record.good)):
            numbers = kept[there]
            for number in np.unique(numbers).tolist():
                put(at[numbers == number], record.names[number])
        self.duty[at] = record.duty[there]
