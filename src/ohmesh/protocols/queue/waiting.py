"""Tasks that wait: ready ones in lanes, later ones in a timer heap.

A lane holds the ready tasks of one kind that require the same capabilities: four queues, one for each priority, FIFO
inside. What left the state of waiting (a cancelled task) stays in its queue as a stale entry and is passed over when
its turn comes; a lane is rebuilt when half of it is stale, and the heap likewise.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from ohmesh.model.envelope import slots_of
from ohmesh.model.priority import Priority
from ohmesh.model.task import TaskState
from ohmesh.protocols.queue.task_record import Task

STALE_REBUILD_MIN = 1_000

Rank = Callable[[int, int, int], float]


def is_waiting(task: Task) -> bool:
    return task.state is TaskState.QUEUED or task.state is TaskState.RETRYING


def ready_ms(task: Task) -> int:
    """Since when it could start, which is what its age is counted from."""
    return max(task.submitted_ms, task.due_ms)


class Lane:
    """Ready tasks of one kind and one set of required capabilities."""

    def __init__(self, kind: str, requires: frozenset[str], rank: Rank) -> None:
        self.kind = kind
        self.requires = requires
        self._rank_of = rank
        self._queues: tuple[deque[Task], ...] = tuple(deque() for _ in Priority)
        self._stale = 0
        self._had_envelopes = False

    def __len__(self) -> int:
        """Tasks that wait here (stale entries do not count)."""
        return sum(map(len, self._queues)) - self._stale

    def __iter__(self) -> Iterator[Task]:
        for queue in self._queues:
            yield from filter(is_waiting, queue)

    def push(self, task: Task) -> None:
        if task.submission.items:
            self._had_envelopes = True
        self._queues[task.submission.priority].append(task)

    def push_front(self, task: Task) -> None:
        """For a task that was handed back: it keeps its place before those submitted after it."""
        if task.submission.items:
            self._had_envelopes = True
        self._queues[task.submission.priority].appendleft(task)

    def mark_stale(self) -> None:
        """One task of this lane stopped waiting without having been taken."""
        self._stale += 1
        present = sum(map(len, self._queues))
        if self._stale >= STALE_REBUILD_MIN and self._stale * 2 >= present:
            self._queues = tuple(deque(filter(is_waiting, queue)) for queue in self._queues)
            # Below zero where many ended by one row: those that are marked next are gone already.
            self._stale -= present - sum(map(len, self._queues))

    def best_rank(self, now_ms: int) -> tuple[float, int] | None:
        """(rank, -order) of the task that would be taken next; None when nothing waits."""
        best: tuple[float, int] | None = None
        for queue in self._queues:
            self._drop_stale(queue)
            if queue:
                head = self._rank(queue[0], now_ms)
                if best is None or head > best:
                    best = head
        return best

    def take(self, slots: int, now_ms: int) -> list[Task]:
        """Remove and return the tasks that are to start next in so many slots, at least one."""
        busy = [queue for queue in self._queues if queue]
        if len(busy) == 1 and not self._stale and not self._had_envelopes:
            queue = busy[0]
            return [queue.popleft() for _ in range(min(slots, len(queue)))]
        return self._take_by_rank(slots, now_ms)

    def ranked(self, now_ms: int) -> list[Iterator[tuple[tuple[float, int], Task]]]:
        """For each priority its tasks in the order in which they are to start, each with its rank."""
        return [
            ((self._rank(task, now_ms), task) for task in filter(is_waiting, queue)) for queue in self._queues
        ]

    def _take_by_rank(self, slots: int, now_ms: int) -> list[Task]:
        taken: list[Task] = []
        while slots > 0:
            queue = self._next_queue(now_ms)
            if queue is None:
                self._had_envelopes = False  # nothing at all is left
                break
            task = queue.popleft()
            taken.append(task)
            slots -= slots_of(task.submission.items)
        return taken

    def _next_queue(self, now_ms: int) -> deque[Task] | None:
        best: deque[Task] | None = None
        for queue in reversed(self._queues):
            if queue and self._stale:
                self._drop_stale(queue)
            if queue and (best is None or self._rank(queue[0], now_ms) > self._rank(best[0], now_ms)):
                best = queue
        return best

    def _rank(self, task: Task, now_ms: int) -> tuple[float, int]:
        return self._rank_of(task.submission.priority, ready_ms(task), now_ms), -task.order

    def _drop_stale(self, queue: deque[Task]) -> None:
        while self._stale and queue and not is_waiting(queue[0]):
            queue.popleft()
            self._stale -= 1


def in_order(lanes: Iterable[Lane], now_ms: int) -> Iterator[Task]:
    """What waits in these lanes, in the order in which `take` would hand it out: of each queue the first, by rank."""
    streams = [stream for lane in lanes for stream in lane.ranked(now_ms)]
    for _, task in heapq.merge(*streams, key=lambda ranked: ranked[0], reverse=True):
        yield task


class Waiting:
    """Every task of a shard that waits, found by kind and by due time."""

    def __init__(self, rank: Rank) -> None:
        self._rank = rank
        self._lanes: dict[str, dict[frozenset[str], Lane]] = {}
        self._timers: list[tuple[int, int, Task]] = []
        self._timed: set[int] = set()

    def add(self, task: Task, now_ms: int, *, front: bool = False) -> None:
        if task.due_ms > now_ms:
            heapq.heappush(self._timers, (task.due_ms, task.order, task))
            self._timed.add(task.order)
            return
        lane = self._lane(task)
        if front:
            lane.push_front(task)
        else:
            lane.push(task)

    def forget(self, task: Task) -> None:
        """The task stopped waiting by other means than take(). Its timer, if it has one, is ignored when it fires."""
        if task.order not in self._timed:
            self._lane(task).mark_stale()
            return
        self._timed.discard(task.order)
        if len(self._timers) >= max(STALE_REBUILD_MIN, 2 * len(self._timed)):
            self._timers = [timer for timer in self._timers if timer[1] in self._timed]
            heapq.heapify(self._timers)

    def wake(self, now_ms: int) -> int:
        """Move what is due into its lane; returns how many."""
        woken = 0
        while self._timers and self._timers[0][0] <= now_ms:
            due_ms, order, task = heapq.heappop(self._timers)
            if order in self._timed and task.due_ms == due_ms:
                self._timed.discard(order)
                self._lane(task).push(task)
                woken += 1
        return woken

    def lanes(self, kind: str) -> list[Lane]:
        """Lanes of this kind in which something waits."""
        return [lane for lane in self._lanes.get(kind, {}).values() if len(lane)]

    def of_kind(self, kind: str) -> Iterator[Task]:
        """Every task of this kind that waits, the ready ones first."""
        for lane in self._lanes.get(kind, {}).values():
            yield from lane
        for _, order, task in self._timers:
            if order in self._timed and task.submission.kind == kind:
                yield task

    def is_delayed(self, task: Task) -> bool:
        """It waits for its time, and is in no lane."""
        return task.order in self._timed

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
        """Entries in the heap, ignored ones included."""
        return len(self._timers)

    def kinds(self) -> Iterator[str]:
        yield from self._lanes

    def _lane(self, task: Task) -> Lane:
        submission = task.submission
        lanes = self._lanes.get(submission.kind)
        if lanes is None:
            lanes = self._lanes[submission.kind] = {}
        requires = frozenset(submission.requires)
        lane = lanes.get(requires)
        if lane is None:
            lane = lanes[requires] = Lane(submission.kind, requires, self._rank)
        return lane
