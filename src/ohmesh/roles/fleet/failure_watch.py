"""What is done about agents that fail, by the class of their failure (policies.failure_class).

    TRANSIENT_NETWORK    asked again, later and later; told at the third timeout in a row
    IMPEDANCE_SPIKE      not among the best, so work goes around it; told when two of a cluster have it
    AGENT_CRASH          its process begins it anew and gives it its context; told when it is silent again after that
    CASCADE_FAILURE      its sector is isolated by its breaker, and told

CONTEXT_CORRUPTION and BYZANTINE_BEHAVIOR show as conflicts: quarantine, known good context and evidence are those of
the conflict desk. A whole process that is gone is not its agents' failure: its node begins it anew.

An agent is silent from the first message that it did not answer. Its own heartbeats are its process's, and say nothing
of it. In mode EMERGENCY nothing is done.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from ohmesh.errors import EngineError, InvalidArgument
from ohmesh.model.fleet_failure import FailureLine, FailuresPage
from ohmesh.model.fleet_message import Verb
from ohmesh.model.fleet_request import StartOperation
from ohmesh.model.heartbeat import HEARTBEAT_PROFILES
from ohmesh.model.priority import Priority
from ohmesh.model.state_order import HealState, How, decode_state_order, encode_state_order
from ohmesh.policies.degradation import Mode
from ohmesh.policies.failure_class import (
    RESPONSES,
    Evidence,
    FailureClass,
    History,
    classify_agents,
    find_cascades,
    treat,
)
from ohmesh.ports.population import Rows
from ohmesh.protocols.arrival.report import name_rows
from ohmesh.protocols.membership.fleet_roles import NOBODY
from ohmesh.registry.fleet.liveness import ACTIVE
from ohmesh.registry.fleet.part import Part
from ohmesh.roles.fleet.places import spans_of
from ohmesh.roles.fleet.region_guard import RegionGuard

if TYPE_CHECKING:
    from ohmesh.roles.fleet.orchestrator import Orchestrator

LOOK_S = 1.0
RETRY_MS = 2_000.0
MOST_RETRY_MS = 60_000.0
RETRY_TIMEOUT_MS = 5_000.0
WINDOW_MS = 60_000.0
SHOWN = 200
NOT_RESTARTED = -1


class FailureWatch:
    """Of one orchestrator."""

    def __init__(self, orchestrator: Orchestrator, guard: RegionGuard) -> None:
        size, sectors = orchestrator.registry.topology.size, orchestrator.registry.topology.sectors
        self._of = orchestrator
        self._guard = guard
        self._found = np.zeros(size, np.uint8)
        self._retry_ms = np.zeros(size, np.float64)
        self._restarted_at = np.full(
            size, NOT_RESTARTED
        )  # how many timeouts there were then, in this silence
        self._told = np.zeros(size, np.uint8)  # the class that was told further up
        self._windows: deque[NDArray[np.int64]] = deque([np.zeros(sectors, np.int64)], maxlen=4)
        self._window_ms = 0.0
        self._orders = 0

    async def run(self) -> None:
        """Until it is cancelled."""
        self._window_ms = self._of.now_ms() + WINDOW_MS
        while True:
            await asyncio.sleep(LOOK_S)
            self._look()

    def _look(self) -> None:
        now_ms = self._of.now_ms()
        self._found = self._classified(now_ms)
        is_well = self._guard.timeouts == 0
        self._restarted_at[is_well] = NOT_RESTARTED
        self._retry_ms[is_well] = 0.0
        self._told[self._found == FailureClass.NONE] = FailureClass.NONE
        if self._of.mode is Mode.EMERGENCY:
            return
        self._retry(now_ms)
        self._restart()
        self._escalate()
        if now_ms >= self._window_ms:
            self._window_ms = now_ms + WINDOW_MS
            self._judge_sectors()

    def _classified(self, now_ms: float) -> NDArray[np.uint8]:
        columns = self._of.registry.columns
        since_ms = self._guard.silent_since_ms
        none = np.zeros(len(since_ms), np.uint64)
        evidence = Evidence(
            timeouts=self._guard.timeouts,
            silent_ms=np.where(since_ms > 0, now_ms - since_ms, 0.0),
            death_ms=_DEATH_MS[columns.profile],
            impedance_ms=columns.lead_ms.astype(np.float64),
            average_ms=columns.average_ms.astype(np.float64),
            context_hash=none,
            wanted_hash=none,
            contradicted=np.zeros(len(since_ms), np.int64),
        )
        found = classify_agents(evidence)
        found[columns.liveness != ACTIVE] = FailureClass.NONE
        return found

    # Remedies

    def _retry(self, now_ms: float) -> None:
        """All that are due, in one message; each time twice as long is waited."""
        is_silent = (self._found == FailureClass.TRANSIENT_NETWORK) | (
            self._found == FailureClass.AGENT_CRASH
        )
        begun = is_silent & (self._retry_ms == 0)
        self._retry_ms[begun] = now_ms + RETRY_MS
        rows = np.flatnonzero(is_silent & (self._retry_ms <= now_ms) & self._is_reachable())
        if len(rows):
            waited_ms = RETRY_MS * 2.0 ** np.minimum(self._guard.timeouts[rows], 10)
            self._retry_ms[rows] = now_ms + np.minimum(waited_ms, MOST_RETRY_MS)
            self._begin("retry", b"", rows)

    def _restart(self) -> None:
        is_due = (self._found == FailureClass.AGENT_CRASH) & (self._restarted_at == NOT_RESTARTED)
        is_due &= self._is_reachable()
        rows = np.flatnonzero(is_due)
        if len(rows):
            self._restarted_at[rows] = self._guard.timeouts[rows]
            self._of.notice(
                f"{_named(rows, self._of)} did not answer for so long that their process begins them anew."
            )
            self._of.begin_task(self._heal(rows), "agents begun anew")

    async def _heal(self, rows: Rows) -> None:
        wish = encode_state_order(HealState(how=How.RESTART))
        try:
            prepared = await self._of.states.prepare(self._request("restart", wish))
            order = decode_state_order(prepared.payload)
            assert isinstance(order, HealState)
            order = msgspec.structs.replace(order, restart=spans_of(rows))
            request = msgspec.structs.replace(prepared, payload=encode_state_order(order))
            await self._of.conductor.order(request, rows)
            self._retry_ms[rows] = self._of.now_ms()  # whether it helped is asked at once
        except (EngineError, InvalidArgument) as error:
            self._of.notice(f"{_named(rows, self._of)} could not be begun anew: {error}")

    def _judge_sectors(self) -> None:
        self._windows.append(self._guard.failures.copy())
        if len(self._windows) < self._windows.maxlen:  # type: ignore[operator]  # it has one
            return
        totals = np.stack(self._windows, axis=1)
        counted = totals[:, 1:] - totals[:, :-1]
        for sector in np.flatnonzero(find_cascades(counted)).tolist():
            grown = ", ".join(str(count) for count in counted[sector].tolist())
            self._of.notice(
                f"Failures of {Part(sector)} grow as in a cascade ({grown} in the last three minutes): it is isolated. "
                f"`ohmesh fleet close-breaker {Part(sector)}` lets it in again."
            )
            self._guard.isolate(sector)

    # Telling

    def _escalate(self) -> None:
        registry = self._of.registry
        clusters = np.arange(len(self._found)) // registry.topology.agents
        for failure in (
            FailureClass.TRANSIENT_NETWORK,
            FailureClass.IMPEDANCE_SPIKE,
            FailureClass.AGENT_CRASH,
        ):
            has = self._found == failure
            rows = np.flatnonzero(has & (self._told != failure))
            if not len(rows):
                continue
            in_cluster = np.bincount(clusters[has], minlength=int(clusters[-1]) + 1)[clusters[rows]]
            is_due = np.array(
                [
                    (treatment := treat(failure, history)) is not None and treatment.escalate_to is not None
                    for history in self._histories(rows, in_cluster)
                ]
            )
            due = rows[is_due]
            if len(due):
                self._told[due] = failure
                self._of.notice(
                    f"{failure.name}: {_named(due, self._of)}. `ohmesh fleet failures` says more."
                )

    def _histories(self, rows: Rows, in_cluster: NDArray[np.int64]) -> list[History]:
        """Few: those that fail and were not told yet. Of two timeouts after it was begun anew one may be older."""
        times, restarted_at = self._guard.timeouts[rows], self._restarted_at[rows]
        failed = (restarted_at != NOT_RESTARTED) & (times >= restarted_at + 2)
        columns = zip(times.tolist(), in_cluster.tolist(), failed.tolist(), strict=True)
        return [History(times, crowd, int(has_failed)) for times, crowd, has_failed in columns]

    def page(self) -> FailuresPage:
        now_ms, rows = self._of.now_ms(), np.flatnonzero(self._found)
        order = rows[np.argsort(-self._found[rows].astype(np.int64), kind="stable")][:SHOWN]
        lines = []
        for agent, row in zip(name_rows(order, self._of.registry.topology), order.tolist(), strict=True):
            failure = FailureClass(int(self._found[row]))
            since_ms = self._guard.silent_since_ms[row]
            response = RESPONSES[failure]
            lines.append(
                FailureLine(
                    agent=agent,
                    failure=failure.name,
                    since_s=round(float(now_ms - since_ms) / 1000, 1) if since_ms else 0.0,
                    timeouts=int(self._guard.timeouts[row]),
                    remedies=tuple(one.value for one in response.remedies),
                    told=response.to.value if self._told[row] == failure else "",
                )
            )
        codes, counts = np.unique(self._found[rows], return_counts=True)
        named = {FailureClass(int(code)).name: int(count) for code, count in zip(codes, counts, strict=True)}
        return FailuresPage(lines=tuple(lines), counts=named)

    # Orders

    def _is_reachable(self) -> NDArray[np.bool_]:
        reachable: NDArray[np.bool_] = self._of.roles.homes != NOBODY
        return reachable

    def _begin(self, what: str, payload: bytes, rows: Rows) -> None:
        self._of.begin_task(self._order(self._request(what, payload), rows), what)

    async def _order(self, request: StartOperation, rows: Rows) -> None:
        try:
            await self._of.conductor.order(request, rows)
        except (EngineError, InvalidArgument) as error:
            self._of.notice(f"{request.what} of {_named(rows, self._of)} could not be begun: {error}")

    def _request(self, what: str, payload: bytes) -> StartOperation:
        self._orders += 1
        return StartOperation(
            operation=f"{what}-{self._of.era}-{self._orders}",
            what=what,
            verb=Verb.SYNC if payload else Verb.OBSERVE,
            payload=payload,
            timeout_ms=RETRY_TIMEOUT_MS,
            rate=1.0,
            priority=Priority.CRITICAL,
        )


_DEATH_MS = np.array([one.dead_ms for one in HEARTBEAT_PROFILES], np.float64)


def _named(rows: Rows, of: Orchestrator) -> str:
    few = ", ".join(name_rows(rows[:3], of.registry.topology))
    return few if len(rows) <= 3 else f"{few} and {len(rows) - 3} more"
