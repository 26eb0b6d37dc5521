"""Opening envelopes: whatever hinders one of its items makes the rest of an envelope tasks of their own.

What had finished stays finished; what failed has failed an attempt; what was not done waits where the envelope stood.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ohmesh.errors import InvalidArgument
from ohmesh.model.envelope import item_id, join, parts_of, split
from ohmesh.model.task import FINAL_STATES, ItemFailure, Outcome, OutcomeStatus, TaskFailure
from ohmesh.protocols.queue import rows as r
from ohmesh.protocols.queue.envelopes import items_of
from ohmesh.protocols.queue.sizes import failure_bytes
from ohmesh.protocols.queue.task_record import Task
from ohmesh.protocols.queue.task_view import result

if TYPE_CHECKING:
    from ohmesh.protocols.queue.shard import Shard

ITEM_BYTES = 16
FAILURES_BYTES_MAX = 200_000

_UNSTARTED = (OutcomeStatus.RETURNED, OutcomeStatus.CANCELLED)


def concerns(envelope: Task, outcome: Outcome) -> bool:
    """Whether this outcome opens the envelope. One that comes back unstarted waits again, one that succeeded as a
    whole is committed as any task is, unless some of its items were cancelled meanwhile."""
    if envelope.opened:
        return True
    return outcome.status is not OutcomeStatus.SUCCEEDED and outcome.status not in _UNSTARTED


@dataclass(frozen=True, slots=True)
class Account:
    """What became of an envelope's items; what it does not name was not done. `values` is the array of the values of
    the finished ones. lost: not "" where its host vanished."""

    finished: Sequence[int] = ()
    values: bytes = b""
    failed: Sequence[r.ItemFailed] = ()
    started_ms: int = 0
    lost: str = ""


NOTHING_DONE = Account()


def take_outcome(shard: Shard, envelope: Task, outcome: Outcome, at_ms: int) -> None:
    finished, values, failures = _understood(envelope, outcome)
    failed = _rows_of(shard, envelope, failures, at_ms)
    host = shard.fleet.hosts.get(envelope.agent.rpartition("/")[0])
    if host is not None:
        host.completed += len(finished)
        host.failed += len(failed)
    open_envelope(shard, envelope, at_ms, Account(finished, values, failed, outcome.started_ms))


def open_envelope(
    shard: Shard, envelope: Task, at_ms: int, account: Account = NOTHING_DONE, *, is_in_lane: bool = True
) -> None:
    """Decide it; whoever waits for the envelope waits for the items that come out from now on too."""
    lease, before = envelope.lease, set(envelope.opened)
    envelope_id = envelope.task_id
    if not lease and is_in_lane:
        shard.waiting.forget(envelope)
    size = len(account.values) + sum(failure_bytes(item.failure) for item in account.failed)
    size += ITEM_BYTES * envelope.submission.items + len(account.lost)
    shard.decide(
        r.Opened(
            at_ms,
            envelope_id,
            list(account.finished),
            account.values,
            list(account.failed),
            account.started_ms,
            account.lost,
        ),
        size,
    )
    if lease:
        shard.fleet.release(envelope.agent, lease)
    tasks = shard.table.tasks
    came_out = [tasks[item_id(envelope_id, index)] for index in envelope.opened if index not in before]
    clients = shard.interest.get(envelope_id, ())
    for client in (clients,) if isinstance(clients, str) else clients:
        for task in came_out:
            shard.subscribe(client, task.task_id)
    shard.announce(envelope)
    for task in reversed(came_out):
        if task.state in FINAL_STATES:
            shard.announce(task)
        else:
            shard.waiting.add(task, at_ms, front=True)


def watch_item(shard: Shard, task_id: str) -> None:
    """Somebody waits for an item that is no task of its own."""
    parts = parts_of(task_id)
    if parts is not None:
        shard.item_interest.setdefault(parts[0], set()).add(parts[1])


def announce_items(shard: Shard, envelope: Task) -> None:
    """The envelope has ended: tell who waits for single items of it that are in it still."""
    indices = shard.item_interest.pop(envelope.task_id, None)
    for item in items_of(envelope, sorted(indices)) if indices else ():
        clients = shard.interest.pop(item.task_id, ())
        ended = result(item)
        for client in (clients,) if isinstance(clients, str) else clients:
            shard.step.client(client).finished.append(ended)


def _understood(envelope: Task, outcome: Outcome) -> tuple[list[int], bytes, list[ItemFailure]]:
    """Finished items, the array of their values, and what failed. An account that cannot be is none: all is left."""
    cancelled = set(envelope.opened)
    indices = range(envelope.submission.items)
    if outcome.status in _UNSTARTED:
        return [], b"", []
    if outcome.status is OutcomeStatus.SUCCEEDED:
        finished, failures = list(indices), []
    elif outcome.status is OutcomeStatus.OPENED and outcome.opened is not None:
        finished, failures = outcome.opened.finished, outcome.opened.failed
    else:
        whole = outcome.failure or TaskFailure("unknown", "The host gave no reason.")
        finished, failures = [], [ItemFailure(index, outcome.status, whole) for index in indices]
    try:
        values = split(outcome.value) if finished else []
    except InvalidArgument:
        return [], b"", []
    named = {*finished, *(item.index for item in failures)}
    if (
        len(named) < len(finished) + len(failures)
        or not named.issubset(indices)
        or len(values) != len(finished)
    ):
        return [], b"", []
    kept = [(index, value) for index, value in zip(finished, values, strict=True) if index not in cancelled]
    return (
        [index for index, _ in kept],
        join([value for _, value in kept], len(kept)) if kept else b"",
        [item for item in failures if item.index not in cancelled],
    )


def _rows_of(shard: Shard, envelope: Task, failures: Sequence[ItemFailure], at_ms: int) -> list[r.ItemFailed]:
    """What failed, as rows. Where all of it would be too much for one step, later ones lose their traceback."""
    rows: list[r.ItemFailed] = []
    size = 0
    for item in failures:
        failure = item.failure or TaskFailure("unknown", "The host gave no reason.")
        size += failure_bytes(failure)
        if size > FAILURES_BYTES_MAX:
            failure = TaskFailure(failure.kind, failure.message[:200])
        state, due_ms = shard.after_failure(envelope, item.status, item.retry_after_ms, at_ms)
        rows.append(r.ItemFailed(item.index, failure, state, due_ms, item.started_ms))
    return rows
