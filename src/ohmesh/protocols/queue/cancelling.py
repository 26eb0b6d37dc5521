"""Cancellation: durable at once. A task that is cancelled never starts again, a running one is told to stop.

An item of an envelope that waits is taken out of it by opening it. Of one that runs the items are cancelled and the
whole is asked to stop: what it has not done comes back and waits, without those items.
"""

from __future__ import annotations

from collections.abc import Sequence

from ohmesh.model.envelope import item_id, parts_of
from ohmesh.model.task import FINAL_STATES, TaskState
from ohmesh.protocols.queue import opening
from ohmesh.protocols.queue import rows as r
from ohmesh.protocols.queue.shard import Shard
from ohmesh.protocols.queue.sizes import ROW_OVERHEAD_BYTES, id_bytes
from ohmesh.protocols.queue.task_record import Task


def cancel(shard: Shard, client: str, task_ids: list[str], now_ms: int) -> None:
    if shard.is_clogged():
        return
    at_ms = shard.advance(now_ms)
    named = list(dict.fromkeys(task_ids))
    _take_out_items(shard, named, at_ms)
    cancelled: list[Task] = []
    for task_id in named:
        task = shard.table.find(task_id)
        if task is None:
            shard.room(id_bytes(task_id)).client(client).not_cancellable.append(task_id)
        elif task.state is TaskState.CANCELLED:
            shard.room(id_bytes(task_id)).client(client).cancelled.append(task_id)
        elif task.state in FINAL_STATES:
            shard.room(id_bytes(task_id)).client(client).too_late.append(task_id)
        else:
            cancelled.append(task)
    if cancelled:
        cancel_all(shard, cancelled, at_ms)
        shard.step.client(client).cancelled.extend(task.task_id for task in cancelled)


def cancel_all(shard: Shard, tasks: Sequence[Task], at_ms: int) -> None:
    """These have not ended; they are cancelled by one row."""
    ids = [task.task_id for task in tasks]
    withdrawn = {task_id for task_id in ids if shard.withdraw(task_id)}
    shard.decide(r.Cancelled(at_ms, ids), sum(map(id_bytes, ids)))
    for task_id in ids:
        task = shard.table.tasks[task_id]
        if task.lease == 0:
            if task_id not in withdrawn:
                shard.waiting.forget(task)
        else:
            shard.step.host(task.agent.rpartition("/")[0]).revoked.append(task.lease)
        shard.announce(task)


def _take_out_items(shard: Shard, task_ids: Sequence[str], at_ms: int) -> None:
    """Afterwards an item that is named and has not ended is a task: one that waits, or one that is cancelled."""
    table = shard.table
    running: dict[str, list[int]] = {}
    for task_id in task_ids:
        parts = parts_of(task_id) if not table.holds(task_id) else None
        envelope = table.whole(parts[0]) if parts is not None else None
        if parts is None or envelope is None or parts[1] >= envelope.submission.items:
            continue
        if envelope.state is TaskState.RUNNING:
            running.setdefault(parts[0], []).append(parts[1])
        elif envelope.state not in FINAL_STATES:
            is_in_lane = not shard.withdraw(parts[0])
            opening.open_envelope(shard, table.tasks[parts[0]], at_ms, is_in_lane=is_in_lane)
    for envelope_id, named in running.items():
        envelope = table.tasks[envelope_id]
        indices = sorted(set(named).difference(envelope.opened))
        shard.decide(r.ItemsCancelled(at_ms, envelope_id, indices), ROW_OVERHEAD_BYTES + 3 * len(indices))
        shard.step.host(envelope.agent.rpartition("/")[0]).revoked.append(envelope.lease)
        for index in indices:
            shard.announce(table.tasks[item_id(envelope_id, index)])
