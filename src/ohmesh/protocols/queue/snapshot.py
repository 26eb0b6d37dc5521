"""Snapshots: the whole table as bytes, so that a successor need not replay the log from its beginning.

[version, sequence, header, tasks, order in which the ended ones ended, hosts]; the order of `tasks` is that of
submission, so lanes rebuilt from a snapshot are FIFO again.
"""

from __future__ import annotations

from collections import Counter, deque

import msgspec
from msgspec import Struct

from ohmesh.errors import LogCorrupt
from ohmesh.model.envelope import parts_of
from ohmesh.model.limit import KindLimit
from ohmesh.model.task import DEAD_LETTER_STATES, FINAL_STATES, TaskState
from ohmesh.protocols.queue.host_record import HostRecord
from ohmesh.protocols.queue.lock_table import LockRecord
from ohmesh.protocols.queue.rows import SnapshotTaken
from ohmesh.protocols.queue.schedule_table import ScheduleRecord, ScheduleTable
from ohmesh.protocols.queue.task_record import Task
from ohmesh.protocols.queue.task_table import Depth, TaskTable

SNAPSHOT_VERSION = 1


class _Snapshot(Struct, array_like=True):
    version: int
    sequence: int
    previous: bytes
    epoch: int
    owner: str
    time_ms: int
    next_order: int
    next_lease: int
    tasks: list[Task]
    finished: list[str]
    forgotten: list[tuple[str, int]]
    horizon_ms: int
    hosts: list[HostRecord]
    ended: dict[TaskState, int]
    snapshot: SnapshotTaken | None
    lost_tail: str = ""
    paused: dict[str, int] = {}
    limits: dict[str, KindLimit] = {}
    schedules: list[ScheduleRecord] = []
    next_generation: int = 1
    locks: list[LockRecord] = []
    last_token: int = 0


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Snapshot)


def encode_snapshot(table: TaskTable, sequence: int, previous: bytes) -> bytes:
    """`sequence` is that of the last frame applied, `previous` its digest."""
    return _encoder.encode(
        _Snapshot(
            SNAPSHOT_VERSION,
            sequence,
            previous,
            table.epoch,
            table.owner,
            table.time_ms,
            table.next_order,
            table.next_lease,
            list(table.tasks.values()),
            [task.task_id for task in table.finished],
            list(table.forgotten),
            table.horizon_ms,
            list(table.hosts.values()),
            dict(table.ended),
            table.snapshot,
            table.lost_tail,
            dict(table.paused),
            dict(table.limits.of),
            list(table.schedules.records.values()),
            table.schedules.next_generation,
            list(table.locks.held.values()),
            table.locks.last_token,
        )
    )


def decode_snapshot(data: bytes) -> tuple[TaskTable, int, bytes]:
    """The table, the sequence of the last frame it contains, and that frame's digest. Raises LogCorrupt."""
    try:
        snapshot = _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise LogCorrupt(f"A snapshot of {len(data)} bytes cannot be read: {error}.") from error
    if snapshot.version != SNAPSHOT_VERSION:
        raise LogCorrupt(f"A snapshot has version {snapshot.version}, this process reads {SNAPSHOT_VERSION}.")
    return _restore(snapshot), snapshot.sequence, snapshot.previous


def _restore(snapshot: _Snapshot) -> TaskTable:
    table = TaskTable()
    table.epoch = snapshot.epoch
    table.owner = snapshot.owner
    table.time_ms = snapshot.time_ms
    table.next_order = snapshot.next_order
    table.next_lease = snapshot.next_lease
    table.tasks = {task.task_id: task for task in snapshot.tasks}
    table.leases = {task.lease: task for task in snapshot.tasks if task.lease}
    table.finished = deque(table.tasks[task_id] for task_id in snapshot.finished)
    table.forgotten = deque(snapshot.forgotten)
    table.forgotten_ids = {task_id for task_id, _ in snapshot.forgotten}
    table.horizon_ms = snapshot.horizon_ms
    table.hosts = {host.host: host for host in snapshot.hosts}
    table.ended = Counter(snapshot.ended)
    table.snapshot = snapshot.snapshot
    table.lost_tail = snapshot.lost_tail
    table.paused = snapshot.paused
    table.locks.held = {record.name: record for record in snapshot.locks}
    table.locks.last_token = snapshot.last_token
    leased = {lease: task.submission.kind for lease, task in table.leases.items()}
    for kind, limit in snapshot.limits.items():
        table.limits.restore(kind, limit, leased)
    table.retained = sum(task.count for task in table.finished)
    parts = [parts_of(task_id) for task_id in table.tasks]
    table.came_out = Counter(part[0] for part in parts if part is not None)
    table.schedules = ScheduleTable(snapshot.schedules, snapshot.next_generation)
    table.dead_letters = {
        task.task_id: task
        for task in table.finished
        if task.state in DEAD_LETTER_STATES and not task.is_purged
    }
    for task in snapshot.tasks:
        if task.state not in FINAL_STATES:
            table.unique.claim(task.submission)
        depth = table.depth.setdefault(task.submission.kind, Depth())
        if task.state is TaskState.QUEUED:
            depth.queued += task.count
        elif task.state is TaskState.RUNNING:
            depth.running += task.count
        elif task.state is TaskState.RETRYING:
            depth.retrying += task.count
    return table
