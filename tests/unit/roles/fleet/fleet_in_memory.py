"""A fleet in virtual time: an orchestrator, processes of simulated agents with wrong clocks, a client."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import numpy as np

from ohmesh.engines.memory.cluster import MemoryCluster, MemoryEngine
from ohmesh.errors import Fenced, OhmeshError
from ohmesh.handlers.simulated_agents import SimulatedAgents, Unfit, standard_mix
from ohmesh.handlers.simulated_faults import Declared, Origins
from ohmesh.model.agent_class import AgentClasses
from ohmesh.model.fleet_reading import FleetDescription
from ohmesh.model.fleet_request import (
    Answer,
    DescribeFleet,
    FleetQuestion,
    GetOperation,
    OperationView,
    StartOperation,
)
from ohmesh.model.subject import Subjects
from ohmesh.model.topology import Topology
from ohmesh.ports.population import Population, Rows
from ohmesh.roles.client_config import ClientConfig
from ohmesh.roles.client_fleet import FleetRequests
from ohmesh.roles.fleet.config import FleetPorts, Seat
from ohmesh.roles.fleet.follower import Follower
from ohmesh.roles.fleet.host import After, FleetHost
from ohmesh.roles.fleet.host_door import HostDoor
from ohmesh.roles.fleet.orchestrator import Orchestrator, OrchestratorPorts
from ohmesh.roles.fleet.origins import enrol_origin
from ohmesh.simulator.clock import SimulatedClock
from ohmesh.simulator.entropy import SimulatedEntropy
from ohmesh.simulator.run import run_virtual
from ohmesh.trust.identity import Identity
from ohmesh.trust.key_ring import KeyRing
from tests.unit.simulator.passing_time import pass_time

Outcome = TypeVar("Outcome")

TOPOLOGY = Topology(4, 3, 10)
SUBJECTS = Subjects("test")
SKEWS_MS = (50.0, -50.0, 20.0, -20.0)
DRIFT_PPM = 50.0
SENSOR, RELAY = Identity.from_seed("sensor", b"s" * 32), Identity.from_seed("relay", b"r" * 32)


def seat_of(name: str, topology: Topology) -> Seat:
    return Seat(name, SUBJECTS, topology)


class Fleet:
    """`cuts`: rows at which one process ends and the next begins. people: other agents than simulated ones."""

    def __init__(
        self,
        cuts: tuple[int, ...] = (0, 60, 120),
        *,
        topology: Topology = TOPOLOGY,
        unfit: Unfit | None = None,
        people: Callable[[Rows, After], Population] | None = None,
        keys: KeyRing | None = None,
    ) -> None:
        self.cluster = MemoryCluster()
        self.topology = topology
        self.orchestrators: list[Orchestrator] = []
        self.hosts: dict[str, FleetHost] = {}
        self.populations: dict[str, tuple[SimulatedAgents, Rows]] = {}
        self.ready: dict[str, dict[int, float]] = {}
        self.notices: list[str] = []
        self._unfit = unfit
        self._people = people
        self._keys = keys
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._spans = [(first, end - first) for first, end in itertools.pairwise(cuts)]
        self._ids = 0
        self._grown = 0
        bus = self.cluster.connect("client").bus
        self.requests = FleetRequests(
            bus, SUBJECTS, config=ClientConfig(), client="client", new_id=self.new_id
        )

    def new_id(self) -> str:
        self._ids += 1
        return f"operation-{self._ids}"

    async def start(self) -> None:
        self.start_orchestrator(term=1)
        for number in range(len(self._spans)):
            self.start_host(number)
        for origin in (SENSOR, RELAY) if self._unfit is not None else ():
            await enrol_origin(self.cluster.connect("origins").state, origin)
        for host in self.hosts.values():
            await asyncio.wait_for(host.joined(), 10)
        await pass_time(3.0)  # clocks have been compared

    def start_orchestrator(self, term: int, *, beside: Follower | None = None) -> None:
        """beside: the replica of the same node."""
        engine = self.cluster.connect(f"node-{term}")
        ports = OrchestratorPorts(
            engine.bus,
            engine.state,
            engine.blobs,
            SimulatedClock(asyncio.get_running_loop()),
            SimulatedEntropy(term, "orchestrator"),
            engine.log,
        )
        orchestrator = Orchestrator(ports, Seat(f"node-{term}", SUBJECTS, self.topology), keys=self._keys)
        orchestrator.notice = self.notices.append
        if beside is not None:
            orchestrator.inherited = beside.known
        self.orchestrators.append(orchestrator)
        self._tasks[f"node-{term}"] = asyncio.create_task(orchestrator.run(term))

    async def start_follower(self, name: str) -> Follower:
        """A node that keeps a replica of the registry; returns once it knows something."""
        engine = self.cluster.connect(name)
        clock = SimulatedClock(asyncio.get_running_loop(), offset_ms=SKEWS_MS[0], drift_ppm=DRIFT_PPM)
        follower = Follower(engine.bus, clock, Seat(name, SUBJECTS, self.topology))
        follower.notice = self.notices.append
        self._tasks[name] = asyncio.create_task(follower.run())
        async with asyncio.timeout(5):
            while follower.known() is None:
                await pass_time(0.1)
        return follower

    def start_host(self, number: int) -> FleetHost:
        name = f"host-{number}"
        first, count = self._spans[number]
        engine = self.cluster.connect(name)
        loop = asyncio.get_running_loop()
        clock = SimulatedClock(loop, offset_ms=SKEWS_MS[number % 4], drift_ppm=DRIFT_PPM)

        def population(after: After) -> Population:
            rows = np.arange(first, first + count)
            if self._people is not None:
                return self._people(rows, after)
            agents = SimulatedAgents(
                rows,
                AgentClasses(),
                after,
                rng=random.Random(number),
                unfit=self._unfit,
            )
            agents.faults.declared = self._declared(rows)
            self.populations[name] = agents, rows
            return agents

        ports = FleetPorts(engine.bus, clock, SimulatedEntropy(number, name), engine.blobs)
        host = FleetHost(ports, population, Seat(name, SUBJECTS, self.topology))
        host.watch_readiness(self._witness)
        self.hosts[name] = host
        self._tasks[name] = asyncio.create_task(self._serve(engine, host, seat_of(name, self.topology)))
        return host

    def _declared(self, rows: Rows) -> Declared:
        classes, codes = AgentClasses(), standard_mix(rows, AgentClasses())
        return Declared(
            lambda row: str(self.topology.place(row)),
            lambda place: classes.all[codes[place]].capabilities[0],
            Origins(SUBJECTS.mesh, SENSOR, RELAY),
        )

    async def _serve(self, engine: MemoryEngine, host: FleetHost, seat: Seat) -> None:
        """The host, and its door; agents that it is asked to start live in hosts beside it."""
        async with asyncio.TaskGroup() as group:

            async def grow(rows: Rows) -> None:
                self._grown += 1
                name = f"{seat.name}-{self._grown}"

                def population(after: After) -> Population:
                    return SimulatedAgents(rows, AgentClasses(), after, rng=random.Random(name))

                clock = SimulatedClock(asyncio.get_running_loop())
                ports = FleetPorts(engine.bus, clock, SimulatedEntropy(0, name), engine.blobs)
                beside = FleetHost(ports, population, seat_of(name, self.topology))
                beside.watch_readiness(self._witness)
                group.create_task(beside.run())
                group.create_task(HostDoor(engine.bus, seat_of(name, self.topology), start=grow).run())
                await beside.joined()

            group.create_task(HostDoor(engine.bus, seat, start=grow).run())
            await host.run()

    async def kill(self, name: str) -> None:
        """It says nothing any more, from this moment on."""
        self.cluster.crash(name)
        await self.end(name)

    async def end(self, name: str) -> None:
        """It is told to stop, and does so in its own time."""
        task = self._tasks.pop(name)
        task.cancel()
        with suppress(asyncio.CancelledError, OhmeshError):
            await task

    async def ask(self, question: FleetQuestion, kind: type[Answer], *, timeout_s: float = 20.0) -> Answer:
        return await self.requests.ask(question, kind, timeout_s=timeout_s)

    async def describe(self) -> FleetDescription:
        return await self.ask(DescribeFleet(), FleetDescription)

    async def operate(self, what: str = "ping", **how: object) -> OperationView:
        request = StartOperation(operation=self.new_id(), what=what, **how)  # type: ignore[arg-type]
        return await self.ask(request, OperationView)

    async def states(self, operation: str) -> dict[str, str]:
        shown = await self.ask(GetOperation(operation, agents=True), OperationView)
        return dict(zip(shown.agents, shown.states, strict=True))

    async def stop(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        ends = await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception) and not isinstance(end, Fenced):
                raise end  # a role that ended by itself is what a test should tell

    def _witness(self, operation: str, rows: Rows) -> None:
        """True time, which no process of the fleet reads."""
        now_s = asyncio.get_running_loop().time()
        self.ready.setdefault(operation, {}).update(dict.fromkeys(rows.tolist(), now_s))


def with_fleet(story: Callable[[Fleet], Awaitable[Outcome]], **how: object) -> Outcome:
    async def main() -> Outcome:
        fleet = Fleet(**how)  # type: ignore[arg-type]
        await fleet.start()
        try:
            return await story(fleet)
        finally:
            await fleet.stop()

    return run_virtual(main)


def is_accounted_for(view: OperationView) -> bool:
    """The states of the targets sum to the targets."""
    parts = view.ready + view.conflict + view.transit + view.skipped + view.unreachable + view.pending
    return parts == view.targets
