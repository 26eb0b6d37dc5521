"""Map: an AsyncMap for code without an event loop. Items are drawn in the caller's thread, tasks run meanwhile."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import AsyncIterable, Iterable, Iterator
from concurrent.futures import Future

from ohmesh.errors import InvalidArgument
from ohmesh.mesh.background import BackgroundLoop
from ohmesh.operations.mapping import IN_FLIGHT, AsyncMap, MappedTasks, counted
from ohmesh.operations.results import TaskOutcome

_Waiting = Future[TaskOutcome]


class Map:
    """Many tasks on their way. `for outcome in it` gives the outcomes in the order of the items as they come,
    `as_completed()` as they end, `result()` all of them. Each of the three hands the items in anew."""

    def __init__(self, background: BackgroundLoop, mapped: AsyncMap) -> None:
        if isinstance(mapped.items, AsyncIterable):
            raise InvalidArgument(
                "A Mesh maps what `for` can read.", hint="Use AsyncMesh, or gather the items first."
            )
        self._background = background
        self._items: Iterable[object] = mapped.items
        self._work = mapped.work

    def result(self) -> MappedTasks:
        return counted(list(self))

    def __iter__(self) -> Iterator[TaskOutcome]:
        waiting: deque[_Waiting] = deque()
        try:
            for item in self._items:
                waiting.append(self._background.begin(self._work(item)))
                while waiting and (waiting[0].done() or len(waiting) >= IN_FLIGHT):
                    yield waiting[0].result()
                    waiting.popleft()
            while waiting:
                yield waiting[0].result()
                waiting.popleft()
        finally:
            for future in waiting:
                future.cancel()

    def as_completed(self) -> Iterator[tuple[int, TaskOutcome]]:
        """(place of the item, counted from 0; its outcome), in the order of their ends."""
        ended: queue.SimpleQueue[_Waiting] = queue.SimpleQueue()
        places: dict[_Waiting, int] = {}
        try:
            for place, item in enumerate(self._items):
                future = self._background.begin(self._work(item))
                places[future] = place
                future.add_done_callback(ended.put)
                while not ended.empty() or len(places) >= IN_FLIGHT:
                    future = ended.get()
                    yield places.pop(future), future.result()
            while places:
                future = ended.get()
                yield places.pop(future), future.result()
        finally:
            for future in places:
                future.cancel()
