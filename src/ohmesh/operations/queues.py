"""The verbs about queues: a queue is what waits and runs of one kind."""

from __future__ import annotations

from msgspec import structs

from ohmesh.model.limit import KindLimit, LimitStanding
from ohmesh.model.message import KindState, TaskChange
from ohmesh.operations import arguments as a
from ohmesh.operations.rates import limit_of, rate_text
from ohmesh.operations.results import PurgedQueue, QueueList, QueueState
from ohmesh.roles.client import Client


async def list_queues(client: Client, _arguments: a.ListQueues) -> QueueList:
    """Every kind that has tasks, has dead letters, is paused or is limited, by name."""
    queues: dict[str, QueueState] = {}
    for shard in await client.requests.describe():
        for kind in {*shard.depth, *shard.paused, *shard.dead_letters, *shard.limits}:
            depth = shard.depth.get(kind, (0, 0, 0))
            dead_letters, paused_ms = shard.dead_letters.get(kind, 0), shard.paused.get(kind, 0)
            queues[kind] = _state(KindState(kind, depth, paused_ms, dead_letters, shard.limits.get(kind)))
    return QueueList([queues[kind] for kind in sorted(queues)])


async def pause_queue(client: Client, arguments: a.PauseQueue) -> QueueState:
    return await _looked_up(client, _state(await client.changes.pause(arguments.kind, True)))


async def resume_queue(client: Client, arguments: a.ResumeQueue) -> QueueState:
    return _state(await client.changes.pause(arguments.kind, False))


async def limit_queue(client: Client, arguments: a.LimitQueue) -> QueueState:
    """So many of its tasks may start in a time, or run at a time. A new limit allows nothing at first."""
    rate, burst, concurrency = arguments.rate, arguments.burst, arguments.concurrency
    limit = None if arguments.none else limit_of(rate, burst, concurrency)
    state = _state(await client.changes.limit(arguments.kind, limit))
    return state if arguments.none else await _looked_up(client, state)


async def purge_queue(client: Client, arguments: a.PurgeQueue) -> PurgedQueue:
    """Cancel what waits; what is submitted meanwhile stays."""
    changed = await client.changes.of_everything(TaskChange.PURGE_WAITING, arguments.kind)
    return PurgedQueue(arguments.kind, len(changed.done))


async def _looked_up(client: Client, state: QueueState) -> QueueState:
    """Any name may be paused or limited before its first task comes; one that nobody knows is perhaps misspelt."""
    if state.queued or state.running or state.retrying or state.dead_letters:
        return state
    hosts = await client.requests.list_hosts()
    return structs.replace(state, unknown=all(state.kind not in host.kinds for host in hosts))


def _state(state: KindState) -> QueueState:
    standing = state.limit or LimitStanding(KindLimit())
    limit = standing.limit
    return QueueState(
        state.kind,
        *state.depth,
        state.dead_letters,
        state.paused_ms,
        rate_text(limit),
        limit.burst,
        limit.concurrency,
        standing.held_back,
    )
