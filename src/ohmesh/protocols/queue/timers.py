"""Tasks that wait for their time: a calendar of flat arrays, 8 bytes for each that is parked.

What is due within a page of 33 seconds stands in an array of its own, unsorted, until that page is opened; then it is
sorted once by due time. What comes later and is due in pages that are open already stands in a heap. So adding
takes no time that grows, and what is due in a year is not touched for a year.

What leaves by other means (a cancelled task) stays as a stale entry; a page is rid of them when half of it is stale.
Source of the idea: R. Brown, Calendar queues, Communications of the ACM 31 (1988).
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterator

from ohmesh.protocols.queue.held_tasks import HeldTasks
from ohmesh.protocols.queue.parked import SLOT_BITS, SLOT_MASK
from ohmesh.protocols.queue.task_record import Task

_PAGE_BITS = 15
STALE_REBUILD_MIN = 1_000


class Timers:
    """An entry is the reference of a parked task, or `order << SLOT_BITS` of one that is an object."""

    def __init__(self, held: HeldTasks) -> None:
        self._parked = held.parked
        self._objects: dict[int, Task] = {}
        self._pages: dict[int, array[int]] = {}
        self._stale: dict[int, int] = {}
        self._order_of_pages: list[int] = []
        self._open_page = 0
        self._run: list[int] = []  # the last is due first
        self._heap: list[tuple[int, int]] = []

    def entries(self) -> int:
        """As many as are kept, stale ones included."""
        return len(self._run) + len(self._heap) + sum(map(len, self._pages.values()))

    def __iter__(self) -> Iterator[Task | int]:
        """What waits here, in no promised order that people need, but in the same for the same events."""
        for entry in reversed(self._run):
            yield from self._live(entry)
        for _, entry in sorted(self._heap):
            yield from self._live(entry)
        for page in sorted(self._pages):
            for entry in self._pages[page]:
                yield from self._live(entry)

    def has(self, task: Task) -> bool:
        """This object waits here."""
        return task.order in self._objects

    def add(self, task: Task) -> None:
        self._objects[task.order] = task
        self._insert(task.due_ms, task.order << SLOT_BITS)

    def add_parked(self, ref: int) -> None:
        self._insert(self._parked.due_ms(ref), ref)

    def forget(self, task: Task) -> None:
        """This one, added as an object, waits no more."""
        del self._objects[task.order]
        self._mark_stale(task.due_ms)

    def forget_parked(self, due_ms: int) -> None:
        """One that was added parked, and is parked no more, waits no more."""
        self._mark_stale(due_ms)

    def take_due(self, now_ms: int) -> Iterator[Task | int]:
        """Remove what is due, first what was due first."""
        self._open(now_ms >> _PAGE_BITS)
        while True:
            entry = self._next(now_ms)
            if not entry:
                return
            if not entry & SLOT_MASK:
                task = self._objects.pop(entry >> SLOT_BITS, None)
                if task is not None:
                    yield task
            elif self._parked.holds(entry):
                yield entry

    def _insert(self, due_ms: int, entry: int) -> None:
        page = due_ms >> _PAGE_BITS
        if page <= self._open_page:
            heapq.heappush(self._heap, (due_ms, entry))
            return
        entries = self._pages.get(page)
        if entries is None:
            entries = self._pages[page] = array("Q")
            heapq.heappush(self._order_of_pages, page)
        entries.append(entry)

    def _next(self, now_ms: int) -> int:
        """Remove the entry that is due first, if any is; 0 when none is."""
        run, heap = self._run, self._heap
        while run and not self._is_live(run[-1]):
            run.pop()
        first = (self._due(run[-1]), run[-1]) if run else None
        if heap and (first is None or heap[0] < first):
            return heapq.heappop(heap)[1] if heap[0][0] <= now_ms else 0
        return run.pop() if first is not None and first[0] <= now_ms else 0

    def _open(self, upto_page: int) -> None:
        opened = self._run
        while self._order_of_pages and self._order_of_pages[0] <= upto_page:
            page = heapq.heappop(self._order_of_pages)
            self._stale.pop(page, None)
            found = [*reversed(opened), *self._pages.pop(page)]
            opened = list(filter(self._is_live, found))
            opened.sort(key=self._due)
            opened.reverse()
        self._run = opened
        self._open_page = max(self._open_page, upto_page)

    def _mark_stale(self, due_ms: int) -> None:
        page = due_ms >> _PAGE_BITS
        entries = self._pages.get(page)
        if entries is None:
            self._clean_open_pages()
            return
        stale = self._stale[page] = self._stale.get(page, 0) + 1
        if stale >= STALE_REBUILD_MIN and 2 * stale >= len(entries):
            self._pages[page] = array("Q", filter(self._is_live, entries))
            self._stale[page] = 0

    def _clean_open_pages(self) -> None:
        stale = self._stale[-1] = self._stale.get(-1, 0) + 1
        if stale >= STALE_REBUILD_MIN and 2 * stale >= len(self._run) + len(self._heap):
            self._run = list(filter(self._is_live, self._run))
            self._heap = [timer for timer in self._heap if self._is_live(timer[1])]
            heapq.heapify(self._heap)
            self._stale[-1] = 0

    def _is_live(self, entry: int) -> bool:
        if entry & SLOT_MASK:
            return self._parked.holds(entry)
        return entry >> SLOT_BITS in self._objects

    def _live(self, entry: int) -> Iterator[Task | int]:
        if not entry & SLOT_MASK:
            task = self._objects.get(entry >> SLOT_BITS)
            if task is not None:
                yield task
        elif self._parked.holds(entry):
            yield entry

    def _due(self, entry: int) -> int:
        return self._parked.due_ms(entry) if entry & SLOT_MASK else self._objects[entry >> SLOT_BITS].due_ms
