"""Snapshots: the whole table as bytes, so that a successor need not replay the log from its beginning.

[version, sequence, header, tasks, order in which the ended ones ended, hosts]; the order of `tasks` is that of
submission, so lanes rebuilt from a snapshot are FIFO again. Which of them are parked is nobody's concern but that of
the process that holds them.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Generator

import msgspec
from msgspec import Struct

from ohmesh.errors import LogCorrupt
from ohmesh.model.envelope import parts_of
from ohmesh.model.limit import KindLimit
from ohmesh.model.task import DEAD_LETTER_STATES, FINAL_STATES, TaskState
from ohmesh.protocols.queue.depth import Depth
from ohmesh.protocols.queue.host_record import HostRecord
from ohmesh.protocols.queue.lock_table import LockRecord
from ohmesh.protocols.queue.parked import Parking
from ohmesh.protocols.queue.rows import SNAPSHOT_VERSION, SnapshotTaken
from ohmesh.protocols.queue.schedule_table import ScheduleRecord, ScheduleTable
from ohmesh.protocols.queue.task_record import Task
from ohmesh.protocols.queue.task_table import TaskTable
from ohmesh.protocols.queue.waiting import is_waiting

PART = 500
READABLE_VERSIONS = (1, SNAPSHOT_VERSION)
_ARRAY_16, _ARRAY_32 = b"\xdc", b"\xdd"  # MessagePack: an array, whose length follows


Decoded = tuple[TaskTable, int, bytes]


class _Snapshot(Struct, array_like=True):
    """tasks: an array of tasks. forgotten: ids and times in version 1, since then in the columns at the end."""

    version: int
    sequence: int
    previous: bytes
    epoch: int
    owner: str
    time_ms: int
    next_order: int
    next_lease: int
    tasks: msgspec.Raw
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
    forgotten_digests: bytes = b""
    forgotten_ms: bytes = b""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Snapshot)
_split_tasks = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_decode_task = msgspec.msgpack.Decoder(Task).decode


def encode_snapshot(table: TaskTable, sequence: int, previous: bytes) -> bytes:
    """`sequence` is that of the last frame applied, `previous` its digest."""
    snapshot = _Snapshot(
        SNAPSHOT_VERSION,
        sequence,
        previous,
        table.epoch,
        table.owner,
        table.time_ms,
        table.next_order,
        table.next_lease,
        msgspec.Raw(),
        [task.task_id for task in table.finished],
        [],
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
        *table.forgotten.columns(),
    )
    fields = _Snapshot.__struct_fields__
    data = bytearray(_ARRAY_16 + len(fields).to_bytes(2))
    for name in fields:
        if name == "tasks":
            _append_tasks(data, table)
        else:
            _encoder.encode_into(getattr(snapshot, name), data, -1)
    return bytes(data)


def _append_tasks(data: bytearray, table: TaskTable) -> None:
    """One by one, behind what is encoded already: all of them take as much as everything else together."""
    count = len(table.tasks) + table.parked.count
    data += _ARRAY_32 + count.to_bytes(4)
    encoded = table.parked.encoded
    for held in table.in_order():
        data += encoded(held) if isinstance(held, int) else _encoder.encode(held)


def decode_snapshot(data: bytes, parking: Parking | None = None) -> Decoded:
    """The table, the sequence of the last frame it contains, and that frame's digest. Raises LogCorrupt."""
    parts = decode_in_parts(data, parking)
    while True:
        try:
            next(parts)
        except StopIteration as done:
            decoded: Decoded = done.value
            return decoded


def decode_in_parts(data: bytes, parking: Parking | None = None) -> Generator[None, None, Decoded]:
    """As decode_snapshot, with a pause after each PART tasks or ids: a million of them take seconds, in which a process
    that does nothing else loses its lease."""
    try:
        snapshot = _decoder.decode(data)
        tasks = _split_tasks(snapshot.tasks)
    except msgspec.MsgspecError as error:
        raise LogCorrupt(f"A snapshot of {len(data)} bytes cannot be read: {error}.") from error
    if snapshot.version not in READABLE_VERSIONS:
        raise LogCorrupt(
            f"A snapshot has version {snapshot.version}, this process reads those up to {SNAPSHOT_VERSION}."
        )
    try:
        table = yield from _restore(snapshot, tasks, parking)
        return table, snapshot.sequence, snapshot.previous
    except msgspec.MsgspecError as error:
        raise LogCorrupt(f"A task in a snapshot of {len(data)} bytes cannot be read: {error}.") from error


def _restore(
    snapshot: _Snapshot, tasks: list[msgspec.Raw], parking: Parking | None
) -> Generator[None, None, TaskTable]:
    table = TaskTable(parking)
    table.epoch = snapshot.epoch
    table.owner = snapshot.owner
    table.time_ms = snapshot.time_ms
    table.next_order = snapshot.next_order
    table.next_lease = snapshot.next_lease
    for begin in range(0, len(tasks), PART):
        for task in map(_decode_task, tasks[begin : begin + PART]):
            _restore_task(table, task)
        yield
    table.leases = {task.lease: task for task in table.tasks.values() if task.lease}
    table.finished = deque(table.tasks[task_id] for task_id in snapshot.finished)
    table.forgotten.extend([each[0] for each in snapshot.forgotten], [each[1] for each in snapshot.forgotten])
    digests, ended_ms = snapshot.forgotten_digests, snapshot.forgotten_ms
    for begin in range(0, max(len(digests), len(ended_ms)), 8 * PART):
        table.forgotten.restore(digests[begin : begin + 8 * PART], ended_ms[begin : begin + 8 * PART])
        yield
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
    table.schedules = ScheduleTable(snapshot.schedules, snapshot.next_generation)
    table.dead_letters = {
        task.task_id: task
        for task in table.finished
        if task.state in DEAD_LETTER_STATES and not task.is_purged
    }
    return table


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
        table.unique.claim(submission)
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
        table.tasks[submission.task_id] = task
