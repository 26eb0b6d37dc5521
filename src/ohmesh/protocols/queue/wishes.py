"""Wishes: what changes a shard at somebody's request, and is answered once it is durable."""

from __future__ import annotations

from ohmesh.model.message import ChangeTasks, LimitKind, PauseKind, Reply
from ohmesh.model.schedule import ChangeSchedule, SetSchedule
from ohmesh.protocols.queue import dead_letters, limiting, pausing, scheduling
from ohmesh.protocols.queue.shard import Shard

Wish = ChangeTasks | PauseKind | LimitKind | SetSchedule | ChangeSchedule


def decide(shard: Shard, wish: Wish, now_ms: int) -> Reply:
    if isinstance(wish, ChangeTasks):
        return dead_letters.change_tasks(shard, wish, now_ms)
    if isinstance(wish, LimitKind):
        return limiting.limit_kind(shard, wish, now_ms)
    if isinstance(wish, SetSchedule):
        return scheduling.set_schedule(shard, wish, now_ms)
    if isinstance(wish, ChangeSchedule):
        return scheduling.change_schedule(shard, wish, now_ms)
    return pausing.pause(shard, wish, now_ms)
