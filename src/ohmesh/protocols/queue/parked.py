"""Tasks that wait for long, packed: 65 bytes of MessagePack and about as many in columns instead of a dozen objects.

A task is parked in a slot. A reference is `order << SLOT_BITS | slot`: references sort as their tasks do, and one is
valid as long as its slot still holds that very task. Kind, requirements, priority and times stand in columns, so
that lanes, timers and pages need not unpack a task to pass it over.

Parked or not is representation only. What changes a task takes it up first; `read` gives a copy, to be read only.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from ohmesh.model.task import Submission, TaskState
from ohmesh.protocols.queue.order_index import OrderIndex
from ohmesh.protocols.queue.record_store import RecordStore
from ohmesh.protocols.queue.task_record import Task
from ohmesh.protocols.queue.word_set import SPREAD_SHIFT, WordSet

SLOT_BITS = 24
SLOT_MASK = (1 << SLOT_BITS) - 1
_HASH_MASK = (1 << 64 - SPREAD_SHIFT) - 1
_KEPT_SLOTS = 1_024

_PRIORITY = 3
_WHOLE = 4  # the record is that of a task, not only of its submission
_RETRYING = 8
_ENVELOPE = 16
_IN_LANE = 32

Note = str | tuple[str, ...]
Place = tuple[str, tuple[str, ...]]
Value = TypeVar("Value", bound=Hashable)

_encode = msgspec.msgpack.Encoder().encode
_NO_SUBMISSION = Submission("", "", b"")
_HEAD, _, _ = _encode(Task(_NO_SUBMISSION, 0, 0)).partition(_encode(_NO_SUBMISSION))
_TAIL_AT = len(_HEAD) + len(_encode(_NO_SUBMISSION))
_submission = msgspec.msgpack.Decoder(Submission).decode
_task = msgspec.msgpack.Decoder(Task).decode


@dataclass(frozen=True, slots=True)
class Parking:
    """Which tasks are parked.

    delay_ms: those that may not start for longer than this. waiting: those of a kind beyond so many that wait."""

    delay_ms: int = 60_000
    waiting: int = 10_000


class _Shared(Generic[Value]):
    """Few values that many tasks have: each has a number while any of them does."""

    def __init__(self) -> None:
        self.values: list[Value | None] = []
        self._numbers: dict[Value, int] = {}
        self._uses = array("Q")
        self._free: list[int] = []

    def take(self, value: Value) -> int:
        number = self._numbers.get(value)
        if number is None:
            number = self._numbers[value] = self._free.pop() if self._free else len(self.values)
            if number == len(self.values):
                self.values.append(value)
                self._uses.append(0)
            self.values[number] = value
        self._uses[number] += 1
        return number

    def give_back(self, number: int) -> None:
        self._uses[number] -= 1
        if not self._uses[number]:
            value = self.values[number]
            assert value is not None
            del self._numbers[value]
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
        self._submitted = array("Q", (0,))
        self._places = array("I", (0,))
        self._notes = array("I", (0,))
        self._flags = array("B", (0,))
        self._free = array("I")
        self._records = RecordStore()
        self._ids = WordSet()
        self._by_order = OrderIndex()
        self._shared_places: _Shared[Place] = _Shared()
        self._shared_notes: _Shared[Note] = _Shared()

    # Parking and taking up

    def park_submission(self, submission: Submission, order: int, submitted_ms: int) -> int:
        """A task that has only been submitted; returns its reference."""
        flags = _ENVELOPE if submission.items else 0
        self.queued[submission.kind] += submission.items or 1
        times = (submission.due_ms, submitted_ms)
        return self._park(submission, order, times, flags, _encode(submission))

    def park(self, task: Task) -> int:
        """A task that waits and has no lease; returns its reference."""
        submission = task.submission
        if task == Task(submission, task.order, task.submitted_ms, due_ms=submission.due_ms):
            return self.park_submission(submission, task.order, task.submitted_ms)
        flags = _WHOLE | (_ENVELOPE if submission.items else 0)
        if task.state is TaskState.RETRYING:
            flags |= _RETRYING
        else:
            self.queued[submission.kind] += task.count
        return self._park(submission, task.order, (task.due_ms, task.submitted_ms), flags, _encode(task))

    def take_up(self, ref: int) -> Task:
        """The task, which is parked no more; its note is with the others."""
        slot = ref & SLOT_MASK
        task = self.read(ref)
        task_id, kind = task.submission.task_id, task.submission.kind
        if not self._flags[slot] & _RETRYING:
            self.queued[kind] -= task.count
            if not self.queued[kind]:
                del self.queued[kind]
        if note := self._notes[slot]:
            value = self._shared_notes.values[note - 1]
            assert value is not None
            self.notes[task_id] = value
            self._shared_notes.give_back(note - 1)
        self._shared_places.give_back(self._places[slot])
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
        due_ms, submitted_ms = times
        task_id = submission.task_id
        flags |= submission.priority & _PRIORITY
        place = self._shared_places.take((submission.kind, submission.requires))
        noted = self.notes.pop(task_id, None) if self.notes else None
        note = self._shared_notes.take(noted) + 1 if noted is not None else 0
        if self._free:
            slot = self._free.pop()
            ref = self._refs[slot] = order << SLOT_BITS | slot
            self._due[slot], self._submitted[slot] = due_ms, submitted_ms
            self._places[slot], self._notes[slot], self._flags[slot] = place, note, flags
        else:
            slot = len(self._refs)
            ref = order << SLOT_BITS | slot
            self._refs.append(ref)
            self._due.append(due_ms)
            self._submitted.append(submitted_ms)
            self._places.append(place)
            self._notes.append(note)
            self._flags.append(flags)
        self._records.put(slot, record)
        self._ids.add(_word(task_id) | slot)
        self._by_order.add(ref)
        self.count += 1
        return ref

    # Finding and reading

    def find(self, task_id: str) -> int:
        """The reference of this task; 0 where it is not parked."""
        for word in self._ids.alike(hash(task_id) & _HASH_MASK):
            slot = word & SLOT_MASK
            if self._submission(slot).task_id == task_id:
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
        return Task(_submission(record), ref >> SLOT_BITS, self._submitted[slot], due_ms=self._due[slot])

    def in_order(self) -> Iterator[int]:
        """References, as their tasks were submitted. Nothing may be parked or taken up meanwhile."""
        return iter(self._by_order)

    def newest_first(self, below_order: int | None, kind: str, state: str) -> Iterator[int]:
        """Those below this order (None: all), of this kind and in this state ("" is any)."""
        bound = below_order << SLOT_BITS if below_order is not None else 1 << 64
        wanted = (0, _RETRYING) if not state else (_RETRYING,) if state == TaskState.RETRYING else (0,)
        if state and state not in (TaskState.QUEUED, TaskState.RETRYING):
            return
        places = {
            number
            for number, place in enumerate(self._shared_places.values)
            if place is not None and (not kind or place[0] == kind)
        }
        if not places:
            return
        flags, of_slot = self._flags, self._places
        for ref in self._by_order.below(bound):
            slot = ref & SLOT_MASK
            if of_slot[slot] in places and flags[slot] & _RETRYING in wanted:
                yield ref

    # Columns

    def due_ms(self, ref: int) -> int:
        return self._due[ref & SLOT_MASK]

    def ready_ms(self, ref: int) -> int:
        """As that of a task in waiting.py."""
        slot = ref & SLOT_MASK
        return max(self._due[slot], self._submitted[slot])

    def priority(self, ref: int) -> int:
        return self._flags[ref & SLOT_MASK] & _PRIORITY

    def is_envelope(self, ref: int) -> bool:
        return bool(self._flags[ref & SLOT_MASK] & _ENVELOPE)

    def place(self, ref: int) -> Place:
        """Its kind and what it requires."""
        place = self._shared_places.values[self._places[ref & SLOT_MASK]]
        assert place is not None
        return place

    def is_in_lane(self, ref: int) -> bool:
        return bool(self._flags[ref & SLOT_MASK] & _IN_LANE)

    def enter_lane(self, ref: int) -> None:
        self._flags[ref & SLOT_MASK] |= _IN_LANE

    def note(self, ref: int) -> Note | None:
        number = self._notes[ref & SLOT_MASK]
        return self._shared_notes.values[number - 1] if number else None

    def set_note(self, ref: int, note: Note) -> None:
        slot = ref & SLOT_MASK
        former = self._notes[slot]
        self._notes[slot] = self._shared_notes.take(note) + 1
        if former:
            self._shared_notes.give_back(former - 1)

    def encoded(self, ref: int) -> bytes | bytearray:
        """MessagePack of the task."""
        slot = ref & SLOT_MASK
        record = self._records.get(slot)
        if self._flags[slot] & _WHOLE:
            return record
        rest = Task(_NO_SUBMISSION, ref >> SLOT_BITS, self._submitted[slot], due_ms=self._due[slot])
        return _HEAD + record + _encode(rest)[_TAIL_AT:]

    def _submission(self, slot: int) -> Submission:
        record = self._records.get(slot)
        return _task(record).submission if self._flags[slot] & _WHOLE else _submission(record)


def _word(task_id: str) -> int:
    """Of one process only: its strings hash otherwise than those of another."""
    return (hash(task_id) & _HASH_MASK) << SPREAD_SHIFT
