"""Envelopes in the table: what becomes of them and of their items by rows.

    queued --grant--> running --all succeeded--> succeeded, with the values of its items
                         '--opened--> succeeded, with the values of those that finished; the others are tasks of
                                      their own, in its place

An envelope is granted once. Whatever hinders one of its items, from a failure to a vanished host, opens it, so that
from then on each item has attempts, a state and a lease of its own, and what had finished is not run again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from msgspec import structs

from ohmesh.errors import LogCorrupt
from ohmesh.model.envelope import item_id, parts_of, split
from ohmesh.model.task import FINAL_STATES, TaskFailure, TaskState
from ohmesh.protocols.queue import rows as r
from ohmesh.protocols.queue.task_record import Task, without_payload

if TYPE_CHECKING:
    from ohmesh.protocols.queue.task_table import TaskTable


def open_up(table: TaskTable, row: r.Opened) -> None:
    envelope = table.known(row.task_id)
    if not envelope.submission.items or envelope.state in FINAL_STATES:
        raise LogCorrupt(f"{table.story_of(envelope)} was opened, but it is no envelope that has not ended.")
    if envelope.lease:
        table.end_lease(envelope.lease)
    table.leave_depth(envelope)
    payloads = split(envelope.submission.payload)
    failures = {item.index: item for item in row.failed}
    apart = {*row.finished, *envelope.opened}
    taken_out = [index for index in range(len(payloads)) if index not in apart]
    for index in taken_out:
        _put_in_place(
            table, envelope, _take_out(table, envelope, index, payloads[index]), row, failures.get(index)
        )
    envelope.opened = tuple(sorted((*envelope.opened, *taken_out)))
    envelope.value = row.values
    envelope.started_ms = row.started_ms
    table.end(envelope, TaskState.SUCCEEDED, row.at_ms)
    envelope.submission = without_payload(envelope.submission)


def cancel_items(table: TaskTable, row: r.ItemsCancelled) -> None:
    envelope = table.known(row.task_id)
    if envelope.state is not TaskState.RUNNING or not set(row.indices).isdisjoint(envelope.opened):
        raise LogCorrupt(f"{table.story_of(envelope)} does not hold and run the items that were cancelled.")
    table.depth_of(envelope.submission.kind).running -= len(row.indices)
    payloads = split(envelope.submission.payload)
    for index in row.indices:
        table.end(_take_out(table, envelope, index, payloads[index]), TaskState.CANCELLED, row.at_ms)
    envelope.opened = tuple(sorted((*envelope.opened, *row.indices)))


def _take_out(table: TaskTable, envelope: Task, index: int, payload: bytes) -> Task:
    """A task of its own, at the end of the dict, which is in the order of `order`."""
    submission = envelope.submission
    task_id = item_id(submission.task_id, index)
    task = table.tasks[task_id] = Task(
        structs.replace(submission, task_id=task_id, payload=payload, weight=1, items=0),
        table.next_order,
        envelope.submitted_ms,
        due_ms=envelope.due_ms,
    )
    table.next_order += 1
    table.held_bytes += len(payload)
    table.came_out[submission.task_id] += 1
    return task


def forget_item(table: TaskTable, task_id: str) -> None:
    """`came_out` counts the tasks that came out of an envelope and are held: nobody may use its id again meanwhile."""
    parts = parts_of(task_id) if table.came_out else None
    if parts is not None and parts[0] in table.came_out:
        table.came_out[parts[0]] -= 1
        if table.came_out[parts[0]] <= 0:
            del table.came_out[parts[0]]


def _put_in_place(
    table: TaskTable, envelope: Task, task: Task, row: r.Opened, failed: r.ItemFailed | None
) -> None:
    if failed is not None:
        task.attempts, task.failures = 1, (failed.failure,)
        task.started_ms, task.agent = failed.started_ms, envelope.agent
        task.state, task.due_ms = failed.state, failed.due_ms
    elif row.lost:
        task.losses, task.failures = 1, (TaskFailure("worker_lost", row.lost),)
        task.state = TaskState.RETRYING
    if task.state in FINAL_STATES:
        table.end(task, task.state, row.at_ms)
    else:
        depth = table.depth_of(task.submission.kind)
        if task.state is TaskState.RETRYING:
            depth.retrying += 1
        else:
            depth.queued += 1


def find_item(whole: Callable[[str], Task | None], task_id: str) -> Task | None:
    """An item that is no task of its own, as if it were one; to be read only. `whole` finds an envelope."""
    parts = parts_of(task_id)
    envelope = whole(parts[0]) if parts is not None else None
    if parts is None or envelope is None or not envelope.submission.items:
        return None
    return next(items_of(envelope, (parts[1],)), None)


def items_of(envelope: Task, indices: Iterable[int] | None = None) -> Iterator[Task]:
    """The items (all, or these) that are no tasks of their own, as if they were; to be read only."""
    submission = envelope.submission
    opened = set(envelope.opened)
    contained = [index for index in range(submission.items) if index not in opened]
    payloads = split(submission.payload) if submission.payload else []
    values = dict(zip(contained, split(envelope.value) if envelope.value else (), strict=False))
    present = set(contained)
    for index in contained if indices is None else indices:
        if index in present:
            payload = payloads[index] if payloads else b""
            yield structs.replace(
                envelope,
                submission=structs.replace(
                    submission,
                    task_id=item_id(submission.task_id, index),
                    payload=payload,
                    weight=1,
                    items=0,
                ),
                order=envelope.order + index,
                value=values.get(index, b""),
                opened=(),
            )
