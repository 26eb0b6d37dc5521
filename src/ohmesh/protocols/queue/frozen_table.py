"""A table as it was at one sequence, encoded in slices while rows go on changing it.

What is about to change, and has not been encoded yet, is copied first (copy on write): before each row the tasks that
it names, before a parked task is taken up that task. So whatever happens between two slices, the bytes are those that
would have come of encoding the whole at once. Outside of this nothing pays for it: while no table is frozen, rows are
applied as ever.
"""

from __future__ import annotations

import copy
from array import array
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from ohmesh.protocols.queue import rows as r
from ohmesh.protocols.queue.parked import SLOT_BITS, ParkedTasks, ids_of
from ohmesh.protocols.queue.snapshot_form import Header, Slice, encode_header, encode_slice, to_bytes
from ohmesh.protocols.queue.task_record import Task

if TYPE_CHECKING:
    from ohmesh.protocols.queue.task_table import TaskTable

SLICE = 500  # tasks
SLICE_BYTES = 128_000
_SMALL = 4_096  # ids, digests or times in one slice
_HOSTS = 50

_encode = msgspec.msgpack.Encoder().encode
_Naming = Callable[["TaskTable", r.Row], Iterable[Task | None]]


def _by_id(
    table: TaskTable, row: r.Granted | r.Cancelled | r.Requeued | r.DeadLettersPurged
) -> Iterable[Task | None]:
    return map(table.tasks.get, row.task_ids)


def _by_lease(table: TaskTable, row: r.Succeeded | r.Returned | r.Released) -> Iterable[Task | None]:
    return map(table.leases.get, row.leases)


def _one_by_lease(table: TaskTable, row: r.Failed) -> Iterable[Task | None]:
    return (table.leases.get(row.lease),)


def _one_by_id(table: TaskTable, row: r.Opened | r.ItemsCancelled) -> Iterable[Task | None]:
    return (table.tasks.get(row.task_id),)


# Which tasks, held as objects, a row changes. What is forgotten is let go of as it is; the rest touches none.
CHANGED: dict[type, Callable[..., Iterable[Task | None]]] = {
    r.Granted: _by_id,
    r.Cancelled: _by_id,
    r.Requeued: _by_id,
    r.DeadLettersPurged: _by_id,
    r.Succeeded: _by_lease,
    r.Returned: _by_lease,
    r.Released: _by_lease,
    r.Failed: _one_by_lease,
    r.Opened: _one_by_id,
    r.ItemsCancelled: _one_by_id,
}


class FrozenTable:
    """`sequence` is that of the last frame applied, `previous` its digest. Unless it is frozen by `freeze`, the table
    must not change until all slices are taken."""

    def __init__(self, table: TaskTable, sequence: int, previous: bytes, *, slice_tasks: int = SLICE) -> None:
        self._table = table
        self._parked = table.parked
        self._entries = table.frozen_order()
        self._finished = iter(list(table.finished))
        self._hosts = iter(list(table.hosts.values()))
        self._kept_keys = iter(table.unique.columns())
        self._digests, self._ended_ms = table.forgotten.frozen()
        self._beyond = table.next_order
        self._passed = 0
        self._slice_tasks = slice_tasks
        self._kept: dict[str | int, Task] = {}
        self.header = encode_header(Header.of(table, sequence, previous))

    @property
    def kept(self) -> int:
        """Copies that are held: of tasks that have changed and are not encoded yet."""
        return len(self._kept)

    def freeze(self) -> FrozenTable:
        """From now on the table may change. Call `thaw` at the end: at most one freezes a table at a time."""
        table = self._table
        assert table.freezer is None, "a table is frozen twice"
        table.freezer = self
        for kind, changed in CHANGED.items():
            table.appliers[kind] = partial(self._apply, changed, table.appliers[kind])
        return self

    def thaw(self) -> None:
        """Copy no more. Harmless where it is not frozen."""
        table = self._table
        if table.freezer is self:
            table.freezer = None
            for kind in CHANGED:
                table.appliers[kind] = table.appliers[kind].args[1]  # type: ignore[attr-defined]  # the partial above
        self._kept.clear()

    def slices(self) -> Iterator[bytes]:
        """What stands behind the header, in pieces of about a millisecond each."""
        while self._passed < self._beyond:
            piece = self._next_tasks()
            if piece is None:
                self._passed = self._beyond
            else:
                yield encode_slice(piece)
        self.thaw()
        while ids := [task.submission.task_id for task in islice(self._finished, _SMALL)]:
            yield encode_slice(Slice(finished=ids))
        while hosts := list(islice(self._hosts, _HOSTS)):
            yield encode_slice(Slice(hosts=hosts))
        while keys := list(islice(self._kept_keys, _SMALL // 4)):
            yield encode_slice(Slice(kept_keys=keys))
        while times := array("Q", islice(self._ended_ms, _SMALL)):
            digests = array("Q", islice(self._digests, _SMALL))
            yield encode_slice(Slice(digests=to_bytes(digests), ended_ms=to_bytes(times)))

    def keep_parked(self, ref: int) -> None:
        """This one is about to be parked no more."""
        if self._passed < ref >> SLOT_BITS < self._beyond and ref not in self._kept:
            self._kept[ref] = self._parked.read(ref)

    def _apply(self, changed: _Naming, apply: Callable[[r.Row], None], row: r.Row) -> None:
        for task in changed(self._table, row):
            if task is not None and self._passed < task.order < self._beyond:
                task_id = task.submission.task_id
                if task_id not in self._kept:
                    self._kept[task_id] = copy.copy(task)
        apply(row)

    def _next_tasks(self) -> Slice | None:
        """Tasks of which nothing is known but their submission stand in columns, however they are held here."""
        tasks: list[msgspec.Raw] = []
        plain = _Columns()
        size = 0
        for entry in islice(self._entries, self._slice_tasks):
            if isinstance(entry, int):
                self._passed = entry >> SLOT_BITS
                task = self._kept.pop(entry, None)
                record = self._parked.plain_record(entry) if task is None else None
                if record is not None:
                    plain.add_parked(self._parked, entry, record)
                    size += len(record)
                    continue
                task = task or self._parked.read(entry)
            else:
                self._passed = entry.order
                task = self._kept.pop(entry.submission.task_id, entry)
            if is_plain(task):
                size += plain.add(task)
            else:
                tasks.append(msgspec.Raw(_encode(task)))
                size += len(tasks[-1])
            if size >= SLICE_BYTES:
                break
        return plain.slice(tasks) if size else None


def is_plain(task: Task) -> bool:
    """It has been submitted, and that is all; it has no unique key and is no envelope."""
    submission = task.submission
    if task.attempts or task.lease or submission.items or submission.unique:
        return False
    return task == Task(submission, task.order, task.submitted_ms, due_ms=submission.due_ms)


class _Columns:
    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.orders, self.submitted, self.due = array("Q"), array("Q"), array("Q")
        self.places: dict[tuple[str, tuple[str, ...]], int] = {}
        self.place_of = array("H")
        self.priorities = bytearray()

    def add(self, task: Task) -> int:
        """How many bytes its record has."""
        submission = task.submission
        record = _encode(submission)
        self.records.append(record)
        self.orders.append(task.order)
        self.submitted.append(task.submitted_ms)
        self.due.append(task.due_ms)
        place = submission.kind, submission.requires
        self.place_of.append(self.places.setdefault(place, len(self.places)))
        self.priorities.append(submission.priority)
        return len(record)

    def add_parked(self, parked: ParkedTasks, ref: int, record: bytes | bytearray) -> None:
        self.records.append(bytes(record))
        self.orders.append(ref >> SLOT_BITS)
        self.submitted.append(parked.submitted_ms(ref))
        self.due.append(parked.due_ms(ref))
        self.place_of.append(self.places.setdefault(parked.place(ref), len(self.places)))
        self.priorities.append(parked.priority(ref))

    def slice(self, tasks: list[msgspec.Raw]) -> Slice:
        return Slice(
            tasks,
            ids_of(self.records),
            self.records,
            to_bytes(self.orders),
            to_bytes(self.submitted),
            to_bytes(self.due),
            list(self.places),
            to_bytes(self.place_of),
            bytes(self.priorities),
        )
