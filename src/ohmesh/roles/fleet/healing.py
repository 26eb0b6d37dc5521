"""What `heal` does to whom, by what is wrong with each; every step is told.

    what is wrong                                   step      done by
    its process is gone, or does not answer         replace   the node beside it has it started anew
    asked, and silent until the timeout was over    restart   its process, for that agent alone
    another context than the head of its branch     resync    its process, from one that holds it
    degraded, or taken out of work (avoid)          ready     its process, and the registry

`auto` takes whoever shows any of these, and does to each only what it needs. People, who take their time, are not
restarted, and who is drained is so on purpose. Who is held because of a conflict stays so: its method or a person lets
it go.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from ohmesh.model.agent import Duty
from ohmesh.model.context import mark_of
from ohmesh.model.fleet_columns import DUTY_CODES
from ohmesh.model.fleet_message import TargetState
from ohmesh.model.fleet_operation import Respawn
from ohmesh.model.fleet_request import StartOperation
from ohmesh.model.state_order import HealState, How, decode_state_order, encode_state_order, is_state_order
from ohmesh.ports.population import Mask, Rows
from ohmesh.protocols.arrival.report import columns_of
from ohmesh.protocols.membership.fleet_roles import NOBODY
from ohmesh.registry.fleet.liveness import ACTIVE, OFFLINE
from ohmesh.roles.fleet.places import spans_of

if TYPE_CHECKING:
    from ohmesh.roles.fleet.orchestrator import Orchestrator

LOOKED_AT = 20  # the latest operations, for who is silent
REPLACED_S = 8.0
LOOK_S = 0.05
OUT_OF_WORK = [DUTY_CODES.index(duty) for duty in (Duty.DEGRADED, Duty.QUARANTINED)]


class Healing:
    def __init__(self, orchestrator: Orchestrator) -> None:
        self._of = orchestrator
        self._respawning: dict[str, float] = {}

    async def prepare(
        self, request: StartOperation, rows: Rows
    ) -> tuple[StartOperation, Rows, tuple[str, ...]]:
        """The request with who is to be restarted, those of `rows` that are meant, and what was done already."""
        wish = decode_state_order(request.payload) if is_state_order(request.payload) else None
        if not isinstance(wish, HealState):
            return request, rows, ()
        lost, silent = self._lost(rows), self._silent(rows)
        if wish.how is How.AUTO and wish.is_auto:
            wrong = lost | silent | self._is_out_of_work(rows) | self._holds_another(rows, wish.version)
            rows, lost, silent = rows[wrong], lost[wrong], silent[wrong]
        replaced = rows[lost] if wish.how is How.AUTO else rows[:0] if wish.how is not How.REPLACE else rows
        steps = [await self._replace(process) for process in self._processes(replaced)]
        restarted = {How.AUTO: rows[silent & ~lost], How.RESTART: rows}.get(wish.how, rows[:0])
        order = msgspec.structs.replace(wish, restart=spans_of(restarted))
        return msgspec.structs.replace(request, payload=encode_state_order(order)), rows, tuple(steps)

    # What is wrong

    def _lost(self, rows: Rows) -> Mask:
        offline = self._of.registry.columns.liveness[rows] == OFFLINE
        found: Mask = offline | (self._of.roles.homes[rows] == NOBODY)
        return found

    def _silent(self, rows: Rows) -> Mask:
        """In the last operation that asked them and whose time is over."""
        registry, now_ms = self._of.registry, self._of.now_ms()
        is_silent = np.zeros(registry.topology.size, bool)
        for operation in list(self._of.conductor.operations.values())[-LOOKED_AT:]:
            if operation.decision is None or now_ms < operation.started_ms + operation.request.timeout_ms:
                continue
            columns = columns_of(list(operation.records))
            is_silent[columns.rows_in(TargetState.TRANSIT)] = True
            is_silent[columns.rows_in(TargetState.READY)] = False
        is_human = np.array([one.is_human for one in registry.classes.all])
        found: Mask = is_silent[rows] & ~is_human[registry.columns.class_code[rows]]
        return found

    def _is_out_of_work(self, rows: Rows) -> Mask:
        return np.isin(self._of.registry.columns.duty[rows], OUT_OF_WORK)

    def _holds_another(self, rows: Rows, version: bytes) -> Mask:
        columns = self._of.registry.columns
        held: NDArray[np.uint64] = columns.context_hash[rows]
        found: Mask = (columns.liveness[rows] == ACTIVE) & (held != np.uint64(mark_of(version)))
        return found if version else np.zeros(len(rows), bool)

    def _processes(self, rows: Rows) -> list[str]:
        """That they live in, or lived in last."""
        registry = self._of.registry
        return [
            registry.hosts.texts[code]
            for code in np.unique(registry.columns.host[rows]).tolist()
            if registry.hosts.texts[code]
        ]

    # Replacing

    async def _replace(self, process: str) -> str:
        """Another life of it is in the view, or that did not come about in time."""
        loop = asyncio.get_running_loop()
        begun_s, before = loop.time(), self._incarnation(process)
        self._of.tell(self._of.subjects.respawns(), Respawn(process))
        while loop.time() - begun_s < REPLACED_S:
            await asyncio.sleep(LOOK_S)
            if self._incarnation(process) > before and self._has_joined(process):
                return f"process {process} was replaced within {loop.time() - begun_s:.1f} s"
        return f"process {process} was not replaced within {REPLACED_S:.0f} s: is its `ohmesh up` there?"

    def _incarnation(self, process: str) -> int:
        return next((one.incarnation for one in self._of.view().members if one.process == process), 0)

    def _has_joined(self, process: str) -> bool:
        rows = self._of.registry.rows_of_host(process)
        return bool(len(rows)) and bool((self._of.registry.columns.liveness[rows] == ACTIVE).any())
