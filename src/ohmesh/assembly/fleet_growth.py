"""More simulated agents in a process of a demo fleet that runs already."""

from __future__ import annotations

import asyncio

import numpy as np

from ohmesh.assembly.system import SystemEntropy
from ohmesh.config import Config
from ohmesh.engines.nats.engine import NatsEngine
from ohmesh.handlers.simulated_agents import SimulatedAgents
from ohmesh.model.agent_class import AgentClasses
from ohmesh.ports.clock import Clock
from ohmesh.ports.population import Population, Rows
from ohmesh.roles.fleet.config import FleetHostConfig, FleetPorts, Seat
from ohmesh.roles.fleet.host import After, FleetHost
from ohmesh.roles.fleet.host_door import HostDoor


class Growth:
    """Hosts beside that of the process itself, which end with it."""

    def __init__(self, engine: NatsEngine, clock: Clock, seat: Seat, config: Config) -> None:
        self.tasks: list[asyncio.Task[None]] = []
        self._engine = engine
        self._clock = clock
        self._seat = seat
        self._config = config
        self._rows: Rows = np.empty(0, np.int64)

    async def start(self, rows: Rows) -> None:
        """Return once they have joined; those that were started already stay as they are."""
        fresh = np.setdiff1d(rows, self._rows)
        if not len(fresh):
            return
        self._rows = np.union1d(self._rows, fresh)
        name = f"{self._seat.name}-{len(self.tasks) + 1}"
        entropy = SystemEntropy()

        def population(after: After) -> Population:
            return SimulatedAgents(fresh, AgentClasses(), after, rng=entropy.rng())

        ports = FleetPorts(self._engine.bus, self._clock, entropy, self._engine.blobs)
        seat = Seat(name, self._seat.subjects, self._seat.topology)
        host = FleetHost(ports, population, seat, config=self._config.of(FleetHostConfig))
        door = HostDoor(self._engine.bus, seat, start=self.start)
        self.tasks += [asyncio.create_task(host.run()), asyncio.create_task(door.run())]
        await host.joined()
