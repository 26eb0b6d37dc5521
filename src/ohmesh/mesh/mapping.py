"""Map: an AsyncMap for code without an event loop. Items are drawn in the caller's thread, tasks run meanwhile."""

from __future__ import annotations

import queue
import threading
from collections.abc import AsyncIterable, Coroutine, Iterable, Iterator
from concurrent.futures import Future
from itertools import count
from typing import Any
from weakref import finalize

from ohmesh.errors import InvalidArgument
from ohmesh.mesh.background import BackgroundLoop
from ohmesh.operations import mapping
from ohmesh.operations.gathering import Found, Gathered
from ohmesh.operations.mapping import AsyncMap, MappedTasks, counted
from ohmesh.operations.results import TaskOutcome


class Map:
    """Many tasks, submitted once, from the first reading on. `for outcome in it` gives the outcomes in the order of the
    items as they come, `as_completed()` as they end, `result()` all of them. A second reading gives the same outcomes,
    or goes on where the first one left (of items from an iterator it raises UsageError)."""

    def __init__(self, background: BackgroundLoop, mapped: AsyncMap) -> None:
        if isinstance(mapped.items, AsyncIterable):
            raise InvalidArgument(
                "A Mesh maps what `for` can read.", hint="Use AsyncMesh, or gather the items first."
            )
        self._background = background
        self._work = mapped.work
        self._gathered = Gathered(mapped.items)
        self._source = mapping.chunks(mapped.items, mapped.work.largest)
        self._is_drawn = False
        self._driving = threading.Lock()
        self._ended: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        self._ahead: dict[Future[Any], int] = {}

    def result(self) -> MappedTasks:
        gathered = self._gathered
        gathered.begin(keep=True)
        while self._more(gathered.seen):
            gathered.read = gathered.seen
        return counted(list(gathered.all()))

    def __iter__(self) -> Iterator[TaskOutcome]:
        gathered = self._gathered
        gathered.begin(by_place=True)
        for place in count():
            while not gathered.has(place):
                if not self._more(gathered.seen):
                    return
            yield gathered.at(place)

    def as_completed(self) -> Iterator[tuple[int, TaskOutcome]]:
        """(place of the item, counted from 0; its outcome), in the order of their ends."""
        gathered = self._gathered
        gathered.begin()
        for number in count():
            while number >= gathered.seen:
                if not self._more(gathered.seen):
                    return
            yield gathered.end(number)

    def _more(self, seen: int) -> bool:
        """Wait until more than `seen` outcomes have come; False where there are no more."""
        with self._driving:
            while self._gathered.seen == seen:
                self._hand_in()
                if not self._ahead:
                    return False
                self._gathered.add(self._found(self._ended.get()))
                while not self._ended.empty():
                    self._gathered.add(self._found(self._ended.get()))
        return True

    def _hand_in(self) -> None:
        """Draw items while there is nothing to read, as many as may be on their way."""
        gathered = self._gathered
        gathered.check()
        while (
            not self._is_drawn
            and self._ended.empty()
            and gathered.submitted - gathered.read < mapping.IN_FLIGHT
        ):
            with gathered.watched():
                chunk = next(self._source, None)
            if chunk is None:
                self._is_drawn = True
                return
            if not gathered.submitted:
                finalize(self, _abandon, self._ahead).atexit = False
            self._begin(self._work(chunk), gathered.submitted)
            gathered.submitted += len(chunk)

    def _begin(self, work: Coroutine[Any, Any, Any], place: int) -> None:
        future = self._background.begin(work)
        self._ahead[future] = place
        future.add_done_callback(self._ended.put)

    def _found(self, future: Future[Any]) -> list[Found]:
        """What is known by its end; what is still ahead is begun, and will come through `_ended`."""
        place = self._ahead.pop(future)
        with self._gathered.watched():
            outcome = future.result()
        if isinstance(outcome, TaskOutcome):
            return [(place, outcome)]
        found: list[Found] = []
        for at, ahead in enumerate(outcome, place):
            if isinstance(ahead, TaskOutcome):
                found.append((at, ahead))
            else:
                self._begin(ahead(), at)
        return found


def _abandon(ahead: Iterable[Future[Any]]) -> None:
    """Nobody can read on: stop waiting. What is submitted goes on in the mesh."""
    for future in list(ahead):
        future.cancel()
