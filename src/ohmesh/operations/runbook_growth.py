"""N more agents: planned into the sectors with the fewest, started or waited for, and let in step by step.

The plan is kept by its key, so a procedure that was interrupted goes on with the same places, and is done once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from ohmesh.errors import EngineUnavailable
from ohmesh.model.conflict_request import MAX_LISTED_CONFLICTS, ConflictsPage, ListConflicts
from ohmesh.model.fleet_care import Grow, PlacesPlan, PlanPlaces, StillHere
from ohmesh.model.fleet_message import Verb
from ohmesh.model.fleet_reading import AgentsPage, FleetDescription
from ohmesh.model.fleet_request import DescribeFleet, ListAgents, OperationView, StartOperation
from ohmesh.model.priority import Priority
from ohmesh.model.topology import Topology
from ohmesh.operations.runbook import (
    Procedure,
    RunbookReport,
    Seen,
    StepOutcome,
    attention,
    not_set_up,
    ok,
    skipped,
)
from ohmesh.operations.runbook_arguments import AddAgents
from ohmesh.roles.client import Client

LOOK_S = 0.2
GROW_S = 30.0
ANSWER_MS = 5_000.0
RAMP = (0.1, 0.5, 1.0)
ENOUGH = 0.95
PAGE = 1_000
NAMED = 20


class Newcomers:
    def __init__(self, client: Client, arguments: AddAgents, key: str, topology: Topology) -> None:
        self._fleet = client.fleet
        self._given = arguments
        self._key = key
        self._topology = topology
        self._plan = PlacesPlan((), 0, 0, 0)
        self._conflicts_before = 0

    async def run(self, procedure: Procedure) -> None:
        count = self._given.count
        start = (
            "wait for them to join" if self._given.own else "start them in the processes that simulate agents"
        )
        steps: Sequence[tuple[str, str, Callable[[], Awaitable[Seen]]]] = (
            ("keys", "see who vouches for them", self._keys),
            (
                "places",
                f"plan {count} places where there are the fewest, filling clusters first",
                self._places,
            ),
            ("start", start, self._start),
            (
                "heartbeats",
                f"wait until all {count} are heard of, {self._given.wait_s:g} s at most",
                self._heard,
            ),
            ("profiles", "wait until what they say of themselves is steady", self._steady),
            (
                "routing ramp",
                "ask a tenth, half and all of them; each part has to answer before the next",
                self._ramp,
            ),
            ("conflicts", "look whether they have brought new ones", self._conflicts),
        )
        for step, purpose, work in steps:
            seen = await procedure.do(step, purpose, work)
            if seen.outcome is StepOutcome.FAILED:
                break

    async def _keys(self) -> Seen:
        page = await self._fleet.ask(ListConflicts(limit=1), ConflictsPage)
        self._conflicts_before = page.open
        return not_set_up("agents have no keys of their own yet; the key of their process vouches for them")

    async def _places(self) -> Seen:
        plan = self._plan = await self._fleet.ask(PlanPlaces(self._key, self._given.count), PlacesPlan)
        where = f"{plan.sectors} sectors: {plan.filled} clusters filled, {plan.created} created"
        return ok(f"{self._given.count} places in {where}", *self._names()[:NAMED])

    async def _start(self) -> Seen:
        if self._given.own:
            return ok("the places are yours for an hour; start your agents there", *self._names()[:NAMED])
        if not self._plan.hosts:
            return attention("no process simulates agents; for agents of your own say --own")
        parts: dict[str, list[tuple[int, int]]] = {host: [] for host in self._plan.hosts}
        for at, span in enumerate(self._plan.spans):
            parts[self._plan.hosts[at % len(self._plan.hosts)]].append(span)
        started = []
        for host, spans in parts.items():
            if spans:
                try:
                    await self._fleet.ask_process(host, Grow(tuple(spans)), StillHere, timeout_s=GROW_S)
                except EngineUnavailable as error:
                    return attention(
                        f"{host} did not start its part ({error.message}); say the key again to go on"
                    )
                started.append(f"{host}: {sum(count for _, count in spans)}")
        return ok(f"simulated agents were started in {len(started)} processes", *started)

    async def _heard(self) -> Seen:
        missing = await self._until("state=active and state=ready", self._given.wait_s)
        if not missing:
            return ok(f"all {self._given.count} are active")
        return attention(f"{len(missing)} of {self._given.count} are not heard of", *missing)

    async def _steady(self) -> Seen:
        missing = await self._until(
            "state=active and not flag=unstable and not flag=spike", self._given.wait_s
        )
        if not missing:
            return ok("none is unstable, none has spiked")
        return attention(f"{len(missing)} are not steady", *missing)

    async def _ramp(self) -> Seen:
        names = await self._there()
        if not names:
            return skipped("nobody is there to be asked")
        told = []
        for share in RAMP:
            part = names[: max(1, round(share * len(names)))]
            ready = 0
            for at in range(0, len(part), 200):  # a list in a selector has a bound
                request = StartOperation(
                    operation=self._fleet.new_id(),
                    what="ping",
                    verb=Verb.OBSERVE,
                    where=f"agent in ({', '.join(part[at : at + 200])})",
                    timeout_ms=ANSWER_MS,
                    rate=1.0,
                    priority=Priority.HIGH,
                    approved=True,
                )
                ready += (await self._fleet.ask(request, OperationView)).ready
            told.append(f"{ready} of {len(part)}")
            if ready < ENOUGH * len(part):
                return attention(f"stopped at {share:.0%}: {', '.join(told)} answered")
        return ok(f"{', '.join(told)} answered")

    async def _conflicts(self) -> Seen:
        page = await self._fleet.ask(ListConflicts(limit=MAX_LISTED_CONFLICTS), ConflictsPage)
        new = set(self._names())
        theirs = [one.id for one in page.conflicts if new & set(one.agents)]
        evidence = f"{page.open} open, {self._conflicts_before} before"
        return (
            attention(f"{len(theirs)} are theirs; {evidence}", *theirs)
            if theirs
            else ok(f"none is theirs; {evidence}")
        )

    # Inside

    def _names(self) -> list[str]:
        return [
            str(self._topology.place(row))
            for first, count in self._plan.spans
            for row in range(first, first + count)
        ]

    async def _there(self, where: str = "state=active") -> list[str]:
        """Of the planned ones, those that a selector means."""
        wanted, found, after = set(self._names()), [], -1
        sectors = sorted({name[1:4] for name in wanted})
        selector = f"sector in ({', '.join(str(int(one)) for one in sectors)}) and {where}"
        while True:
            page = await self._fleet.ask(ListAgents(selector, PAGE, after), AgentsPage)
            found += [one.agent for one in page.agents if one.agent in wanted]
            if page.after < 0:
                return found
            after = page.after

    async def _until(self, where: str, wait_s: float) -> list[str]:
        """Those for whom it does not hold after that time."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + wait_s
        while True:
            missing = sorted(set(self._names()) - set(await self._there(where)))
            if not missing or loop.time() >= deadline_s:
                return missing
            await asyncio.sleep(LOOK_S)


async def add_agents(client: Client, arguments: AddAgents) -> RunbookReport:
    key = arguments.key or client.fleet.new_id()
    procedure = Procedure("add-agents", str(arguments.count), is_dry_run=arguments.dry_run, key=key)
    fleet = await client.fleet.ask(DescribeFleet(), FleetDescription)
    await Newcomers(client, arguments, key, Topology(*fleet.shape)).run(procedure)
    return procedure.report()
