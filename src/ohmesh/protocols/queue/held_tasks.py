"""The tasks that a table holds: most as objects, those that wait for long parked.

`tasks` has the objects, by id. They stand in the order of `order` until one that was parked is taken up.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from operator import attrgetter, is_
from typing import Protocol

from ohmesh.errors import LogCorrupt
from ohmesh.protocols.queue import envelopes
from ohmesh.protocols.queue.parked import SLOT_BITS, ParkedTasks, Parking
from ohmesh.protocols.queue.task_record import Task

_order = attrgetter("order")


class Freezer(Protocol):
    """Wants the tasks as they are now (frozen_table.py)."""

    def keep_parked(self, ref: int) -> None: ...


class HeldTasks:
    def __init__(self, parking: Parking | None = None) -> None:
        self.tasks: dict[str, Task] = {}
        self.parked = ParkedTasks()
        self.parking = parking or Parking()
        self.freezer: Freezer | None = None
        self._is_sorted = True

    def holds(self, task_id: str) -> bool:
        """It is a task here, and no item of an envelope."""
        return task_id in self.tasks or bool(self.parked.count and self.parked.find(task_id))

    def whole(self, task_id: str) -> Task | None:
        """The task of this id, no item of an envelope; to be read only."""
        task = self.tasks.get(task_id)
        if task is None and self.parked.count and (ref := self.parked.find(task_id)):
            return self.parked.read(ref)
        return task

    def find(self, task_id: str) -> Task | None:
        """The task of this id, or the item of an envelope as if it were one; to be read only."""
        return self.whole(task_id) or envelopes.find_item(self.whole, task_id)

    def known(self, task_id: str) -> Task:
        """The task itself, to be changed by a row. Raises LogCorrupt."""
        task = self.tasks.get(task_id)
        if task is None:
            ref = self.parked.find(task_id) if self.parked.count else 0
            if not ref:
                raise LogCorrupt(f"A row speaks of task {task_id}, which is not in the table.")
            task = self.take_up(ref)
        return task

    def take_up(self, ref: int) -> Task:
        """The task itself, parked no more."""
        if self.freezer is not None:
            self.freezer.keep_parked(ref)
        task = self.parked.take_up(ref)
        self.tasks[task.submission.task_id] = task
        self._is_sorted = False
        return task

    def park(self, task: Task) -> int:
        """It waits and has no lease. The object is the task no more."""
        del self.tasks[task.submission.task_id]
        return self.parked.park(task)

    def restore(self, task: Task) -> None:
        """One that a snapshot holds, as an object."""
        self.tasks[task.submission.task_id] = task
        self._is_sorted = False

    def every(self) -> Iterator[Task]:
        """All tasks, in no order; to be read only. Nothing may change meanwhile."""
        yield from self.tasks.values()
        yield from map(self.parked.read, self.parked.in_order())

    def in_order(self) -> Iterator[Task | int]:
        """All tasks as they were submitted, the parked ones as references. Nothing may change meanwhile."""
        objects: Iterator[Task | int] = reversed(list(self._newest_objects()))
        return heapq.merge(objects, self.parked.in_order(), key=_order_of)

    def frozen_order(self) -> Iterator[Task | int]:
        """As in_order, of those that are here now, whatever changes meanwhile: what they are is for others to keep."""
        objects: Iterator[Task | int] = reversed(list(self._newest_objects()))
        return heapq.merge(objects, self.parked.frozen_order(), key=_order_of)

    def newest_first(self, below_order: int | None = None, kind: str = "", state: str = "") -> Iterator[Task]:
        """Those below this order (None: all), of this kind and in this state ("" is any); to be read only."""
        refs = self.parked.newest_first(below_order, kind, state) if self.parked.count else iter(())
        ref = next(refs, 0)
        objects = self._newest_objects()
        # A page may be far from here, or hardly any task be meant: what is passed over must not take long.
        if below_order is not None:
            objects = [task for task in objects if task.order < below_order]
        if state:
            objects = [task for task in objects if task.state == state]
        if kind:
            objects = [task for task in objects if task.submission.kind == kind]
        for task in objects:
            while ref >> SLOT_BITS > task.order:
                yield self.parked.read(ref)
                ref = next(refs, 0)
            yield task
        while ref:
            yield self.parked.read(ref)
            ref = next(refs, 0)

    def _newest_objects(self) -> Iterable[Task]:
        if self._is_sorted:
            return reversed(self.tasks.values())
        stood = list(reversed(self.tasks.values()))
        tasks = sorted(stood, key=_order, reverse=True)
        self._is_sorted = all(map(is_, stood, tasks))
        return tasks


def _order_of(held: Task | int) -> int:
    return held >> SLOT_BITS if isinstance(held, int) else held.order
