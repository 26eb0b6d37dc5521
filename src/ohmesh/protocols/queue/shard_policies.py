"""What a shard's machine has decided elsewhere: rank, delay, share, limits, and when schedules are due."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ohmesh.model.schedule import Schedule
from ohmesh.protocols.queue.buckets import MakeBucket

if TYPE_CHECKING:
    import random


@dataclass(frozen=True, slots=True)
class ShardPolicies:
    """Decisions that are taken elsewhere (ohmesh.policies), given as functions.

    rank(priority, ready_ms, now_ms): higher starts first.
    retry_delay_ms(attempts, rng): how long to wait after the failure of that attempt.
    share(waiting, free, candidates): how many of the waiting tasks one agent takes.
    bucket(count, per_ms, burst, now_ms): what the starts of a limited kind are taken from.
    next_due_ms(schedule, anchor_ms, after_ms): when a schedule is due next; 0 is never. Raises InvalidArgument.
    latest_due_ms(schedule, anchor_ms, first_ms, until_ms, limit): the last ones in that time, in order.
    rank_in_words, share_in_words: the same for people.
    """

    rank: Callable[[int, int, int], float]
    retry_delay_ms: Callable[[int, random.Random], int]
    share: Callable[[int, int, int], int]
    bucket: MakeBucket
    next_due_ms: Callable[[Schedule, int, int], int] = lambda _schedule, _anchor_ms, _after_ms: 0
    latest_due_ms: Callable[[Schedule, int, int, int, int], list[int]] = lambda *_: []
    rank_in_words: str = ""
    share_in_words: str = ""
