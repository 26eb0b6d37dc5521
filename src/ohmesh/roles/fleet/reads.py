"""What a registry says of agents, sectors, clusters and the whole: the orchestrator's own, or a replica of it."""

from __future__ import annotations

import itertools
import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from ohmesh.model.fleet_operation import FleetView
from ohmesh.model.fleet_reading import ITSELF, AgentsPage, FleetDescription, ScopesPage, ScopeView, Source
from ohmesh.model.fleet_request import DescribeFleet, ListAgents, ListScopes
from ohmesh.ports.population import Rows
from ohmesh.protocols.membership.fleet_roles import NOBODY, FleetRoles
from ohmesh.registry.fields import fleet_schema
from ohmesh.registry.fleet.best import best_agents
from ohmesh.registry.fleet.liveness import ACTIVE, OFFLINE, READY, VACANT
from ohmesh.registry.fleet.part import Part
from ohmesh.registry.fleet.rollup import Summaries, roll_up
from ohmesh.registry.fleet.selection import select
from ohmesh.registry.fleet.table import FleetTable
from ohmesh.registry.fleet.view import view
from ohmesh.registry.selector import compile_selector

HEALTHY = 0.95

Read = ListAgents | ListScopes | DescribeFleet
READS = (ListAgents, ListScopes, DescribeFleet)


class Reading(msgspec.Struct, frozen=True):
    """One look at a fleet: its registry at mesh time `now_ms`, and what is known beside it."""

    fleet: FleetTable
    view: FleetView
    roles: FleetRoles
    mode: str
    now_ms: float
    source: Source = ITSELF

    def answer(self, question: Read) -> AgentsPage | ScopesPage | FleetDescription:
        """Raises InvalidSelector, NoCapableAgentError."""
        if isinstance(question, ListAgents):
            return self._agents(question)
        return self._scopes(question) if isinstance(question, ListScopes) else self.describe()

    def mask(self, where: str) -> NDArray[np.bool_]:
        """Which rows a selector means. Raises InvalidSelector."""
        selector = compile_selector(where, fleet_schema(self.fleet.classes.all))
        return select(self.fleet, selector, int(self.now_ms))

    def _agents(self, question: ListAgents) -> AgentsPage:
        fleet = self.fleet
        if question.best:
            among = self.mask(question.where) if question.where else None
            best = best_agents(fleet, question.needed, count=question.limit, among=among)
            return AgentsPage(tuple(view(fleet, row) for row in best.tolist()), len(best), source=self.source)
        rows: Rows = np.flatnonzero(fleet.columns.liveness != VACANT)
        if question.where:
            rows = rows[self.mask(question.where)[rows]]
        page = rows[rows > question.after][: question.limit]
        after = int(page[-1]) if len(page) and page[-1] != rows[-1] else -1
        shown = tuple(view(fleet, row) for row in page.tolist())
        return AgentsPage(shown, len(rows), after, self.source)

    def _scopes(self, question: ListScopes) -> ScopesPage:
        topology, roles = self.fleet.topology, self.roles
        summed = roll_up(self.fleet, int(self.now_ms))
        level, leads = (
            (summed.clusters, roles.leads) if question.clusters else (summed.sectors, roles.coordinators)
        )
        width = topology.agents if question.clusters else topology.sector_size
        present = (self.fleet.columns.liveness != VACANT).reshape(-1, width).sum(axis=1)
        of_sector = np.arange(len(present)) // (topology.clusters if question.clusters else 1)
        wanted = present > 0 if question.sector < 0 else (present > 0) & (of_sector == question.sector)
        shown = self._shown(
            level, np.flatnonzero(wanted), present, leads.astype(np.intp), is_cluster=question.clusters
        )
        return ScopesPage(shown, self.source)

    def _shown(
        self, level: Summaries, rows: Rows, present: Rows, leads: Rows, *, is_cluster: bool
    ) -> tuple[ScopeView, ...]:
        """Column by column, as a mesh has a thousand clusters."""
        clusters = self.fleet.topology.clusters
        parts = [str(Part(*divmod(at, clusters)) if is_cluster else Part(at)) for at in rows.tolist()]
        letter, width = ("a", self.fleet.topology.agents) if is_cluster else ("c", clusters)
        processes = self.roles.processes
        figures = (_figures(column[rows]) for column in (level.mean_lead_ms, level.p95_lead_ms))
        more = (_figures(column[rows]) for column in (level.p50_lead_ms, level.health))
        flagged = (column[rows].tolist() for column in (level.degraded, level.unstable, level.spike))
        outstanding = (
            [
                f"{part}.{letter}{number % width:02}" if number >= 0 else ""
                for part, number in zip(parts, column[rows].tolist(), strict=True)
            ]
            for column in (level.healthiest, level.sickest, level.fastest, level.slowest)
        )
        columns = (
            parts,
            present[rows].tolist(),
            level.able[rows].tolist(),
            *figures,
            [processes[place] if place != NOBODY else "" for place in leads[rows].tolist()],
            itertools.repeat(""),
            *more,
            *flagged,
            _figures(level.drift[rows]),
            *outstanding,
        )
        return tuple(itertools.starmap(ScopeView, zip(*columns, strict=False)))

    def describe(self) -> FleetDescription:
        """Without operations, of which only the orchestrator knows."""
        fleet, known = self.fleet, self.view
        columns, width = fleet.columns, fleet.topology.sector_size
        summed = roll_up(fleet, int(self.now_ms))
        mesh = summed.mesh
        present = columns.liveness != VACANT
        active = is_on_duty(columns.liveness, columns.duty)
        per_sector, on_duty = present.reshape(-1, width).sum(axis=1), active.reshape(-1, width).sum(axis=1)
        sectors = per_sector > 0
        names = [member.process for member in known.members if member.simulated]
        simulated = [code for name in names if (code := fleet.hosts.find(name)) is not None]
        return FleetDescription(
            agents=int(present.sum()),
            active=int(active.sum()),
            offline=int((columns.liveness == OFFLINE).sum()),
            sectors=int(sectors.sum()),
            healthy_sectors=int((on_duty[sectors] >= HEALTHY * per_sector[sectors]).sum()),
            mode=self.mode,
            impedance_p50_ms=_figure(mesh.p50_lead_ms[0]) or 0.0,
            impedance_p95_ms=_figure(mesh.p95_lead_ms[0]) or 0.0,
            impedance_mean_ms=_figure(mesh.mean_lead_ms[0]) or 0.0,
            hosts=tuple(member.process for member in known.members),
            orchestrator=known.orchestrator,
            era=known.era,
            view=known.revision,
            simulated=int(np.isin(columns.host[present], simulated).sum()) if simulated else 0,
            operations=0,
            shape=(fleet.topology.sectors, fleet.topology.clusters, fleet.topology.agents),
            now_us=int(self.now_ms * 1000),
            source=self.source,
            healthiest=_sector_name(mesh.healthiest),
            sickest=_sector_name(mesh.sickest),
            fastest=_sector_name(mesh.fastest),
            slowest=_sector_name(mesh.slowest),
        )


def _sector_name(numbers: Rows) -> str:
    """Of the mesh, which is one part."""
    return str(Part(int(numbers[0]))) if numbers[0] >= 0 else ""


def is_on_duty(liveness: NDArray[np.uint8], duty: NDArray[np.uint8]) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = (liveness == ACTIVE) & (duty == READY)
    return mask


def _figure(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 3)


def _figures(column: NDArray[np.float64]) -> list[float | None]:
    return [None if math.isnan(value) else value for value in column.round(3).tolist()]
