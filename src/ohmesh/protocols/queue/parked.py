"""Tasks that wait for long, packed: 65 bytes of MessagePack and about as many in columns instead of a dozen objects.

A task is parked in a slot. A reference is `order << SLOT_BITS | slot`: references sort as their tasks do, and one is
valid as long as its slot still holds that very task. Kind, requirements, priority and times stand in columns, so
that lanes, timers and pages need not unpack a task to pass it over.

Parked or not is representation only. What changes a task takes it up first; `read` gives a copy, to be read only.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from ohmesh.model.task import Submission, TaskState
from ohmesh.protocols.queue.order_index import OrderIndex
from ohmesh.protocols.queue.record_store import RecordStore
from ohmesh.protocols.queue.task_record import Task
from ohmesh.protocols.queue.word_set import SPREAD_SHIFT, WordSet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ohmesh.protocols.queue.plain_tasks import PlainTasks

SLOT_BITS = 24
SLOT_MASK = (1 << SLOT_BITS) - 1
_HASH_MASK = (1 << 64 - SPREAD_SHIFT) - 1
_KEPT_SLOTS = 1_024
_SPAN_MS = (1 << 32) - 1  # 49 days

_PRIORITY = 3
_WHOLE = 4  # the record is that of a task, not only of its submission
_RETRYING = 8
_ENVELOPE = 16
_IN_LANE = 32
_UNIQUE = 64
_STRING_5, _STRING_8 = 31, 0xD9  # MessagePack: a mask for the length of a short string; of a longer one
_NOT_PLAIN = _WHOLE | _ENVELOPE | _UNIQUE

Place = tuple[str, tuple[str, ...]]
Note = str | tuple[str, ...]
_Shared = tuple[str, tuple[str, ...], Note | None]

_encode = msgspec.msgpack.Encoder().encode
_NO_SUBMISSION = Submission("", "", b"")
# What stands around submission, order, time of submission and due time of a task that has only been submitted.
_ID_AT = _encode(Submission("id", "", b"")).index(_encode("id"))
_A, _B, _C = (1 << 60) + 1, (1 << 60) + 2, (1 << 60) + 3
_HEAD, _, _tail = _encode(Task(_NO_SUBMISSION, _A, _B, due_ms=_C)).partition(
    _encode(_NO_SUBMISSION) + _encode(_A) + _encode(_B)
)
_MIDDLE, _, _END = _tail.partition(_encode(_C))
_submission = msgspec.msgpack.Decoder(Submission).decode
_task = msgspec.msgpack.Decoder(Task).decode


@dataclass(frozen=True, slots=True)
class Parking:
    """Which tasks are parked.

    delay_ms: those that may not start for longer than this. waiting: those of a kind beyond so many that wait."""

    delay_ms: int = 60_000
    waiting: int = 10_000


class _SharedValues:
    """Kind, requirements and note, of which few are many tasks': each has a number while any task has it."""

    def __init__(self) -> None:
        self.values: list[_Shared | None] = []
        self._numbers: dict[_Shared, int] = {}
        self._uses = array("I")
        self._free: list[int] = []

    def of(self, number: int) -> _Shared:
        value = self.values[number]
        assert value is not None
        return value

    def take(self, value: _Shared, uses: int = 1) -> int:
        number = self._numbers.get(value)
        if number is None:
            number = self._numbers[value] = self._free.pop() if self._free else len(self.values)
            if number == len(self.values):
                self.values.append(value)
                self._uses.append(0)
            self.values[number] = value
        self._uses[number] += uses
        return number

    def give_back(self, number: int) -> None:
        self._uses[number] -= 1
        if not self._uses[number]:
            del self._numbers[self.of(number)]
            self.values[number] = None
            self._free.append(number)


class ParkedTasks:
    """`notes`: what is noted of tasks that are not parked; a note goes with its task."""

    def __init__(self) -> None:
        self.notes: dict[str, Note] = {}
        self.queued: Counter[str] = Counter()
        self._begin()

    def _begin(self) -> None:
        self.count = 0
        self._refs = array(
            "Q", (0,)
        )  # slot 0 is none, so that no reference to a slot looks as if there were none
        self._due = array("Q", (0,))
        self._submitted = array("I", (0,))  # ms since _since_ms
        self._since_ms = 0
        self._shared = array("I", (0,))
        self._flags = array("B", (0,))
        self._free = array("I")
        self._records = RecordStore()
        self._ids = WordSet()
        self._by_order = OrderIndex()
        self._values = _SharedValues()
        self._words: list[NDArray[np.uint64]] = []

    # Parking and taking up

    def park_submission(self, submission: Submission, order: int, submitted_ms: int) -> int:
        """A task that has only been submitted; returns its reference."""
        if not self.count:
            self._since_ms = submitted_ms
        if not 0 <= submitted_ms - self._since_ms <= _SPAN_MS:
            return self._park_whole(Task(submission, order, submitted_ms, due_ms=submission.due_ms))
        flags = (_ENVELOPE if submission.items else 0) | (_UNIQUE if submission.unique else 0)
        self.queued[submission.kind] += submission.items or 1
        times = (submission.due_ms, submitted_ms - self._since_ms)
        return self._park(submission, order, times, flags, _encode(submission))

    def park(self, task: Task) -> int:
        """A task that waits and has no lease; returns its reference."""
        submission = task.submission
        if task == Task(submission, task.order, task.submitted_ms, due_ms=submission.due_ms):
            return self.park_submission(submission, task.order, task.submitted_ms)
        return self._park_whole(task)

    def _park_whole(self, task: Task) -> int:
        submission = task.submission
        flags = _WHOLE | (_ENVELOPE if submission.items else 0)
        if task.state is TaskState.RETRYING:
            flags |= _RETRYING
        else:
            self.queued[submission.kind] += task.count
        return self._park(submission, task.order, (task.due_ms, 0), flags, _encode(task))

    def take_up(self, ref: int) -> Task:
        """The task, which is parked no more; its note is with the others."""
        slot = ref & SLOT_MASK
        task = self.read(ref)
        task_id, kind = task.submission.task_id, task.submission.kind
        if not self._flags[slot] & _RETRYING:
            self.queued[kind] -= task.count
            if not self.queued[kind]:
                del self.queued[kind]
        shared = self._shared[slot]
        _, _, note = self._values.of(shared)
        if note is not None:
            self.notes[task_id] = note
        self._values.give_back(shared)
        self._ids.remove(_word(task_id) | slot)
        self._by_order.remove(ref)
        self._records.drop(slot)
        self._refs[slot] = 0
        self._free.append(slot)
        self.count -= 1
        if not self.count and len(self._refs) > _KEPT_SLOTS:
            self._begin()
        return task

    def _park(
        self, submission: Submission, order: int, times: tuple[int, int], flags: int, record: bytes
    ) -> int:
        due_ms, since_ms = times
        task_id = submission.task_id
        flags |= submission.priority & _PRIORITY
        note = self.notes.pop(task_id, None) if self.notes else None
        shared = self._values.take((submission.kind, submission.requires, note))
        if self._free:
            slot = self._free.pop()
            ref = self._refs[slot] = order << SLOT_BITS | slot
            self._due[slot], self._submitted[slot] = due_ms, since_ms
            self._shared[slot], self._flags[slot] = shared, flags
        else:
            slot = len(self._refs)
            ref = order << SLOT_BITS | slot
            self._refs.append(ref)
            self._due.append(due_ms)
            self._submitted.append(since_ms)
            self._shared.append(shared)
            self._flags.append(flags)
        self._records.put(slot, record)
        self._ids.add(_word(task_id) | slot)
        self._by_order.add(ref)
        self.count += 1
        return ref

    # Restoring many

    def can_park_all(self, plain: PlainTasks) -> bool:
        """Else each has to be parked by itself."""
        since = self._since_ms if self.count else int(plain.submitted_ms[0])
        is_near = since <= int(plain.submitted_ms.min()) and int(plain.submitted_ms.max()) - since <= _SPAN_MS
        return is_near and not self._free and not self.notes and not any("." in each for each in plain.ids)

    def park_all(self, plain: PlainTasks) -> None:
        """They are found once `index` has been gone through."""
        import numpy as np  # 80 ms, for who restores a large snapshot and nobody else

        if not self.count:
            self._since_ms = int(plain.submitted_ms[0])
        count = len(plain.ids)
        slots = np.arange(len(self._refs), len(self._refs) + count, dtype=np.uint64)
        refs = plain.orders << np.uint64(SLOT_BITS) | slots
        numbers = []
        for (kind, requires), uses in plain.counts():
            numbers.append(self._values.take((kind, requires, None), uses))
            self.queued[kind] += uses
        spread = np.fromiter(map(hash, plain.ids), np.int64, count).view(np.uint64) & np.uint64(_HASH_MASK)
        self._words.append(spread << np.uint64(SPREAD_SHIFT) | slots)
        self._refs.frombytes(refs.tobytes())
        self._due.frombytes(plain.due_ms.astype(np.uint64).tobytes())
        submitted = plain.submitted_ms - np.uint64(self._since_ms)
        self._submitted.frombytes(submitted.astype(np.uint32).tobytes())
        self._shared.frombytes(np.array(numbers, np.uint32)[plain.place_of].tobytes())
        self._flags.frombytes((plain.priorities & np.uint8(_PRIORITY)).tobytes())
        self._records.put_all(plain.records)
        self._by_order.extend(array("Q", refs.tobytes()))
        self.count += count

    def index(self) -> Iterator[None]:
        """What was parked by `park_all` can be found then; with pauses."""
        if self._words:
            import numpy as np  # 80 ms, for who restores a large snapshot and nobody else

            words, self._words = np.concatenate(self._words), []
            yield from self._ids.update_sorted(words)

    # Finding and reading

    def find(self, task_id: str) -> int:
        """The reference of this task; 0 where it is not parked."""
        for word in self._ids.alike(hash(task_id) & _HASH_MASK):
            slot = word & SLOT_MASK
            id_at = _ID_AT + (len(_HEAD) if self._flags[slot] & _WHOLE else 0)
            if self._records.has_at(slot, id_at, _encode(task_id)):
                return self._refs[slot]
        return 0

    def holds(self, ref: int) -> bool:
        """It is still there, and is parked."""
        slot = ref & SLOT_MASK
        return slot < len(self._refs) and self._refs[slot] == ref

    def read(self, ref: int) -> Task:
        slot = ref & SLOT_MASK
        record = self._records.get(slot)
        if self._flags[slot] & _WHOLE:
            return _task(record)
        submitted_ms = self._since_ms + self._submitted[slot]
        return Task(_submission(record), ref >> SLOT_BITS, submitted_ms, due_ms=self._due[slot])

    def in_order(self) -> Iterator[int]:
        """References, as their tasks were submitted. Nothing may be parked or taken up meanwhile."""
        return iter(self._by_order)

    def frozen_order(self) -> Iterator[int]:
        """As in_order, of those that are here now, whatever changes meanwhile."""
        return self._by_order.frozen()

    def newest_first(self, below_order: int | None, kind: str, state: str) -> Iterator[int]:
        """Those below this order (None: all), of this kind and in this state ("" is any)."""
        bound = below_order << SLOT_BITS if below_order is not None else 1 << 64
        wanted = (0, _RETRYING) if not state else (_RETRYING,) if state == TaskState.RETRYING else (0,)
        if state and state not in (TaskState.QUEUED, TaskState.RETRYING):
            return
        values = {
            number
            for number, value in enumerate(self._values.values)
            if value is not None and (not kind or value[0] == kind)
        }
        if not values:
            return
        flags, of_slot = self._flags, self._shared
        for ref in self._by_order.below(bound):
            slot = ref & SLOT_MASK
            if of_slot[slot] in values and flags[slot] & _RETRYING in wanted:
                yield ref

    # Columns

    def due_ms(self, ref: int) -> int:
        return self._due[ref & SLOT_MASK]

    def ready_ms(self, ref: int) -> int:
        """As that of a task in waiting.py."""
        slot = ref & SLOT_MASK
        if self._flags[slot] & _WHOLE:
            return max(self._due[slot], self.read(ref).submitted_ms)
        return max(self._due[slot], self._since_ms + self._submitted[slot])

    def priority(self, ref: int) -> int:
        return self._flags[ref & SLOT_MASK] & _PRIORITY

    def is_envelope(self, ref: int) -> bool:
        return bool(self._flags[ref & SLOT_MASK] & _ENVELOPE)

    def place(self, ref: int) -> Place:
        """Its kind and what it requires."""
        kind, requires, _ = self._values.of(self._shared[ref & SLOT_MASK])
        return kind, requires

    def is_in_lane(self, ref: int) -> bool:
        return bool(self._flags[ref & SLOT_MASK] & _IN_LANE)

    def enter_lane(self, ref: int) -> None:
        self._flags[ref & SLOT_MASK] |= _IN_LANE

    def note(self, ref: int) -> Note | None:
        return self._values.of(self._shared[ref & SLOT_MASK])[2]

    def set_note(self, ref: int, note: Note) -> None:
        slot = ref & SLOT_MASK
        former = self._shared[slot]
        self._shared[slot] = self._values.take((*self.place(ref), note))
        self._values.give_back(former)

    def submitted_ms(self, ref: int) -> int:
        """Of one that has a `plain_record`."""
        return self._since_ms + self._submitted[ref & SLOT_MASK]

    def plain_record(self, ref: int) -> bytes | bytearray | None:
        """MessagePack of its submission, where nothing else is known of it and that has neither key nor items."""
        slot = ref & SLOT_MASK
        return None if self._flags[slot] & _NOT_PLAIN else self._records.get(slot)

    def encoded(self, ref: int) -> bytes | bytearray:
        """MessagePack of the task."""
        slot = ref & SLOT_MASK
        record = self._records.get(slot)
        if self._flags[slot] & _WHOLE:
            return record
        submitted_ms = self._since_ms + self._submitted[slot]
        order, due_ms = ref >> SLOT_BITS, self._due[slot]
        return b"".join(
            (_HEAD, record, _encode(order), _encode(submitted_ms), _MIDDLE, _encode(due_ms), _END)
        )


def ids_of(records: Sequence[bytes]) -> list[str]:
    """Of submissions in MessagePack."""
    return [
        (
            record[_ID_AT + 2 : _ID_AT + 2 + record[_ID_AT + 1]]
            if record[_ID_AT] == _STRING_8
            else record[_ID_AT + 1 : _ID_AT + 1 + (record[_ID_AT] & _STRING_5)]
        ).decode()
        for record in records
    ]


def _word(task_id: str) -> int:
    """Of one process only: its strings hash otherwise than those of another."""
    return (hash(task_id) & _HASH_MASK) << SPREAD_SHIFT
