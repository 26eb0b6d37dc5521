"""The roles of a mesh over any engine: what the mesh in real time and the one in virtual time are made of."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from ohmesh.handlers.function_handler import FunctionHandler
from ohmesh.model.agent import Liveness
from ohmesh.model.subject import Subjects
from ohmesh.ports.blobs import Blobs
from ohmesh.ports.bus import Bus
from ohmesh.ports.clock import Clock
from ohmesh.ports.entropy import Entropy
from ohmesh.ports.log import Log
from ohmesh.ports.state import State
from ohmesh.roles.client import Client
from ohmesh.roles.dispatcher import Dispatcher
from ohmesh.roles.dispatcher_config import DispatcherConfig, DispatcherPorts
from ohmesh.roles.executor import Executor, ExecutorConfig, ExecutorPorts, HostIdentity
from ohmesh.runners.in_process import InProcessRunner

SUBJECTS = Subjects("testing")
SHARD = 0
SHARDS = 1


class Engine(Protocol):
    """The four ports of a connection to an engine."""

    @property
    def bus(self) -> Bus: ...
    @property
    def log(self) -> Log: ...
    @property
    def state(self) -> State: ...
    @property
    def blobs(self) -> Blobs: ...


class Place(Protocol):
    """Where a role runs: the name of its process, its connection, its time and its chance."""

    @property
    def name(self) -> str: ...
    @property
    def engine(self) -> Engine: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def entropy(self) -> Entropy: ...


async def all_there(client: Client, workers: Sequence[str], *, pause_s: float) -> None:
    """Return once a dispatcher answers and would grant to each of these workers."""
    while True:
        hosts = await client.requests.list_hosts()
        active = {host.host for host in hosts if host.liveness is Liveness.ACTIVE and host.slots}
        if active.issuperset(workers):
            return
        await asyncio.sleep(pause_s)


def dispatcher_at(place: Place, config: DispatcherConfig | None = None) -> Dispatcher:
    engine = place.engine
    ports = DispatcherPorts(engine.bus, engine.log, engine.state, engine.blobs, place.clock, place.entropy)
    return Dispatcher(ports, subjects=SUBJECTS, shard=SHARD, owner=place.name, config=config)


def worker_at(place: Place, handlers: Sequence[FunctionHandler], config: ExecutorConfig) -> Executor:
    """A worker whose agents run in this very process and loop."""
    return Executor(
        ExecutorPorts(place.engine.bus, place.clock, place.entropy),
        InProcessRunner(handlers, place.clock),
        subjects=SUBJECTS,
        host=HostIdentity(place.name, SHARDS),
        config=config,
    )
