"""Records what an older version says: run with the code of that version, it prints a transcript as JSON.

README.md says how. It uses only what both versions have, so that it can be checked with the present one.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Callable

from ohmesh.errors import OhmeshError
from ohmesh.model.agent import AgentSpec
from ohmesh.model.message import ListTasks, TaskChange
from ohmesh.model.subject import Subjects
from ohmesh.model.task import Grant, OutcomeStatus, TaskState
from ohmesh.policies.retry import RetryPolicy
from ohmesh.ports.bus import Bus, Receive, Subscription
from ohmesh.protocols.queue.rows import decode_log_frame
from ohmesh.protocols.queue.shard import ShardConfig
from ohmesh.protocols.queue.task_table import TaskTable
from ohmesh.roles.client import Client, TaskRequest
from ohmesh.roles.client_config import ClientConfig, ClientPorts
from ohmesh.roles.dispatcher import Dispatcher, DispatcherConfig, DispatcherPorts
from ohmesh.roles.executor import Executor, ExecutorConfig, ExecutorPorts, HostIdentity
from ohmesh.roles.snapshots import SnapshotConfig
from ohmesh.simulator.process import Process
from ohmesh.simulator.runner import Conduct, SimulatedRunner
from ohmesh.simulator.world import World, run

SUBJECTS = Subjects("older")
CONFIG = DispatcherConfig(
    shard=ShardConfig(lease_ms=10_000, payload_bytes=1_000),
    retry=RetryPolicy(max_attempts=3, base_ms=50, cap_ms=200),
    snapshot=SnapshotConfig(after_bytes=2_500, trim_interval_s=1_000.0),
)


class Tap:
    """A bus that notes what is published and asked."""

    def __init__(self, bus: Bus, said: list[tuple[str, str, bytes]], who: str) -> None:
        self._bus = bus
        self._said = said
        self._who = who

    async def publish(self, subject: str, data: bytes) -> None:
        self._said.append((self._who, subject, data))
        await self._bus.publish(subject, data)

    async def subscribe(self, subject: str, receive: Receive, *, group: str = "") -> Subscription:
        return await self._bus.subscribe(subject, receive, group=group)

    async def request(self, subject: str, data: bytes, *, timeout_s: float) -> bytes:
        self._said.append((self._who, subject, data))
        return await self._bus.request(subject, data, timeout_s=timeout_s)

    def watch_connection(self, notice: Callable[[bool], None]) -> None:
        self._bus.watch_connection(notice)

    async def close(self) -> None:
        await self._bus.close()


def conduct(grant: Grant, _rng: random.Random) -> Conduct | None:
    """A payload says what becomes of its task."""
    what = grant.payload.partition(b":")[0]
    if what == b"again" and grant.attempt == 1:
        return Conduct(status=OutcomeStatus.FAILED)
    if what == b"never":
        return Conduct(status=OutcomeStatus.FAILED_PERMANENTLY)
    if what == b"hang":
        return Conduct(duration_ms=float("inf"))
    return Conduct(duration_ms=3_000.0 if what == b"long" else 5.0, steps=2)


async def converse(world: World) -> dict[str, object]:
    said: list[tuple[str, str, bytes]] = []

    async def dispatch(process: Process) -> None:
        engine = process.engine
        bus = Tap(engine.bus, said, "dispatcher")
        ports = DispatcherPorts(bus, engine.log, engine.state, engine.blobs, process.clock, process.entropy)
        await Dispatcher(ports, subjects=SUBJECTS, shard=0, owner="older-node", config=CONFIG).run(7)

    async def work(process: Process) -> None:
        runner = SimulatedRunner(process, [AgentSpec("agent", "kind", ("fast",), 4)], conduct=conduct)
        ports = ExecutorPorts(Tap(process.engine.bus, said, "worker"), process.clock, process.entropy)
        host = HostIdentity("older-worker", 1, 4711, "0.0.9")
        await Executor(ports, runner, subjects=SUBJECTS, host=host, config=ExecutorConfig()).run()

    async def ask(process: Process) -> None:
        ports = ClientPorts(Tap(process.engine.bus, said, "client"), process.clock, process.entropy)
        client = Client(ports, subjects=SUBJECTS, shards=1, config=ClientConfig())
        await client.start()
        await talk(client)
        await client.close()

    world.start("node", dispatch)
    world.start("worker", work)
    await world.start("client", ask).ended
    await world.stop("worker")
    await asyncio.sleep(1.0)
    world.check_failures()
    return {"said": [[who, subject, data.hex()] for who, subject, data in said], **kept(world)}


async def talk(client: Client) -> None:
    """Everything that a client says, once or more often."""
    payloads = [b"well:%d" % number for number in range(8)]
    payloads += [b"again:", b"never:", b"never:again", b"long:"]
    handles = [
        await client.submit(
            TaskRequest(kind="kind", payload=payload, priority=number % 4, weight=1 + number % 2)
        )
        for number, payload in enumerate(payloads)
    ]
    picky = TaskRequest(
        kind="kind", payload=b"well:picky", requires=("fast",), timeout_ms=5_000, max_attempts=2, key="key"
    )
    handles.append(await client.submit(picky))
    delayed = [
        await client.submit(TaskRequest(kind="kind", payload=b"well:later", delay_ms=3_600_000)),
        await client.submit(TaskRequest(kind="kind", payload=b"well:never", delay_ms=3_600_000)),
    ]
    try:
        await client.submit(TaskRequest(kind="kind", payload=b"x" * 2_000))
    except OhmeshError as refusal:
        sys.stderr.write(f"refused, as it should be: {refusal}\n")
    assert (await client.cancel([delayed[1].id])).cancelled == [delayed[1].id]
    hanging = await client.submit(TaskRequest(kind="kind", payload=b"hang:"))
    while (await client.requests.list_tasks(ListTasks([hanging.id]))).tasks[0].state is not TaskState.RUNNING:
        await asyncio.sleep(0.01)
    await client.cancel([hanging.id])
    for handle in handles:
        await handle.end()
    dead = handles[9].id
    await client.requests.pause_kind("kind", True)
    assert (await client.changes.of_tasks(TaskChange.REPLAY, [dead])).done == [dead]
    await client.requests.list_tasks(ListTasks(limit=50))
    await client.requests.list_tasks(ListTasks([dead]))
    await client.requests.list_hosts()
    await client.requests.describe()
    await client.requests.explain(delayed[0].id)
    await client.requests.pause_kind("kind", False)
    await (await client.watch(dead)).end()
    await client.changes.of_tasks(TaskChange.PURGE_DEAD_LETTERS, [handles[10].id])


def kept(world: World) -> dict[str, object]:
    """The log, the last snapshot, and what the older version makes of them."""
    entries = world.cluster.history(SUBJECTS.log(0))
    table = TaskTable()
    for entry in entries:
        table.apply_all(decode_log_frame(entry.data, entry.sequence).rows)
    assert table.snapshot is not None
    key = table.snapshot.key
    snapshot = world.cluster.blobs.get(key)
    assert snapshot is not None
    return {
        "log": [entry.data.hex() for entry in entries],
        "snapshot": {"key": key, "sequence": table.snapshot.sequence, "data": snapshot.hex()},
        "tasks": {
            task.task_id: [TaskState(task.state).value, task.attempts, task.value.hex(), len(task.failures)]
            for task in table.every()
        },
    }


if __name__ == "__main__":
    json.dump(run(converse, seed=1).result, sys.stdout, indent=0)
    sys.stdout.write("\n")
