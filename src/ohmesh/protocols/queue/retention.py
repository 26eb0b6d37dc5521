"""What is kept in a shard, and for how long: leases past all bounds, ended tasks, and the ids of forgotten ones.

Called about every second. Age alone ends at most `forget_batch` tasks a time, so that a burst does not come back as a
pause; what is above the bounds is forgotten at once, else a shard that works fast would grow.
"""

from __future__ import annotations

from itertools import islice

from ohmesh.protocols.queue import rows as r
from ohmesh.protocols.queue.shard import Shard


def sweep(shard: Shard, now_ms: int) -> None:
    at_ms = shard.advance(now_ms)
    _void_overrun_leases(shard, at_ms)
    _forget_ended(shard, at_ms)
    _move_horizon(shard, at_ms)
    shard.waiting.prune()


def _void_overrun_leases(shard: Shard, at_ms: int) -> None:
    """Counted from when we could hear its host: what ended while we could not is on its way."""
    bound_ms, since_ms = shard.config.overrun_ms, shard.hearing_since_ms
    overrun = [
        (lease, task)
        for lease, task in shard.table.leases.items()
        if at_ms > max(task.granted_ms, since_ms) + task.timeout_ms + bound_ms
    ]
    for lease, task in sorted(overrun, key=lambda pair: pair[1].order, reverse=True):
        host_name = task.agent.rpartition("/")[0]
        shard.lose(lease, f"Held by {host_name} for {at_ms - task.granted_ms} ms, past every bound.", at_ms)
        shard.step.host(host_name).revoked.append(lease)


def _forget_ended(shard: Shard, at_ms: int) -> None:
    config, finished = shard.config, shard.table.finished
    excess = shard.table.retained - config.retained_tasks
    count = freed = 0
    for task in islice(finished, max(excess, config.forget_batch)):
        if task.lease or (freed >= excess and task.finished_ms + config.retention_ms > at_ms):
            break
        count += 1
        freed += task.count
    if count:
        shard.decide(r.Forgotten(count))


def _move_horizon(shard: Shard, at_ms: int) -> None:
    config, forgotten = shard.config, shard.table.forgotten
    excess = len(forgotten) - config.horizon_tasks
    count = max(excess, forgotten.count_up_to(at_ms - config.horizon_ms, config.forget_batch))
    if count > 0:
        shard.decide(r.HorizonMoved(count))
