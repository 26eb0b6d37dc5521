"""The verbs about the mesh as a whole: its workers, its dispatchers, its queues."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from ohmesh.errors import OhmeshError
from ohmesh.model.agent import Liveness
from ohmesh.model.fleet_reading import FleetDescription
from ohmesh.model.fleet_request import DescribeFleet
from ohmesh.model.message import ShardDescription
from ohmesh.operations import arguments as a
from ohmesh.operations.results import DispatcherStatus, FleetCount, MeshStatus, QueueDepth, WorkerList
from ohmesh.registry.fields import WORKERS
from ohmesh.registry.rows import WORKER_SOURCES, matcher
from ohmesh.registry.selector import compile_selector
from ohmesh.roles.client import Client

FLEET_ANSWER_S = 1.0
_ALIVE = (Liveness.ACTIVE, Liveness.JOINING)


async def list_workers(client: Client, arguments: a.ListWorkers) -> WorkerList:
    """Those that are offline too, by name. The filter is applied here: a shard knows only its part of a load."""
    workers = await client.requests.list_hosts()
    if not arguments.filter:
        return WorkerList(workers, total=len(workers))
    selector = compile_selector(arguments.filter, WORKERS)
    is_meant = matcher(selector, WORKER_SOURCES, client.requests.now_ms())
    return WorkerList(
        [worker for worker in workers if is_meant(worker)], total=len(workers), filter=str(selector)
    )


async def status(client: Client, _arguments: a.Status) -> MeshStatus:
    shards, workers, fleet = await asyncio.gather(
        client.requests.describe(), client.requests.list_hosts(), _fleet(client)
    )
    states: Counter[str] = Counter()
    for shard in shards:
        states.update(shard.states)
    return MeshStatus(
        mesh=client.mesh,
        dispatchers=[_dispatcher(shard) for shard in shards],
        queues=_queues(shards),
        states=dict(states),
        workers_alive=sum(worker.liveness in _ALIVE for worker in workers),
        workers_known=len(workers),
        fleet=fleet,
    )


async def _fleet(client: Client) -> FleetCount | None:
    """None where nobody says at once that there is one: the status of the queue does not wait for it."""
    try:
        found = await client.fleet.ask(
            DescribeFleet(), FleetDescription, timeout_s=FLEET_ANSWER_S, patience_s=0.0
        )
    except OhmeshError:
        return None
    return FleetCount(found.agents, found.active, found.simulated, found.mode, found.summary)


def _dispatcher(shard: ShardDescription) -> DispatcherStatus:
    return DispatcherStatus(
        shard.shard, shard.epoch, shard.owner, shard.last_sequence, shard.hosts, shard.lost_tail
    )


def _queues(shards: Sequence[ShardDescription]) -> list[QueueDepth]:
    """By kind; a kind lives in one shard."""
    depths = [(kind, depth) for shard in shards for kind, depth in shard.depth.items()]
    return [QueueDepth(kind, *depth) for kind, depth in sorted(depths)]
