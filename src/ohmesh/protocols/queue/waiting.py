"""Tasks that wait: ready ones in lanes, later ones among timers (timers.py).

A lane holds the ready tasks of one kind that require the same capabilities: four queues, one for each priority, FIFO
inside. What left the state of waiting (a cancelled task) stays in its queue as a stale entry and is passed over when
its turn comes; a lane is rebuilt when half of it is stale.

In front of a queue stand objects. Behind it, where the lane is deep, stretches of parked tasks stand between them as
references; these are taken up when they come to the front.
"""

from __future__ import annotations

import heapq
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from ohmesh.model.envelope import slots_of
from ohmesh.model.priority import Priority
from ohmesh.model.task import TaskState
from ohmesh.protocols.queue.held_tasks import HeldTasks
from ohmesh.protocols.queue.parked import SLOT_BITS
from ohmesh.protocols.queue.task_record import Task
from ohmesh.protocols.queue.timers import Timers

STALE_REBUILD_MIN = 1_000
STRETCH = 1_024
WOKEN_AT_ONCE = 10_000

_PRIORITIES = tuple(map(int, Priority))
_HIGHEST_FIRST = _PRIORITIES[::-1]

Rank = Callable[[int, int, int], float]


class Ranked(NamedTuple):
    """A place in the order of starting. The higher starts first."""

    rank: float
    minus_order: int
    priority: int


def is_waiting(task: Task) -> bool:
    return task.state is TaskState.QUEUED or task.state is TaskState.RETRYING


def ready_ms(task: Task) -> int:
    """Since when it could start, which is what its age is counted from."""
    return max(task.submitted_ms, task.due_ms)


class Lane:
    """Ready tasks of one kind and one set of required capabilities."""

    def __init__(self, kind: str, requires: frozenset[str], rank: Rank, held: HeldTasks) -> None:
        self.kind = kind
        self.requires = requires
        self._rank_of = rank
        self._held = held
        self._parked = held.parked
        self._queues: tuple[deque[Task], ...] = tuple(deque() for _ in _PRIORITIES)
        self._behind: tuple[deque[deque[Task] | array[int]], ...] = tuple(deque() for _ in _PRIORITIES)
        self._stretches = 0
        self._count = 0
        self._stale = 0
        self._had_envelopes = False

    def __len__(self) -> int:
        """Tasks that wait here (stale entries do not count)."""
        return self._count

    def __iter__(self) -> Iterator[Task]:
        """To be read only. Nothing may change meanwhile."""
        for queue, behind in zip(self._queues, self._behind, strict=True):
            yield from filter(is_waiting, queue)
            for stretch in behind:
                if isinstance(stretch, array):
                    yield from map(self._parked.read, filter(self._parked.holds, stretch))
                else:
                    yield from filter(is_waiting, stretch)

    def push(self, task: Task) -> None:
        submission = task.submission
        if submission.items:
            self._had_envelopes = True
        queue = self._queues[submission.priority]
        if self._stretches:
            queue = self._last_of(submission.priority)
        queue.append(task)
        self._count += 1

    def push_front(self, task: Task) -> None:
        """For a task that was handed back: it keeps its place before those submitted after it."""
        if task.submission.items:
            self._had_envelopes = True
        self._queues[task.submission.priority].appendleft(task)
        self._count += 1

    def push_parked(self, ref: int) -> None:
        if self._parked.is_envelope(ref):
            self._had_envelopes = True
        behind = self._behind[self._parked.priority(ref)]
        last = behind[-1] if behind else None
        if not isinstance(last, array) or len(last) >= STRETCH:
            last = array("Q")
            behind.append(last)
            self._stretches += 1
        last.append(ref)
        self._parked.enter_lane(ref)
        self._count += 1

    def mark_stale(self) -> None:
        """One task of this lane stopped waiting without having been taken."""
        self._count -= 1
        self._stale += 1
        if self._stale >= STALE_REBUILD_MIN and self._stale >= self._count:
            self._rebuild()

    def best_rank(self, now_ms: int) -> tuple[float, int] | None:
        """(rank, -order) of the task that would be taken next; None when nothing waits."""
        best: tuple[float, int] | None = None
        for priority in _PRIORITIES:
            head = self._head(priority)
            if head is not None:
                rank = self._rank(head, now_ms)
                if best is None or rank > best:
                    best = rank
        return best

    def take(self, slots: int, now_ms: int) -> list[Task]:
        """Remove and return the tasks that are to start next in so many slots, at least one."""
        if self._stretches:
            for priority in _PRIORITIES:
                self._bring_up(priority, slots)
        busy = [queue for queue in self._queues if queue]
        if len(busy) == 1 and not self._stale and not self._had_envelopes:
            queue = busy[0]
            count = min(slots, len(queue))
            self._count -= count
            return [queue.popleft() for _ in range(count)]
        return self._take_by_rank(slots, now_ms)

    def ranked(self, now_ms: int) -> list[Iterator[Ranked]]:
        """For each priority where its tasks stand in the order in which they are to start."""
        return [self._ranked(priority, now_ms) for priority in _PRIORITIES]

    def _ranked(self, priority: int, now_ms: int) -> Iterator[Ranked]:
        parked, rank = self._parked, self._rank_of
        for stretch in (self._queues[priority], *self._behind[priority]):
            if isinstance(stretch, array):
                for ref in filter(parked.holds, stretch):
                    place = rank(priority, parked.ready_ms(ref), now_ms)
                    yield Ranked(place, -(ref >> SLOT_BITS), priority)
            else:
                for task in filter(is_waiting, stretch):
                    yield Ranked(*self._rank(task, now_ms), priority)

    def _take_by_rank(self, slots: int, now_ms: int) -> list[Task]:
        taken: list[Task] = []
        while slots > 0:
            queue = self._next_queue(now_ms)
            if queue is None:
                self._had_envelopes = False  # nothing at all is left
                break
            task = queue.popleft()
            self._count -= 1
            taken.append(task)
            slots -= slots_of(task.submission.items)
        return taken

    def _next_queue(self, now_ms: int) -> deque[Task] | None:
        best: deque[Task] | None = None
        for priority in _HIGHEST_FIRST:
            if self._head(priority) is None:
                continue
            queue = self._queues[priority]
            if best is None or self._rank(queue[0], now_ms) > self._rank(best[0], now_ms):
                best = queue
        return best

    def _rank(self, task: Task, now_ms: int) -> tuple[float, int]:
        return self._rank_of(task.submission.priority, ready_ms(task), now_ms), -task.order

    def _head(self, priority: int) -> Task | None:
        """The first of this priority that waits; stale ones before it are dropped."""
        queue = self._queues[priority]
        while queue or self._behind[priority]:
            if not queue:
                self._bring_up(priority, 1)
            elif not self._stale or is_waiting(queue[0]):
                return queue[0]
            else:
                queue.popleft()
                self._stale -= 1
        return None

    def _bring_up(self, priority: int, count: int) -> None:
        """Objects stand in front, so many at least, where so many wait."""
        queue, behind = self._queues[priority], self._behind[priority]
        while behind and len(queue) < count:
            stretch = behind[0]
            if isinstance(stretch, array):
                refs = stretch[: count - len(queue)]
                del stretch[: len(refs)]
                present = list(filter(self._parked.holds, refs))
                self._stale -= len(refs) - len(present)
                queue.extend(map(self._held.take_up, present))
            else:
                queue.extend(stretch)
                stretch.clear()
            if not stretch:
                behind.popleft()
                self._stretches -= 1

    def _last_of(self, priority: int) -> deque[Task]:
        """Where the next object of this priority is to stand."""
        behind = self._behind[priority]
        if not behind:
            return self._queues[priority]
        last = behind[-1]
        if isinstance(last, array):
            last = deque()
            behind.append(last)
            self._stretches += 1
        return last

    def _rebuild(self) -> None:
        self._queues = tuple(deque(filter(is_waiting, queue)) for queue in self._queues)
        self._behind = tuple(deque(filter(len, map(self._cleaned, behind))) for behind in self._behind)
        self._stretches = sum(map(len, self._behind))
        entries = sum(map(len, self._queues)) + sum(len(one) for each in self._behind for one in each)
        # Below zero where many ended by one row: those that are marked next are gone already.
        self._stale = entries - self._count

    def _cleaned(self, stretch: deque[Task] | array[int]) -> deque[Task] | array[int]:
        if isinstance(stretch, array):
            return array("Q", filter(self._parked.holds, stretch))
        return deque(filter(is_waiting, stretch))


def in_order(lanes: Iterable[Lane], now_ms: int) -> Iterator[Ranked]:
    """What waits in these lanes, in the order in which `take` would hand it out: of each queue the first, by rank."""
    streams = [stream for lane in lanes for stream in lane.ranked(now_ms)]
    return heapq.merge(*streams, reverse=True)


class Waiting:
    """Every task of a shard that waits, found by kind and by due time."""

    def __init__(self, rank: Rank, held: HeldTasks) -> None:
        self._rank = rank
        self._held = held
        self._parked = held.parked
        self._lanes: dict[str, dict[frozenset[str], Lane]] = {}
        self._timers = Timers(held)

    def add(self, task: Task, now_ms: int, *, front: bool = False) -> None:
        if task.due_ms > now_ms:
            self._timers.add(task)
            return
        lane = self._lane_for(task.submission.kind, task.submission.requires)
        if front:
            lane.push_front(task)
        else:
            lane.push(task)

    def add_parked(self, ref: int, now_ms: int) -> None:
        if self._parked.due_ms(ref) > now_ms:
            self._timers.add_parked(ref)
        else:
            self._lane_for(*self._parked.place(ref)).push_parked(ref)

    def forget(self, task: Task) -> None:
        """This object stopped waiting by other means than take()."""
        if self._timers.has(task):
            self._timers.forget(task)
        else:
            self._lane_for(task.submission.kind, task.submission.requires).mark_stale()

    def withdraw(self, ref: int) -> Task:
        """Take this task up; it stands nowhere any more."""
        due_ms, is_in_lane = self._parked.due_ms(ref), self._parked.is_in_lane(ref)
        task = self._held.take_up(ref)
        if is_in_lane:
            self._lane_for(task.submission.kind, task.submission.requires).mark_stale()
        else:
            self._timers.forget_parked(due_ms)
        return task

    def wake(self, now_ms: int) -> int:
        """Move what is due into its lane, a bounded number at a time; returns how many."""
        woken = 0
        for found in islice(self._timers.take_due(now_ms), WOKEN_AT_ONCE):
            if isinstance(found, int):
                self._lane_for(*self._parked.place(found)).push_parked(found)
            else:
                self._lane_for(found.submission.kind, found.submission.requires).push(found)
            woken += 1
        return woken

    def lanes(self, kind: str) -> list[Lane]:
        """Lanes of this kind in which something waits."""
        return [lane for lane in self._lanes.get(kind, {}).values() if len(lane)]

    def of_kind(self, kind: str) -> Iterator[Task]:
        """Every task of this kind that waits, the ready ones first; to be read only. Nothing may change meanwhile."""
        for lane in self._lanes.get(kind, {}).values():
            yield from lane
        for found in self._timers:
            if not isinstance(found, int):
                if found.submission.kind == kind:
                    yield found
            elif self._parked.place(found)[0] == kind:
                yield self._parked.read(found)

    def is_delayed(self, task: Task) -> bool:
        """It waits for its time, and is in no lane."""
        if self._timers.has(task):
            return True
        ref = self._parked.find(task.task_id) if self._parked.count else 0
        return bool(ref) and not self._parked.is_in_lane(ref)

    def lane_of(self, task: Task) -> Lane | None:
        """Where it stands when it is ready."""
        return self._lanes.get(task.submission.kind, {}).get(frozenset(task.submission.requires))

    def prune(self) -> None:
        """Let go of lanes that are empty: kinds and requirements come from outside, so there may be any number."""
        for kind, lanes in list(self._lanes.items()):
            for requires in [requires for requires, lane in lanes.items() if not len(lane)]:
                del lanes[requires]
            if not lanes:
                del self._lanes[kind]

    def timers(self) -> int:
        """Entries among the timers, stale ones included."""
        return self._timers.entries()

    def kinds(self) -> Iterator[str]:
        yield from self._lanes

    def _lane_for(self, kind: str, required: tuple[str, ...]) -> Lane:
        lanes = self._lanes.get(kind)
        if lanes is None:
            lanes = self._lanes[kind] = {}
        requires = frozenset(required)
        lane = lanes.get(requires)
        if lane is None:
            lane = lanes[requires] = Lane(kind, requires, self._rank, self._held)
        return lane
