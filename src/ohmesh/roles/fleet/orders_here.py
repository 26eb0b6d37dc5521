"""Orders to the agents that live in one process: who was asked, who has answered, and what of it has been told.

All agents of a process are kept in columns of their own for each operation, whatever sectors they belong to, so a
message to thousands of them is one call of their population, and their answers are folded together by sector only when
they are told. An agent is asked once, however often the message comes.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ohmesh.model.fleet_message import Coordinate, ReportedConflict, TargetState, Timing
from ohmesh.model.fleet_table import AckTable
from ohmesh.model.topology import Topology
from ohmesh.ports.population import Answered, Population, Rows
from ohmesh.roles.fleet.alarm import Alarm
from ohmesh.roles.fleet.config import FleetHostConfig
from ohmesh.roles.fleet.mesh_time import MeshTime
from ohmesh.roles.fleet.places import places_of

Index = NDArray[np.intp]
Tell = Callable[[str, AckTable], None]
Witness = Callable[[str, Rows], None]

_UNASKED = np.int8(-128)


class _Asked:
    """One operation, columns of shape (n,): a place for each agent that lives here."""

    def __init__(self, message: Coordinate, count: int) -> None:
        self.message = message
        self.states = np.full(count, _UNASKED, np.int8)
        self.arrived_us = np.zeros(count, np.int64)
        self.ready_us = np.zeros(count, np.int64)
        self.processing_ms = np.zeros(count, np.float32)
        self.answer = np.zeros(count, np.uint16)
        self.answers: list[bytes] = []
        self.conflicts: dict[int, ReportedConflict] = {}
        self.waiting = 0
        self.done = np.full(count, _UNASKED, np.int8)  # what each will be once it is ready
        self.is_held = False
        self.untold: list[Index] = []
        self.is_told_soon = False

    def code_of(self, answer: bytes) -> int:
        try:
            return self.answers.index(answer) + 1
        except ValueError:
            self.answers.append(answer)
            return len(self.answers)


class OrdersHere:
    """`tell` hears what is known of agents of one sector; `witness` as they become ready."""

    def __init__(
        self,
        population: Population,
        topology: Topology,
        *,
        time: MeshTime,
        alarm: Alarm,
        config: FleetHostConfig,
    ) -> None:
        self.tell: Tell
        self.witness: Witness | None = None
        self._population = population
        self._rows = population.residents().rows
        self._topology = topology
        self._time = time
        self._alarm = alarm
        self._config = config
        self._asked: OrderedDict[str, _Asked] = OrderedDict()

    def deliver(self, message: Coordinate, rows: Rows) -> None:
        """`rows` ascend and live here; of any sectors."""
        asked = self._operation(message)
        at = self._places(rows)
        fresh = asked.states[at] == _UNASKED
        if not fresh.all():
            at, rows = at[fresh], rows[fresh]
        if not len(at):
            return
        now_us = self._time.now_us()
        asked.states[at] = TargetState.TRANSIT
        asked.arrived_us[at] = now_us
        asked.waiting += len(at)
        self._population.deliver(message, rows, partial(self._answered, asked))
        loop = asyncio.get_running_loop()
        loop.call_later(self._config.asked_ms / 1000, self._tell_asked, asked, at)

    def tell_again(self, operation: str | None = None, sectors: frozenset[int] | None = None) -> None:
        """All that is known, of one operation or of every one: somebody else is to hear it."""
        for key, asked in self._asked.items():
            if operation is None or key == operation:
                known = np.flatnonzero(asked.states != _UNASKED)
                if sectors is not None:
                    inside = np.isin(self._rows[known] // self._topology.sector_size, list(sectors))
                    known = known[inside]
                if len(known):
                    self._tell(asked, known)

    def forget(self, operations: frozenset[str]) -> None:
        for operation in operations:
            self._asked.pop(operation, None)

    # Answers

    def _answered(self, asked: _Asked, told: Answered) -> None:
        """They have done it. Who holds is ready at T, and not before: all of them together."""
        at = self._places(told.rows)
        asked.done[at] = told.states
        asked.processing_ms[at] = told.processing_ms
        if told.answer is not None:
            codes = np.array([0, *(asked.code_of(answer) for answer in told.answers)], np.uint16)
            asked.answer[at] = codes[told.answer]
        for row, why in told.conflicts:
            asked.conflicts[int(at[row])] = why
        message = asked.message
        if message.timing is not Timing.HOLD or message.target_us <= self._time.now_us():
            self._are_ready(asked, at)
        elif not asked.is_held:
            asked.is_held = True
            at_us = np.full(1, self._time.local_time_of(message.target_us), np.int64)
            self._alarm.add(at_us, lambda _due: self._release_held(asked))

    def _release_held(self, asked: _Asked) -> None:
        self._are_ready(
            asked, np.flatnonzero((asked.done != _UNASKED) & (asked.states == TargetState.TRANSIT))
        )

    def _are_ready(self, asked: _Asked, at: Index) -> None:
        """All at one time, which is read before anything else is done."""
        now_us = self._time.now_us()
        done = asked.done[at]
        if self.witness is not None:
            self.witness(asked.message.head.id, self._rows[at[done == TargetState.READY]])
        asked.waiting -= int(np.count_nonzero(asked.states[at] == TargetState.TRANSIT))
        asked.states[at] = done
        asked.ready_us[at] = now_us
        asked.untold.append(at)
        self._tell_soon(asked)

    # Telling

    def _tell_soon(self, asked: _Asked) -> None:
        """At once when nobody is waited for any more; otherwise together with what comes in the next moment."""
        if not asked.waiting:
            self._tell_untold(asked)
        elif not asked.is_told_soon:
            asked.is_told_soon = True
            asyncio.get_running_loop().call_later(self._config.fold_ms / 1000, self._tell_untold, asked)

    def _tell_untold(self, asked: _Asked) -> None:
        asked.is_told_soon = False
        untold, asked.untold = asked.untold, []
        if untold:
            self._tell(asked, np.sort(np.concatenate(untold)))

    def _tell_asked(self, asked: _Asked, at: Index) -> None:
        """Who has not answered by now: that it was asked is worth telling."""
        silent = at[asked.states[at] == TargetState.TRANSIT]
        if len(silent):
            self._tell(asked, silent)

    def _tell(self, asked: _Asked, at: Index) -> None:
        operation = asked.message.head.id
        for part in self._by_sector(at):
            has_answers = bool(asked.answers) and bool(asked.answer[part].any())
            self.tell(
                operation,
                AckTable(
                    operation,
                    places_of(self._rows[part], self._topology),
                    asked.states[part],
                    asked.arrived_us[part],
                    asked.ready_us[part],
                    asked.processing_ms[part],
                    _conflicts(asked, part),
                    tuple(asked.answers) if has_answers else (),
                    asked.answer[part] if has_answers else None,
                ),
            )

    def _by_sector(self, at: Index) -> Iterator[Index]:
        sectors = self._rows[at] // self._topology.sector_size
        bounds = [0, *(np.flatnonzero(np.diff(sectors)) + 1).tolist(), len(at)]
        for first, end in itertools.pairwise(bounds):
            yield at[first:end]

    def _places(self, rows: Rows) -> Index:
        first = int(self._rows[0])
        if int(self._rows[-1]) - first == len(self._rows) - 1:
            return (rows - first).astype(np.intp, copy=False)
        return np.searchsorted(self._rows, rows)

    def _operation(self, message: Coordinate) -> _Asked:
        asked = self._asked.get(message.head.id)
        if asked is None:
            asked = self._asked[message.head.id] = _Asked(message, len(self._rows))
            while len(self._asked) > self._config.operations:
                self._asked.popitem(last=False)
        return asked


def _conflicts(asked: _Asked, at: Index) -> tuple[tuple[int, ReportedConflict], ...]:
    if not asked.conflicts:
        return ()
    return tuple(
        (row, asked.conflicts[place]) for row, place in enumerate(at.tolist()) if place in asked.conflicts
    )
