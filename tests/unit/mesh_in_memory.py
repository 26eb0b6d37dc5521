"""A mesh of real roles over the memory engine, on whatever loop runs: dispatchers, one host, one client."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec

from ohmesh.assembly.system import SystemClock, SystemEntropy
from ohmesh.engines.memory.cluster import MemoryCluster
from ohmesh.model.agent import AgentSpec
from ohmesh.model.subject import Subjects
from ohmesh.model.task import Grant, OutcomeStatus
from ohmesh.roles.client import Client
from ohmesh.roles.client_config import ClientConfig, ClientPorts
from ohmesh.roles.dispatcher import Dispatcher, DispatcherPorts
from ohmesh.roles.executor import Executor, ExecutorConfig, ExecutorPorts, HostIdentity
from ohmesh.simulator.runner import Conduct, SimulatedRunner

SUBJECTS = Subjects("memory")
HOST = "host-1"
AGENTS = [AgentSpec(kind, kind, slots=8) for kind in ("echo", "fail", "never", "steps")]


@dataclass(frozen=True)
class Host:
    name: str
    clock: SystemClock
    entropy: SystemEntropy


def conduct(grant: Grant, _rng: random.Random) -> Conduct:
    """`echo` returns its arguments, `fail` fails for good, `never` does not end by itself, `steps` says
    four times how far it is."""
    if grant.agent == "fail":
        return Conduct(duration_ms=0, status=OutcomeStatus.FAILED_PERMANENTLY)
    if grant.agent == "steps":
        return Conduct(duration_ms=400, steps=4)
    value = msgspec.msgpack.decode(grant.payload)
    duration_ms = float("inf") if grant.agent == "never" else 0.0
    return Conduct(duration_ms=duration_ms, value=msgspec.msgpack.encode(value), echo=False)


@asynccontextmanager
async def mesh_in_memory(
    *, shards: int = 2, config: ClientConfig | None = None, cluster: MemoryCluster | None = None
) -> AsyncIterator[Client]:
    cluster, clock, entropy = cluster or MemoryCluster(), SystemClock(), SystemEntropy()
    engine = cluster.connect("mesh")
    ports = DispatcherPorts(engine.bus, engine.log, engine.state, engine.blobs, clock, entropy)
    dispatchers = [
        Dispatcher(ports, subjects=SUBJECTS, shard=shard, owner="node-1") for shard in range(shards)
    ]
    executor = Executor(
        ExecutorPorts(cluster.connect(HOST).bus, clock, entropy),
        SimulatedRunner(Host(HOST, clock, entropy), AGENTS, conduct=conduct),
        subjects=SUBJECTS,
        host=HostIdentity(HOST, shards),
        config=ExecutorConfig(drain_s=0.0, settle_s=0.5),
    )
    side = cluster.connect("client")
    client = Client(
        ClientPorts(side.bus, clock, entropy, side.log, side.blobs),
        subjects=SUBJECTS,
        shards=shards,
        config=config,
    )
    async with asyncio.TaskGroup() as group:  # a role that dies fails the test at once
        roles = [group.create_task(dispatcher.run(1)) for dispatcher in dispatchers]
        host = group.create_task(executor.run())
        await client.start()
        await executor.joined()
        try:
            yield client
        finally:
            try:
                await client.close()
            finally:
                await end(host)
                await asyncio.gather(*map(end, roles))


async def end(role: asyncio.Task[None]) -> None:
    role.cancel()
    await asyncio.wait([role])
