"""What the orchestrator does for procedures: give up a process at once, and plan places for new agents.

Plans are kept in `state` by their key, so a procedure that is done again goes on with the same places, and two that run
at once have different ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from ohmesh.errors import InvalidArgument, RevisionConflict
from ohmesh.model.fleet_care import CareQuestion, PlacesPlan, PlanPlaces, Replaced, ReplaceProcess
from ohmesh.ports.population import Rows
from ohmesh.ports.state import State
from ohmesh.protocols.membership.agent_places import plan_places
from ohmesh.protocols.membership.fleet_roles import NOBODY
from ohmesh.registry.fleet.liveness import IS_MEMBER
from ohmesh.roles.fleet.places import rows_of_spans, spans_of

if TYPE_CHECKING:
    from ohmesh.roles.fleet.orchestrator import Orchestrator

PREFIX = "fleet.places."
KEPT_MS = 3_600_000

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(PlacesPlan).decode


class Caretaker:
    def __init__(self, orchestrator: Orchestrator, state: State) -> None:
        self._of = orchestrator
        self._state = state

    async def answer(self, question: CareQuestion) -> Replaced | PlacesPlan:
        """Raises InvalidArgument: no room for so many agents."""
        if isinstance(question, ReplaceProcess):
            was_there = self._of.dismiss(question.process)
            return Replaced(question.process, was_there, self._of.view().revision)
        return await self._plan(question)

    async def _plan(self, question: PlanPlaces) -> PlacesPlan:
        topology = self._of.registry.topology
        key = PREFIX + question.key
        known = await self._state.get(key)
        if known is not None and known.value is not None:
            return self._again(known.value, question)
        is_taken = IS_MEMBER[self._of.registry.columns.liveness] | (self._of.roles.homes != NOBODY)
        for other in await self._state.keys(PREFIX):
            entry = await self._state.get(other)
            if entry is not None and entry.value is not None:
                is_taken[rows_of_spans(_decode(entry.value).spans, topology)] = True
        planned = plan_places(is_taken, topology, question.agents)
        plan = PlacesPlan(
            spans_of(planned.rows),
            planned.filled,
            planned.created,
            _sectors(planned.rows, topology.sector_size),
        )
        try:
            await self._state.put(key, _encode(plan), expected=0, ttl_ms=KEPT_MS)
        except RevisionConflict:  # the same was asked twice at once
            return await self._plan(question)
        return self._with_hosts(plan)

    def _again(self, value: bytes, question: PlanPlaces) -> PlacesPlan:
        plan = _decode(value)
        planned = sum(count for _, count in plan.spans)
        if planned != question.agents:
            raise InvalidArgument(
                f"key: {question.key!r} was for {planned} agents, not {question.agents}.",
                hint="Another number needs another key.",
            )
        return self._with_hosts(plan)

    def _with_hosts(self, plan: PlacesPlan) -> PlacesPlan:
        return msgspec.structs.replace(plan, hosts=tuple(sorted(self._of.simulated)))


def _sectors(rows: Rows, size: int) -> int:
    return len(np.unique(rows // size))
