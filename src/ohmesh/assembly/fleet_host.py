"""A process of a demo fleet: simulated agents behind a real host, real messages, a clock that may be made wrong."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ohmesh.assembly.connection import connect_engine
from ohmesh.assembly.fleet_growth import Growth
from ohmesh.assembly.identity_file import ensure_identity
from ohmesh.assembly.settings import data_directory
from ohmesh.assembly.system import SystemClock, SystemEntropy, settle_interpreter
from ohmesh.assembly.termination import on_termination
from ohmesh.config import Config
from ohmesh.engines.nats.engine import NatsEngine
from ohmesh.handlers.simulated_agents import SimulatedAgents, parse_unfit, standard_mix
from ohmesh.handlers.simulated_faults import Declared, Origins
from ohmesh.model.agent_class import AgentClasses
from ohmesh.model.subject import Subjects, checked_name
from ohmesh.ports.population import Population, Rows
from ohmesh.roles.fleet.config import FleetConfig, FleetHostConfig, FleetPorts, Seat
from ohmesh.roles.fleet.host import After, FleetHost
from ohmesh.roles.fleet.host_door import HostDoor
from ohmesh.roles.fleet.origins import enrol_origin
from ohmesh.roles.fleet.remote_agents import RemoteAgents, RemoteSeat

Notice = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedHost:
    """first, count: rows of its agents. skew_ms, drift_ppm: how wrong its clock is. dead, lying: parts of its agents.
    witness: a file that true times of readiness are written to, for who measures from outside; the mesh never reads it.
    is_remote: none is simulated; the rows are kept for agents with a connection of their own.
    """

    first: int
    count: int
    skew_ms: float = 0.0
    drift_ppm: float = 0.0
    dead: float = 0.0
    lying: float = 0.0
    witness: Path | None = None
    is_remote: bool = False


class WrongClock:
    """The system's clock with an error of one's own choice, which the mesh has to find."""

    def __init__(self, skew_ms: float, drift_ppm: float) -> None:
        self._skew_us = round(skew_ms * 1000)
        self._rate = drift_ppm / 1e6
        self._began_us = time.monotonic_ns() // 1000

    def now_ms(self) -> int:
        return (time.time_ns() // 1000 + self._error_us()) // 1000

    def monotonic_ms(self) -> int:
        return self.monotonic_us() // 1000

    def monotonic_us(self) -> int:
        return time.monotonic_ns() // 1000 + self._error_us()

    def _error_us(self) -> int:
        return self._skew_us + round((time.monotonic_ns() // 1000 - self._began_us) * self._rate)


class Witness:
    """Appends (operation, true time, rows) to a file: one line of JSON's size would cost more than the agents."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=1 << 16)

    def __call__(self, operation: str, rows: Rows) -> None:
        head = np.array([time.monotonic_ns() // 1000, len(rows)], np.int64)
        self._file.write(operation.encode()[:32].ljust(32) + head.tobytes() + rows.astype("<i4").tobytes())

    def flush(self) -> None:
        self._file.flush()


async def run_fleet_host(
    config: Config, simulated: SimulatedHost, *, name: str, ready: Callable[[str], None], notice: Notice
) -> None:
    """Serve until SIGINT or SIGTERM. `ready` is called once the fleet knows this process."""
    stopped = asyncio.Event()
    on_termination(stopped.set)
    settle_interpreter()
    entropy = SystemEntropy()
    rows = np.arange(simulated.first, simulated.first + simulated.count)
    classes = AgentClasses()
    rng = entropy.rng()
    witness = Witness(simulated.witness) if simulated.witness else None
    clock = (
        WrongClock(simulated.skew_ms, simulated.drift_ppm)
        if simulated.skew_ms or simulated.drift_ppm
        else SystemClock()
    )
    async with connect_engine(config, notice=notice) as engine:
        seat = Seat(
            checked_name(name, "name of a process"),
            Subjects(config.mesh.name),
            config.of(FleetConfig).topology,
        )
        remote = RemoteAgents(engine.bus, RemoteSeat(seat, simulated.first, simulated.count, classes))

        unfit = parse_unfit(config.of(FleetConfig).faults)
        unfit = replace(unfit, dead=unfit.dead or simulated.dead, lying=unfit.lying or simulated.lying)
        declared = await _declared(config, engine, seat, rows) if any(unfit.faults.values()) else None

        def population(after: After) -> Population:
            if simulated.is_remote:
                return remote
            agents = SimulatedAgents(rows, classes, after, rng=rng, unfit=unfit)
            agents.faults.declared = declared or agents.faults.declared
            return agents

        host = FleetHost(
            FleetPorts(engine.bus, clock, entropy, engine.blobs),
            population,
            seat,
            config=config.of(FleetHostConfig),
        )
        remote.time = host.time
        if witness is not None:
            host.watch_readiness(witness)
        growth = None if simulated.is_remote else Growth(engine, clock, seat, config)
        door = HostDoor(engine.bus, seat, start=None if growth is None else growth.start)
        serving = [host.run(), door.run(), *([remote.run()] if simulated.is_remote else [])]
        tasks = [asyncio.ensure_future(work) for work in (*serving, stopped.wait())]
        welcome = asyncio.ensure_future(_when_joined(host, ready))
        flushing = asyncio.ensure_future(_flush(witness))
        others = (welcome, flushing)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not stopped.is_set():
                await tasks[0]
        finally:
            grown = growth.tasks if growth is not None else []
            for task in (*tasks, *others, *grown):
                task.cancel()
            await asyncio.gather(*tasks, *others, *grown, return_exceptions=True)


async def _declared(config: Config, engine: NatsEngine, seat: Seat, rows: Rows) -> Declared:
    """With origins that sign what the agents of this process say; their keys are kept beside the data of the mesh, and
    enrolled where the orchestrator looks for them."""
    folder, classes = data_directory(config).root / "origins", AgentClasses()
    identities = []
    for name in (f"{seat.name}.sensor", f"{seat.name}.relay"):
        identity = ensure_identity(folder / f"{name}.pem", name)
        await enrol_origin(engine.state, identity)
        identities.append(identity)
    codes = standard_mix(rows, classes)
    return Declared(
        lambda row: str(seat.topology.place(row)),
        lambda place: (classes.all[codes[place]].capabilities or ("",))[0],
        Origins(config.mesh.name, *identities),
    )


async def _when_joined(host: FleetHost, ready: Callable[[str], None]) -> None:
    await host.joined()
    ready(host.name)


async def _flush(witness: Witness | None) -> None:
    while witness is not None:
        await asyncio.sleep(0.1)
        witness.flush()
