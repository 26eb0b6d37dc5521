"""A mesh in this process and in real time: dispatcher, workers and client in one event loop, over the memory engine.

Nothing is stored and nothing is started, so it opens and closes in milliseconds. It forgets everything when it is
closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ohmesh.assembly.system import SystemClock, SystemEntropy
from ohmesh.engines.memory.cluster import MemoryCluster, MemoryEngine
from ohmesh.errors import InvalidArgument
from ohmesh.handlers.function_handler import FunctionHandler
from ohmesh.handlers.loading import handlers_of
from ohmesh.mesh.async_mesh import Opening
from ohmesh.mesh.opening import Agent
from ohmesh.mesh.sync_mesh import Mesh
from ohmesh.roles.client import Client
from ohmesh.roles.client_config import ClientPorts
from ohmesh.roles.executor import ExecutorConfig
from ohmesh.testing.parts import SHARDS, SUBJECTS, all_there, dispatcher_at, worker_at

_FIRST_TERM = 1
_LOOK_S = 0.001
_WORKER = ExecutorConfig(drain_s=0.0, settle_s=1.0)  # a test that is over waits for nothing


@dataclass(frozen=True, slots=True)
class RealPlace:
    """A process of the mesh that is only a name: all of them live in this one."""

    name: str
    engine: MemoryEngine
    clock: SystemClock
    entropy: SystemEntropy


def mesh(agents: Sequence[Agent] = (), *, workers: int = 1) -> Opening:
    """`async with testing.mesh([shout]) as mesh`: an AsyncMesh whose workers run `agents` in this process.

    agents: @agent functions, those inside a test too, or "module:object", or a built-in kind. Without any, no worker
    runs and tasks wait. Raises AgentDefinitionError for what is none, InvalidArgument for less than one worker.
    """
    if workers < 1:
        raise InvalidArgument(f"workers is {workers}.", hint="Give at least 1; without agents none runs.")
    handlers = handlers_of(agents)
    names = [f"worker-{number}" for number in range(1, workers + 1)] if handlers else []
    return Opening(lambda: _in_memory(handlers, names))


def sync_mesh(agents: Sequence[Agent] = (), *, workers: int = 1) -> Mesh:
    """The same as a Mesh, for tests without an event loop: it runs in a thread of its own, the agents with it."""
    return Mesh(mesh(agents, workers=workers))


@asynccontextmanager
async def _in_memory(handlers: Sequence[FunctionHandler], names: Sequence[str]) -> AsyncIterator[Client]:
    cluster = MemoryCluster()

    def place(name: str) -> RealPlace:
        return RealPlace(name, cluster.connect(name), SystemClock(), SystemEntropy())

    program = place("program")
    client = Client(
        ClientPorts(program.engine.bus, program.clock, program.entropy), subjects=SUBJECTS, shards=SHARDS
    )
    workers = [worker_at(place(name), handlers, _WORKER) for name in names]
    async with asyncio.TaskGroup() as group:  # a role that dies is heard of at once
        roles = [group.create_task(dispatcher_at(place("node-1")).run(_FIRST_TERM), name="dispatcher")]
        hosts = [group.create_task(worker.run(), name=worker.host) for worker in workers]
        await client.start()
        for worker in workers:
            await worker.joined()  # a question that nobody hears yet would be repeated a while later
        await all_there(client, names, pause_s=_LOOK_S)
        try:
            yield client
        finally:
            try:
                await client.close()
            finally:
                for tasks in (hosts, roles):
                    await _end(tasks)


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
