"""A sector does not answer: looked at from two places, its coordinator replaced, its leads tried one by one, its agents
started elsewhere, and the rest routed around. What is in order is left alone, so it can be done again at any time."""

from __future__ import annotations

import asyncio

from ohmesh.errors import OhmeshError
from ohmesh.model.agent import Duty
from ohmesh.model.fleet_care import (
    Grow,
    LookAtSector,
    Replaced,
    ReplaceProcess,
    SectorSight,
    Sight,
    StillHere,
)
from ohmesh.model.fleet_message import Verb
from ohmesh.model.fleet_reading import AgentsPage, FleetDescription, ScopesPage
from ohmesh.model.fleet_request import DescribeFleet, ListAgents, ListScopes, OperationView, StartOperation
from ohmesh.model.priority import Priority
from ohmesh.model.state_order import ChangeDuty, encode_state_order
from ohmesh.model.topology import parse_place
from ohmesh.operations.runbook import Procedure, RunbookReport, Seen, attention, ok, skipped
from ohmesh.operations.runbook_arguments import SilentSector
from ohmesh.roles.client import Client

ANSWER_MS = 1_500.0
ENOUGH = 0.95
BACK_S = 2.0
LOOK_S = 0.1
GROW_S = 10.0
PAGE = 1_000


class SectorCare:
    def __init__(self, client: Client, sector: int, shape: tuple[int, int]) -> None:
        """shape: clusters of a sector, agents of a cluster."""
        self._fleet = client.fleet
        self._sector = sector
        self._shape = shape
        self._sight = SectorSight("", is_elsewhere=False)
        self._answers: OperationView | None = None

    async def run(self, procedure: Procedure) -> None:
        name = f"s{self._sector:03}"
        for step, purpose, work in (
            ("first vantage point", f"ping {name} as the orchestrator reaches it", self._first_look),
            (
                "second vantage point",
                "let a node ask each process of the sector by itself",
                self._second_look,
            ),
            (
                "backup coordinator",
                "give up processes that are silent; others take their roles",
                self._take_over,
            ),
            ("leads", f"ping the clusters of {name} one by one", self._leads),
            (
                "agents",
                "start simulated agents of silent processes in others; wait for those of users",
                self._move,
            ),
            (
                "breaker",
                f"route around {name} if too few answer, and send to it again if enough do",
                self._route,
            ),
            ("report", f"show {name} as it is now", self._show),
        ):
            await procedure.do(step, purpose, work)

    @property
    def _is_well(self) -> bool:
        return self._answers is not None and self._answers.targets > 0 and self._answers.rate >= ENOUGH

    @property
    def _silent(self) -> list[Sight]:
        return [one for one in self._sight.sights if one.answered_ms is None]

    async def _first_look(self) -> Seen:
        self._answers = view = await self._ping(f"sector={self._sector}")
        evidence = f"{view.ready} of {view.targets} agents answered within {view.elapsed_ms:.0f} ms"
        if not view.targets:
            return attention("nobody lives there")
        return ok(evidence) if self._is_well else attention(evidence, *view.stragglers)

    async def _second_look(self) -> Seen:
        self._sight = sight = await self._fleet.ask(LookAtSector(self._sector), SectorSight)
        where = f"seen from {sight.node}" + ("" if sight.is_elsewhere else ", the orchestrator's own node")
        details = [
            f"{one.process}: {'silent' if one.answered_ms is None else f'{one.answered_ms:.0f} ms'}"
            for one in sight.sights
        ]
        if self._silent:
            return attention(
                f"{len(self._silent)} of {len(sight.sights)} processes are silent, {where}", *details
            )
        return ok(f"all {len(sight.sights)} processes answer, {where}", *details)

    async def _take_over(self) -> Seen:
        if not self._silent:
            return skipped("no process of the sector is silent")
        before = next((one.process for one in self._sight.sights if one.coordinates), "nobody")
        replaced = [
            await self._fleet.ask(ReplaceProcess(one.process), Replaced, timeout_s=BACK_S)
            for one in self._silent
        ]
        lead = await self._lead_other_than({one.process for one in self._silent})
        given_up = ", ".join(one.process for one in replaced)
        if not lead:
            return attention(f"{given_up} was given up; nobody else coordinates the sector")
        kept = "coordinates still" if lead == before else f"coordinates in place of {before}"
        return ok(f"{given_up} was given up; {lead} {kept}")

    async def _leads(self) -> Seen:
        if self._is_well and not self._silent:
            return skipped("the sector answers")
        page = await self._fleet.ask(ListScopes(clusters=True, sector=self._sector), ScopesPage)
        details, well = [], 0
        for one in page.scopes:
            cluster = int(one.scope.rpartition(".c")[2])
            view = await self._ping(f"sector={self._sector} and cluster={cluster}")
            is_well = view.targets > 0 and view.rate >= ENOUGH and view.coverage >= ENOUGH
            well += is_well
            details.append(f"{one.scope}: {view.ready} of {view.targets}, led by {one.lead or 'nobody'}")
        evidence = f"{well} of {len(page.scopes)} clusters answer"
        return ok(evidence, *details) if well == len(page.scopes) else attention(evidence, *details)

    async def _move(self) -> Seen:
        fleet = await self._fleet.ask(DescribeFleet(), FleetDescription)
        silent = {one.process for one in self._silent}
        homeless = await self._homeless(silent)
        if not homeless:
            return skipped("no agent of the sector has lost its process")
        if not fleet.simulated:
            return attention(
                f"{len(homeless)} agents are their owners'; they join again by themselves", *homeless
            )
        rows = self._rows(homeless)
        for process in [name for name in fleet.hosts if name not in silent]:
            try:
                await self._fleet.ask_process(process, Grow(rows), StillHere, timeout_s=GROW_S)
            except OhmeshError:  # it is silent too, or simulates nobody
                continue
            return ok(f"{len(homeless)} simulated agents were started in {process}", *homeless)
        return attention(f"no process could take {len(homeless)} agents", *homeless)

    async def _route(self) -> Seen:
        if self._is_well and not self._silent:
            return skipped("the sector answers")
        self._answers = view = await self._ping(f"sector={self._sector}")
        evidence = f"{view.ready} of {view.targets} agents answer"
        if view.coverage >= ENOUGH and view.rate >= ENOUGH:
            return ok(f"{evidence}; nothing is routed around it")
        order = encode_state_order(ChangeDuty(Duty.QUARANTINED))
        await self._fleet.ask(self._request("avoid", f"sector={self._sector}", order), OperationView)
        return attention(
            f"{evidence}; it is routed around: ohmesh release s{self._sector:03} takes that back"
        )

    async def _show(self) -> Seen:
        page = await self._fleet.ask(ListScopes(), ScopesPage)
        one = next((one for one in page.scopes if one.scope == f"s{self._sector:03}"), None)
        if one is None:
            return attention("nobody lives there")
        evidence = f"{one.active} of {one.agents} agents active, coordinated by {one.lead or 'nobody'}"
        return ok(evidence) if one.active >= ENOUGH * one.agents and one.lead else attention(evidence)

    # Inside

    async def _ping(self, where: str) -> OperationView:
        return await self._fleet.ask(self._request("ping", where, b""), OperationView)

    def _request(self, what: str, where: str, payload: bytes) -> StartOperation:
        return StartOperation(
            operation=self._fleet.new_id(),
            what=what,
            verb=Verb.SYNC if payload else Verb.OBSERVE,
            payload=payload,
            where=where,
            timeout_ms=ANSWER_MS,
            rate=1.0,
            priority=Priority.CRITICAL,
            approved=True,
        )

    async def _lead_other_than(self, silent: set[str]) -> str:
        """Who coordinates the sector, once it is none of those; "" where nobody does in time."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + BACK_S
        while loop.time() < deadline_s:
            lead = await self._scope()
            if lead and lead not in silent:
                return lead
            await asyncio.sleep(LOOK_S)
        return ""

    async def _scope(self) -> str:
        """Who coordinates it."""
        page = await self._fleet.ask(ListScopes(), ScopesPage)
        return next((one.lead for one in page.scopes if one.scope == f"s{self._sector:03}"), "")

    async def _homeless(self, silent: set[str]) -> list[str]:
        """Agents that are offline, or whose process is silent."""
        found: list[str] = []
        after = -1
        while True:
            page = await self._fleet.ask(ListAgents(f"sector={self._sector}", PAGE, after), AgentsPage)
            found += [one.agent for one in page.agents if one.host in silent or one.liveness == "offline"]
            if page.after < 0:
                return found
            after = page.after

    def _rows(self, agents: list[str]) -> tuple[tuple[int, int], ...]:
        """(first row, count) of each; a process puts them together."""
        clusters, width = self._shape
        places = map(parse_place, agents)
        return tuple(
            (((place.sector * clusters) + place.cluster) * width + place.number, 1) for place in places
        )


async def silent_sector(client: Client, arguments: SilentSector) -> RunbookReport:
    procedure = Procedure("sector", arguments.sector, is_dry_run=arguments.dry_run)
    fleet = await client.fleet.ask(DescribeFleet(), FleetDescription)
    await SectorCare(client, arguments.number, fleet.shape[1:]).run(procedure)
    return procedure.report()
