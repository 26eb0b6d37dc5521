"""The mesh of a run in virtual time: nodes, workers and the program's client, as processes of a simulated world."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from msgspec.structs import replace

from ohmesh.errors import MeshUnreachable
from ohmesh.handlers.function_handler import FunctionHandler
from ohmesh.model.agent import AgentSpec, host_capability
from ohmesh.roles.client import Client, TaskRequest
from ohmesh.roles.client_config import ClientConfig, ClientPorts
from ohmesh.roles.client_handle import TaskHandle
from ohmesh.roles.dispatcher_config import DispatcherConfig
from ohmesh.roles.executor import ExecutorConfig
from ohmesh.roles.process import Process as RoleProcess
from ohmesh.roles.process_config import ProcessConfig
from ohmesh.simulator.clock import SimulatedClock
from ohmesh.simulator.entropy import SimulatedEntropy
from ohmesh.simulator.process import Process
from ohmesh.simulator.world import World
from ohmesh.testing.parts import SHARD, SHARDS, SUBJECTS, all_there, dispatcher_at, worker_at
from ohmesh.testing.promises import Account, accepted_ids, judge

PROGRAM = "program"
_LOOK_S = (
    0.05,
    5.0,
)  # how often the log is looked at while the mesh settles: soon, then twice as late each time
# An idle hour costs what wakes up in it, so roles look at their clocks less often than in production: a delayed task
# starts up to half a second late, a dead dispatcher is replaced after 12 s.
_DISPATCHER = DispatcherConfig(tick_ms=500, sweep_ms=1_000)
_PROCESS = ProcessConfig(lease_ttl_ms=12_000, renew_every_ms=4_000, check_every_ms=4_000)
_CLIENT = ClientConfig(sweep_ms=1_000)

_logger = logging.getLogger("ohmesh.testing")


class WatchedClient(Client):
    """The client of production; it keeps the handles of what was submitted, for the judge."""

    def __init__(self, ports: ClientPorts) -> None:
        super().__init__(ports, subjects=SUBJECTS, shards=SHARDS, config=_CLIENT, notice=_logger.info)
        self.handles: list[TaskHandle] = []

    def submit_nowait(self, request: TaskRequest) -> TaskHandle:
        return self._kept(super().submit_nowait(request))

    async def enqueue(self, request: TaskRequest, *, task_id: str = "") -> TaskHandle:
        return self._kept(await super().enqueue(request, task_id=task_id))

    async def submit(self, request: TaskRequest, *, timeout_s: float | None = None) -> TaskHandle:
        return self._kept(await super().submit(request, timeout_s=timeout_s))

    def _kept(self, handle: TaskHandle) -> TaskHandle:
        self.handles.append(handle)
        return handle


class Plant:
    def __init__(
        self, world: World, handlers: Sequence[FunctionHandler], *, workers: int, nodes: int
    ) -> None:
        self.nodes = [f"node-{number}" for number in range(1, nodes + 1)]
        self.workers = [f"worker-{number}" for number in range(1, workers + 1)] if handlers else []
        self._world = world
        self._handlers = handlers
        self._account = Account()
        engine = world.cluster.connect(PROGRAM)
        self._clock = SimulatedClock(world.loop)
        self.client = WatchedClient(
            ClientPorts(engine.bus, self._clock, SimulatedEntropy(world.seed, PROGRAM))
        )

    async def start(self) -> None:
        """Return once a dispatcher would grant to every worker."""
        for name in self.nodes:
            self._world.start(name, _node)
        for name in self.workers:
            self._world.start(name, self._worker)
        await self.client.start()
        await all_there(self.client, self.workers, pause_s=_LOOK_S[0])

    async def settle(self, within_s: float) -> None:
        """Until every acknowledged task has ended or waits for a reason."""
        loop = asyncio.get_running_loop()
        end_s, pause_s = loop.time() + within_s, _LOOK_S[0]
        while not all(self._excused().values()) and loop.time() < end_s:
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LOOK_S[1])

    def judge(self) -> None:
        excused = self._excused()
        judge(self._account, self.client.handles, excused=excused, seed=self._world.seed)

    async def close(self) -> None:
        with suppress(MeshUnreachable):  # what nobody acknowledged was not promised
            await self.client.close()

    def _excused(self) -> dict[str, bool]:
        """Acknowledged tasks that have not ended, and whether they may still wait."""
        account = self._account
        account.read(self._world.cluster.history(SUBJECTS.log(SHARD)))
        specs = [_offered(handler.spec, name) for name in self.workers for handler in self._handlers]
        now_ms = self._clock.now_ms()
        return {
            task_id: account.waits_with_reason(task_id, specs, now_ms)
            for task_id in account.unfinished(accepted_ids(self.client.handles))
        }

    async def _worker(self, process: Process) -> None:
        await worker_at(process, self._handlers, ExecutorConfig()).run()


def _offered(spec: AgentSpec, worker: str) -> AgentSpec:
    return replace(spec, capabilities=(*spec.capabilities, host_capability(worker)))


async def _node(process: Process) -> None:
    roles = RoleProcess(
        process.engine.state, process.clock, process.entropy, name=process.name, config=_PROCESS
    )
    await roles.serve({f"dispatcher-{SHARD}": partial(_dispatch, process)}, notice=_logger.info)


async def _dispatch(process: Process, term: int) -> None:
    await dispatcher_at(process, _DISPATCHER).run(term)
