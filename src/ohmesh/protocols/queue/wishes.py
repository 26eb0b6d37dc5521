"""Wishes: what changes a shard at somebody's request, and is answered once it is durable."""

from __future__ import annotations

from ohmesh.model.message import ChangeTasks, PauseKind, Reply
from ohmesh.protocols.queue import dead_letters, pausing
from ohmesh.protocols.queue.shard import Shard

Wish = ChangeTasks | PauseKind


def decide(shard: Shard, wish: Wish, now_ms: int) -> Reply:
    if isinstance(wish, ChangeTasks):
        return dead_letters.change_tasks(shard, wish, now_ms)
    return pausing.pause(shard, wish, now_ms)
