"""The task plane of one mesh in a simulated world: nodes that take over from each other, hosts, clients, disasters.

Nothing here is a double of a role: dispatcher, process, executor and client are those that production runs. What was
promised is judged from the raw log and from what clients were told, never from the word of a dispatcher.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from msgspec import structs

from ohmesh.engines.memory.faults import EngineLimits
from ohmesh.errors import Fenced, OhmeshError
from ohmesh.model.agent import AgentSpec
from ohmesh.model.envelope import item_id, join, split
from ohmesh.model.message import ListTasks
from ohmesh.model.schedule import CatchUp, Schedule, ScheduleChange
from ohmesh.model.subject import Subjects
from ohmesh.model.task import FINAL_STATES, OutcomeStatus, Submission, TaskResult, TaskState
from ohmesh.policies.retry import RetryPolicy
from ohmesh.protocols.membership.assignment import decode_assignment
from ohmesh.protocols.queue.parked import Parking
from ohmesh.protocols.queue.shard import ShardConfig
from ohmesh.protocols.queue.task_record import Task
from ohmesh.protocols.queue.task_table import TaskTable
from ohmesh.roles.client import Client, TaskRequest
from ohmesh.roles.client_config import ClientConfig, ClientPorts
from ohmesh.roles.dispatcher import Dispatcher, DispatcherConfig, DispatcherPorts
from ohmesh.roles.executor import Executor, ExecutorConfig, ExecutorPorts, HostIdentity
from ohmesh.roles.process import Process as RoleProcess
from ohmesh.roles.role_claims import ASSIGNMENT_KEY
from ohmesh.roles.snapshots import SnapshotConfig
from ohmesh.simulator.checkers import check_promises
from ohmesh.simulator.faults import FaultOptions, draw_engine_faults, draw_script, play
from ohmesh.simulator.process import Condition, Process
from ohmesh.simulator.runner import Execution, RunnerOptions, SimulatedRunner
from ohmesh.simulator.world import Report, World, WorldOptions, run
from tests.simulation.shard_logs import read_shard

SUBJECTS = Subjects("simulated")
HOSTS = ("host-1", "host-2", "host-3")
LIVENESS_S = 240.0

Answer = TypeVar("Answer")


UNRULY = RunnerOptions(duration_ms=(1.0, 400.0), failed=0.1, crashed=0.05, hung=0.03, failed_permanently=0.02)


@dataclass(frozen=True)
class Plan:
    """What one run does. Small snapshots and steps, so that their seams are crossed often.

    come_and_go: besides the disasters, nodes leave in order and come back.
    """

    tasks: int = 150
    burst: int = 12
    submit_during_s: float = 15.0
    faults: FaultOptions = field(default_factory=lambda: FaultOptions(during_s=20.0, gap_s=(0.1, 2.5)))
    runner: RunnerOptions = field(default_factory=lambda: UNRULY)
    cancelled: float = 0.05
    envelopes: float = 0.15
    timeout_ms: int = 2_000
    is_scheduled: bool = False
    shards: int = 1
    kinds: tuple[str, ...] = ("text", "image")
    nodes: tuple[str, ...] = ("node-1", "node-2")
    come_and_go: bool = False
    delays_ms: tuple[int, ...] = (0, 0, 0, 1_500)
    parking: Parking = field(default_factory=Parking)


# Nothing hangs and no attempt may count on its time limit: what is lost on the way has to be missed by its owner.
PATIENT = Plan(
    runner=RunnerOptions(duration_ms=(1.0, 400.0), failed=0.1, crashed=0.05, failed_permanently=0.02),
    timeout_ms=3_600_000,
)
# Each kind in a shard of its own, and the shards on nodes that come and go.
SHARDED = Plan(
    shards=3,
    kinds=("text", "audio", "echo"),
    nodes=("node-1", "node-2", "node-3"),
    come_and_go=True,
)
# Beside a few tasks a schedule, whose every occurrence becomes one task.
SCHEDULED = Plan(tasks=30, is_scheduled=True)
# Whatever waits is parked: by every dispatcher, in snapshots and out of them.
PARKED = Plan(delays_ms=(0, 0, 1_500, 40_000), parking=Parking(delay_ms=0, waiting=1))
EVERY_MS = 1_000

PLANS = {"plain": Plan(), "patient": PATIENT, "scheduled": SCHEDULED, "sharded": SHARDED, "parked": PARKED}


def dispatcher_config(plan: Plan) -> DispatcherConfig:
    return DispatcherConfig(
        shard=ShardConfig(
            step_bytes=2_000,
            timeout_ms=plan.timeout_ms,
            lease_ms=3_000,
            overrun_ms=5_000,
            parking=plan.parking,
        ),
        retry=RetryPolicy(max_attempts=6, base_ms=50, cap_ms=1_000),
        snapshot=SnapshotConfig(after_bytes=3_000, trim_interval_s=1.0),
    )


EXECUTOR = ExecutorConfig(heartbeat_ms=500, lease_ms=3_000, resend_ms=700, drain_s=1.0, settle_s=1.0)
CLIENT = ClientConfig(accept_timeout_ms=600_000, retry_min_ms=300, retry_max_ms=2_000)


@dataclass
class Story:
    """What clients were told and what runners did."""

    submitted: int = 0
    accepted: set[str] = field(default_factory=set)
    ended: dict[str, TaskState] = field(default_factory=dict)
    values: dict[str, bytes] = field(default_factory=dict)
    executions: list[Execution] = field(default_factory=list)
    epochs: int = 0


class Plane:
    def __init__(self, world: World, plan: Plan) -> None:
        self.world = world
        self.plan = plan
        self.story = Story()

    def start(self) -> None:
        for name in self.plan.nodes:
            self.world.start(name, self._node)
        for name in HOSTS:
            self.world.start(name, self._host)

    async def _node(self, process: Process) -> None:
        engine = process.engine
        ports = DispatcherPorts(
            engine.bus, engine.log, engine.state, engine.blobs, process.clock, process.entropy
        )
        config = dispatcher_config(self.plan)

        async def dispatch(shard: int, term: int) -> None:
            owner = process.name
            await Dispatcher(ports, subjects=SUBJECTS, shard=shard, owner=owner, config=config).run(term)

        factories = {role: partial(dispatch, shard) for shard, role in enumerate(self.roles)}
        roles = RoleProcess(engine.state, process.clock, process.entropy, name=process.name)
        await roles.serve(factories, notice=lambda words: None)

    @property
    def roles(self) -> list[str]:
        return [f"dispatcher-{shard}" for shard in range(self.plan.shards)]

    async def _host(self, process: Process) -> None:
        runner = SimulatedRunner(
            process,
            [AgentSpec(kind, kind, (), 3) for kind in self.plan.kinds],
            options=structs.replace(self.plan.runner, takes_envelopes=process.name != HOSTS[0]),
            executions=self.story.executions,
        )
        ports = ExecutorPorts(process.engine.bus, process.clock, process.entropy)
        host = HostIdentity(process.name, self.plan.shards)
        await Executor(ports, runner, subjects=SUBJECTS, host=host, config=EXECUTOR).run()

    async def client(self, process: Process) -> None:
        """Submits, notes what was acknowledged and how each task ended; ends when all of them have."""
        rng = self.world.rng("client")
        client = Client(
            ClientPorts(process.engine.bus, process.clock, process.entropy),
            subjects=SUBJECTS,
            shards=self.plan.shards,
            config=CLIENT,
            notice=lambda words: None,
        )
        await client.start()
        if self.plan.is_scheduled:
            beat = Schedule("beat", "text", b"beat", every_ms=EVERY_MS, catch_up=CatchUp.ALL)
            await insist(lambda: client.schedules.set(beat))
        async with asyncio.TaskGroup() as group:
            for number in range(self.plan.tasks):
                if number % self.plan.burst == 0:
                    bursts = self.plan.tasks / self.plan.burst
                    await asyncio.sleep(rng.expovariate(bursts / self.plan.submit_during_s))
                request = TaskRequest(
                    kind=rng.choice(self.plan.kinds),
                    payload=b"payload-%d" % number * rng.randint(1, 20),
                    priority=rng.randint(0, 3),
                    delay_ms=rng.choice(self.plan.delays_ms),
                )
                cancels = rng.random() < self.plan.cancelled
                if rng.random() < self.plan.envelopes:
                    payloads = [b"\xc4\x03%03d" % item for item in range(rng.randint(1, 9))]
                    whole = structs.replace(
                        request, payload=join(payloads, len(payloads)), items=len(payloads)
                    )
                    group.create_task(self._follow_envelope(client, whole, payloads, cancels=cancels))
                else:
                    group.create_task(self._follow(client, request, cancels=cancels))
        if self.plan.is_scheduled:
            await insist(lambda: client.schedules.change("beat", ScheduleChange.PAUSE))
            page = await insist(lambda: client.requests.list_tasks(ListTasks(kind="text", limit=1_000)))
            handles = await insist(lambda: client.watch_many([view.task_id for view in page.tasks]))
            for handle in handles.values():
                await handle.end()

    async def _follow(self, client: Client, request: TaskRequest, *, cancels: bool) -> None:
        handle = await client.submit(request, timeout_s=600.0)
        self.story.submitted += 1
        self.story.accepted.add(handle.id)
        if cancels:
            # Nobody may answer in time: the task is cancelled or not; it must end either way.
            with contextlib.suppress(OhmeshError):
                await client.cancel([handle.id])
        ended = await handle.end()
        assert ended.state in FINAL_STATES
        self.story.ended[handle.id] = ended.state
        self.story.values[handle.id] = ended.value
        if ended.state is TaskState.SUCCEEDED:
            assert ended.value == request.payload

    async def _follow_envelope(
        self, client: Client, request: TaskRequest, payloads: list[bytes], *, cancels: bool
    ) -> None:
        """As `_follow`, each item as a task."""
        handle = await client.submit(request, timeout_s=600.0)
        ids = [item_id(handle.id, index) for index in range(len(payloads))]
        self.story.submitted += len(ids)
        self.story.accepted.update(ids)
        if cancels:
            with contextlib.suppress(OhmeshError):
                await client.cancel(ids[::2])
        ended = await handle.end()
        values = iter(split(ended.value) if ended.value else ())
        for index, (task_id, payload) in enumerate(zip(ids, payloads, strict=True)):
            end = TaskResult(task_id, ended.state, next(values, b"")) if index not in ended.opened else None
            if end is None:
                end = await client.handle_of(task_id, handle.shard).end()
            assert end.state in FINAL_STATES
            self.story.ended[task_id] = end.state
            self.story.values[task_id] = end.value
            if end.state is TaskState.SUCCEEDED:
                assert end.value == payload

    async def come_and_go(self) -> None:
        """Nodes leave in order, one at a time, and come back; who has crashed is left to the script."""
        rng = self.world.rng("come and go")
        until_s = self.world.loop.time() + self.plan.faults.during_s
        while self.world.loop.time() < until_s:
            await asyncio.sleep(rng.uniform(0.5, 4.0))
            name = rng.choice(self.plan.nodes)
            await self.world.stop(name)
            await asyncio.sleep(rng.uniform(0.0, 3.0))
            if self.world.processes[name].condition is Condition.ENDED:
                self.world.restart(name)

    async def until_fair(self) -> None:
        """Wait until no node holds two dispatchers more than another."""
        while True:
            entry = self.world.cluster.state.get(ASSIGNMENT_KEY)
            assert entry is not None
            assert entry.value is not None
            holdings = decode_assignment(entry.value, entry.revision).holdings
            counts = Counter(each.process for each in holdings.values())
            held = [counts[name] for name in self.plan.nodes]
            if sum(held) == self.plan.shards and max(held) - min(held) <= 1:
                return
            await asyncio.sleep(0.1)

    def judge(self) -> None:
        """From the raw logs: every accepted task is final, and no task has two committed results."""
        judged = [read_shard(self.world.cluster, SUBJECTS.log(shard)) for shard in range(self.plan.shards)]
        committed = [pair for shard in judged for pair in shard.committed]
        succeeded = {each.lease for each in self.story.executions if each.status is OutcomeStatus.SUCCEEDED}
        assert {lease for _, lease in committed} <= succeeded, "a result was committed that no attempt had"
        committed += [(task_id, 0) for shard in judged for task_id in shard.in_envelopes]
        known: dict[str, Task] = {}
        for shard in judged:
            found = {task_id: shard.table.find(task_id) for task_id in self.story.accepted}
            known |= {task_id: task for task_id, task in found.items() if task}
            assert all(task.state in FINAL_STATES for task in shard.table.leases.values())
        final = {task_id for task_id, task in known.items() if task.state in FINAL_STATES}
        check_promises(accepted=self.story.accepted, final=final, committed=committed)
        for task_id, state in self.story.ended.items():
            assert known[task_id].state is state, (task_id, known[task_id], state)
        if self.plan.is_scheduled:
            judge_schedule(judged[0].table, judged[0].occurrences)
        self.story.epochs = max(shard.table.epoch for shard in judged)


def judge_schedule(table: TaskTable, occurrences: list[Submission]) -> None:
    """Each occurrence from when it was added to when it was paused is one task, and each of these has ended."""
    record = table.schedules.records["beat"]
    due = range(record.created_ms + EVERY_MS, record.paused_ms + 1, EVERY_MS)
    assert [task.due_ms for task in occurrences] == list(due)
    assert all(table.tasks[task.task_id].state in FINAL_STATES for task in occurrences)


async def insist(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Until it is answered: all that is asked so is safe to ask again."""
    while True:
        with contextlib.suppress(OhmeshError):
            return await ask()
        await asyncio.sleep(1.0)


def simulate(seed: int, plan: Plan | None = None) -> Report[Story]:
    """One run: work under disaster, then heal and demand that everything ends."""
    plan = plan or Plan()

    async def main(world: World) -> Story:
        plane = Plane(world, plan)
        plane.start()
        play(world, draw_script(world.rng("script"), [*plan.nodes, *HOSTS], plan.faults))
        visits = asyncio.create_task(plane.come_and_go()) if plan.come_and_go else None
        client = world.start("client", plane.client)
        await asyncio.sleep(plan.faults.during_s + 2.0)
        world.heal()
        if visits:
            await asyncio.wait_for(visits, LIVENESS_S)
        await asyncio.wait_for(asyncio.shield(client.ended), LIVENESS_S)
        await asyncio.wait_for(plane.until_fair(), LIVENESS_S)
        world.check_failures()
        assert plane.story.submitted >= plan.tasks
        assert len(plane.story.ended) == plane.story.submitted
        plane.judge()
        return plane.story

    options = WorldOptions(
        faults=draw_engine_faults(random.Random(seed)),
        engine=EngineLimits(call_timeout_ms=1_000, notice_ms=1_000, reconnect_ms=(10.0, 400.0)),
        clock_error_ms=(-200.0, 200.0),
        drift_ppm=(-100.0, 100.0),
        tolerated=(Fenced,),
    )
    return run(main, seed=seed, options=options)
