"""Snapshots: the whole table as bytes, so that a successor need not replay the log from its beginning.

Tasks stand in the order of submission, so lanes rebuilt from a snapshot are FIFO again. Which of them are parked is
nobody's concern but that of the process that holds them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from ohmesh.errors import LogCorrupt
from ohmesh.model.envelope import parts_of
from ohmesh.model.task import DEAD_LETTER_STATES, FINAL_STATES, Submission, TaskState
from ohmesh.protocols.queue.depth import Depth
from ohmesh.protocols.queue.frozen_table import FrozenTable
from ohmesh.protocols.queue.parked import Parking
from ohmesh.protocols.queue.plain_tasks import PlainTasks
from ohmesh.protocols.queue.schedule_table import ScheduleTable
from ohmesh.protocols.queue.snapshot_form import Header, Slice, head, read_head, slices_of
from ohmesh.protocols.queue.task_record import Task
from ohmesh.protocols.queue.task_table import TaskTable
from ohmesh.protocols.queue.waiting import is_waiting

PART = 500

Decoded = tuple[TaskTable, int, bytes]

_split_tasks = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_decode_task = msgspec.msgpack.Decoder(Task).decode
_decode_submission = msgspec.msgpack.Decoder(Submission).decode


def encode_snapshot(table: TaskTable, sequence: int, previous: bytes) -> bytes:
    """At once and in one piece. `sequence` is that of the last frame applied, `previous` its digest."""
    frozen = FrozenTable(table, sequence, previous)
    return head(frozen.header, 0, frozen.slices())


def decode_snapshot(data: bytes, parking: Parking | None = None) -> Decoded:
    """The table, the sequence of the last frame it contains, and that frame's digest. Of one in one piece only.
    Raises LogCorrupt."""
    reader = SnapshotReader(data, parking)
    for _ in reader.rest():
        pass
    return reader.decoded()


class SnapshotReader:
    """Made of the head; then `take` each of the `parts`, in order, then the `rest`. Both are iterated over, with a
    pause after about PART tasks: a million of them take seconds, in which a process that does nothing else loses its
    lease. Raises LogCorrupt."""

    def __init__(self, data: bytes, parking: Parking | None = None) -> None:
        self._header, self.parts, self._end = read_head(data)
        self.sequence, self.previous = self._header.sequence, self._header.previous
        self._table = TaskTable(parking)
        _begin(self._table, self._header)

    def take(self, part: bytes | memoryview) -> Iterator[None]:
        try:
            for piece in slices_of(part):
                _restore_slice(self._table, piece)
                yield
        except msgspec.MsgspecError as error:
            raise LogCorrupt(f"A task in a snapshot cannot be read: {error}.") from error

    def rest(self) -> Iterator[None]:
        table, header = self._table, self._header
        try:
            yield from _restore_older(table, header)
        except msgspec.MsgspecError as error:
            raise LogCorrupt(f"A task in a snapshot cannot be read: {error}.") from error
        yield from self.take(self._end)
        yield from table.parked.index()
        _finish(table, header)

    def decoded(self) -> Decoded:
        return self._table, self.sequence, self.previous


def _begin(table: TaskTable, header: Header) -> None:
    """What tasks need to be restored into."""
    table.epoch = header.epoch
    table.owner = header.owner
    table.time_ms = header.time_ms
    table.next_order = header.next_order
    table.next_lease = header.next_lease
    table.horizon_ms = header.horizon_ms
    table.ended = Counter(header.ended)
    table.snapshot = header.snapshot
    table.lost_tail = header.lost_tail
    table.paused = header.paused
    table.locks.held = {record.name: record for record in header.locks}
    table.locks.last_token = header.last_token
    table.schedules = ScheduleTable(header.schedules, header.next_generation)


def _finish(table: TaskTable, header: Header) -> None:
    """What is known of the tasks once they are there."""
    if header.version > 2:
        table.held_bytes = header.held_bytes
    table.leases = {task.lease: task for task in table.tasks.values() if task.lease}
    leased = {lease: task.submission.kind for lease, task in table.leases.items()}
    for kind, limit in header.limits.items():
        table.limits.restore(kind, limit, leased)
    table.retained = sum(task.count for task in table.finished)
    table.dead_letters = {
        task.task_id: task
        for task in table.finished
        if task.state in DEAD_LETTER_STATES and not task.is_purged
    }


def _restore_older(table: TaskTable, header: Header) -> Iterator[None]:
    """What stood in the header up to version 2."""
    tasks = _split_tasks(header.tasks)
    for begin in range(0, len(tasks), PART):
        _restore_tasks(table, tasks[begin : begin + PART])
        yield
    table.finished.extend(map(table.tasks.__getitem__, header.finished))
    table.hosts.update((host.host, host) for host in header.hosts)
    table.forgotten.extend([each[0] for each in header.forgotten], [each[1] for each in header.forgotten])
    digests, ended_ms = header.forgotten_digests, header.forgotten_ms
    for begin in range(0, max(len(digests), len(ended_ms)), 8 * PART):
        table.forgotten.restore(digests[begin : begin + 8 * PART], ended_ms[begin : begin + 8 * PART])
        yield


def _restore_slice(table: TaskTable, piece: Slice) -> None:
    _restore_tasks(table, piece.tasks)
    if piece.records:
        _restore_plain(table, piece)
    table.finished.extend(map(table.tasks.__getitem__, piece.finished))
    table.hosts.update((host.host, host) for host in piece.hosts)
    table.unique.restore(piece.kept_keys)
    if piece.ended_ms:
        table.forgotten.restore(piece.digests, piece.ended_ms)


def _restore_tasks(table: TaskTable, tasks: Sequence[msgspec.Raw]) -> None:
    for task in map(_decode_task, tasks):
        _restore_task(table, task)


def _restore_plain(table: TaskTable, piece: Slice) -> None:
    plain = PlainTasks.of(piece)
    if _are_all_parked(table, plain):
        for place, count in plain.counts():
            table.depth_of(place[0]).queued += count
        table.parked.park_all(plain)
        return
    for submission, order, submitted_ms, due_ms in zip(
        map(_decode_submission, plain.records),
        plain.orders.tolist(),
        plain.submitted_ms.tolist(),
        plain.due_ms.tolist(),
        strict=True,
    ):
        _restore_task(table, Task(submission, order, submitted_ms, due_ms=due_ms))


def _are_all_parked(table: TaskTable, plain: PlainTasks) -> bool:
    parking, parked = table.parking, table.parked
    if not parked.can_park_all(plain):
        return False
    far = plain.due_ms > table.time_ms + parking.delay_ms
    crowded = [
        table.depth_of(kind).queued - parked.queued[kind] >= parking.waiting for kind, _ in plain.places
    ]
    return bool(np.all(far | np.array(crowded)[plain.place_of]))


def _restore_task(table: TaskTable, task: Task) -> None:
    submission = task.submission
    kind, state = submission.kind, task.state
    if "." in submission.task_id and (parts := parts_of(submission.task_id)) is not None:
        table.came_out[parts[0]] += 1
    depth = table.depth.get(kind)
    if depth is None:
        depth = table.depth[kind] = Depth()
    is_parked = is_waiting(task) and not task.lease and table.is_to_be_parked(task)
    if state not in FINAL_STATES:
        table.unique.claim(submission, 0)
        table.held_bytes += len(submission.payload)
    if state is TaskState.QUEUED:
        depth.queued += task.count
    elif state is TaskState.RUNNING:
        depth.running += task.count
    elif state is TaskState.RETRYING:
        depth.retrying += task.count
    if is_parked:
        table.parked.park(task)
    else:
        table.restore(task)
