"""Agents of a fleet that report conflicts, and that do what a method orders them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ohmesh.model.conflict_evidence import ConflictOrder, Evidence, decode, encode
from ohmesh.model.fleet_message import Coordinate, ReportedConflict, TargetState, Verb
from ohmesh.ports.population import Answered, AnsweredCallback, Residents, Rows, Vitals

Obey = Callable[[int, ConflictOrder], Evidence | None]


class ConflictedAgents:
    """reports: what each of these rows answers to an ordinary message; None among them reports without a reason.
    obey: a row's answer to a method's order, None for silence. can: the capabilities of all."""

    def __init__(
        self,
        rows: Rows,
        reports: dict[int, ReportedConflict | None],
        obey: Obey | None = None,
        *,
        can: tuple[str, ...] = (),
    ) -> None:
        self.delivered: list[tuple[str, bytes, tuple[int, ...]]] = []
        self._rows = rows
        self._reports = reports
        self._obey = obey or (lambda _row, _order: Evidence(done=True))
        self._can = can

    def residents(self) -> Residents:
        count = len(self._rows)
        return Residents(self._rows, np.zeros(count, np.uint8), (self._can,) * count if self._can else ())

    def vitals(self, rows: Rows) -> Vitals:
        count = len(rows)
        return Vitals(
            np.full(count, 10, np.float32),
            np.zeros(count, np.uint32),
            np.ones(count, np.float32),
            np.zeros(count, np.float32),
            np.zeros(count, np.uint8),
            np.zeros(count, np.uint64),
        )

    def deliver(self, order: Coordinate, rows: Rows, answered: AnsweredCallback) -> None:
        self.delivered.append((order.verb.value, order.payload, tuple(rows.tolist())))
        took = np.ones(len(rows), np.float32)
        if order.verb is Verb.SYNC:
            self._do(decode(order.payload, ConflictOrder), rows, answered)
            return
        states = np.full(len(rows), TargetState.READY, np.int8)
        conflicts = []
        for at, row in enumerate(rows.tolist()):
            if row in self._reports:
                states[at] = TargetState.CONFLICT
                why = self._reports[row]
                if why is not None:
                    conflicts.append((at, why))
        answered(Answered(rows, states, took, conflicts=tuple(conflicts)))

    def _do(self, order: ConflictOrder, rows: Rows, answered: AnsweredCallback) -> None:
        found = [(row, self._obey(row, order)) for row in rows.tolist()]
        told = [(row, answer) for row, answer in found if answer is not None]
        if not told:
            return
        who = np.array([row for row, _ in told], np.int64)
        count = len(told)
        answered(
            Answered(
                who,
                np.full(count, TargetState.READY, np.int8),
                np.ones(count, np.float32),
                np.arange(1, count + 1, dtype=np.uint16),
                tuple(encode(answer) for _, answer in told),
            )
        )
