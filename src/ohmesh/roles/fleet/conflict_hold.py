"""Agents that conflicts hold in quarantine: off duty in the registry at once, and told to their processes, which refuse
what reaches them all the same.

What is told is how it is when it is sent, so what was held and let go in between is told as let go; a process that
starts anew is told again as its agents join.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import numpy as np

from ohmesh.errors import EngineError
from ohmesh.model.agent import Duty
from ohmesh.model.state_order import ChangeDuty, encode_state_order
from ohmesh.ports.population import Rows

if TYPE_CHECKING:
    from ohmesh.roles.fleet.orchestrator import Orchestrator

RETRY_S = 0.5


class ConflictHold:
    def __init__(self, orchestrator: Orchestrator) -> None:
        self._of = orchestrator
        self._untold = np.zeros(orchestrator.registry.topology.size, bool)
        self._changed = asyncio.Event()

    def hold(self, rows: Rows) -> None:
        self._of.states.hold(rows)
        self._tell(rows)

    def let_go(self, rows: Rows) -> None:
        self._of.states.let_go(rows)
        self._tell(rows)

    def _tell(self, rows: Rows) -> None:
        self._untold[rows] = True
        self._changed.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            rows: Rows = np.flatnonzero(self._untold)
            self._untold[rows] = False
            is_held = self._of.states.is_held(rows)
            try:
                await asyncio.gather(
                    self._order(rows[is_held], ChangeDuty(Duty.QUARANTINED, is_held=True)),
                    self._order(rows[~is_held], ChangeDuty(Duty.READY, is_held=False)),
                )
            except EngineError as error:
                self._of.notice(f"Who is in quarantine could not be told, it is tried again: {error}")
                await asyncio.sleep(RETRY_S)
                self._tell(rows)

    async def _order(self, rows: Rows, order: ChangeDuty) -> None:
        """Who does not answer is off duty all the same, for everybody who asks the registry."""
        if len(rows):
            request = self._of.conflicts.work.request("quarantine", encode_state_order(order))
            await self._of.conductor.order(request, rows)
