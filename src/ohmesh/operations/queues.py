"""The verbs about queues: a queue is what waits and runs of one kind."""

from __future__ import annotations

from ohmesh.model.message import KindState, TaskChange
from ohmesh.operations import arguments as a
from ohmesh.operations.results import PurgedQueue, QueueList, QueueState
from ohmesh.roles.client import Client


async def list_queues(client: Client, _arguments: a.ListQueues) -> QueueList:
    """Every kind that has tasks, has dead letters or is paused, by name."""
    queues: dict[str, QueueState] = {}
    for shard in await client.requests.describe():
        for kind in {*shard.depth, *shard.paused, *shard.dead_letters}:
            depth = shard.depth.get(kind, (0, 0, 0))
            queues[kind] = QueueState(
                kind, *depth, shard.dead_letters.get(kind, 0), shard.paused.get(kind, 0)
            )
    return QueueList([queues[kind] for kind in sorted(queues)])


async def pause_queue(client: Client, arguments: a.PauseQueue) -> QueueState:
    return _state(await client.changes.pause(arguments.kind, True))


async def resume_queue(client: Client, arguments: a.ResumeQueue) -> QueueState:
    return _state(await client.changes.pause(arguments.kind, False))


async def purge_queue(client: Client, arguments: a.PurgeQueue) -> PurgedQueue:
    """Cancel what waits; what is submitted meanwhile stays."""
    cancelled = await client.changes.of_everything(TaskChange.PURGE_WAITING, arguments.kind)
    return PurgedQueue(arguments.kind, len(cancelled))


def _state(state: KindState) -> QueueState:
    return QueueState(state.kind, *state.depth, state.dead_letters, state.paused_ms)
