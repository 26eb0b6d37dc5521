"""Map: an AsyncMap for code without an event loop. Items are drawn in the caller's thread, tasks run meanwhile."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import AsyncIterable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any

from ohmesh.errors import InvalidArgument
from ohmesh.mesh.background import BackgroundLoop
from ohmesh.operations import mapping
from ohmesh.operations.chunks import Ahead
from ohmesh.operations.mapping import AsyncMap, MappedTasks, counted
from ohmesh.operations.results import TaskOutcome

_Chunk = Future[list[Ahead]]
_Single = Future[TaskOutcome]


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
        waiting: deque[tuple[int, _Chunk]] = deque()
        started: list[TaskOutcome | _Single] = []
        in_flight = 0
        try:
            for chunk in mapping.chunks(self._items, self._work.largest):
                waiting.append((len(chunk), self._background.begin(self._work(chunk))))
                in_flight += len(chunk)
                while waiting and (waiting[0][1].done() or in_flight >= mapping.IN_FLIGHT):
                    started = [self._begun(ahead) for ahead in waiting[0][1].result()]
                    for one in started:
                        yield one if isinstance(one, TaskOutcome) else one.result()
                    in_flight -= waiting.popleft()[0]
            while waiting:
                started = [self._begun(ahead) for ahead in waiting[0][1].result()]
                for one in started:
                    yield one if isinstance(one, TaskOutcome) else one.result()
                waiting.popleft()
        finally:
            for future in [*(chunk for _, chunk in waiting), *started]:
                if isinstance(future, Future):
                    future.cancel()

    def as_completed(self) -> Iterator[tuple[int, TaskOutcome]]:
        """(place of the item, counted from 0; its outcome), in the order of their ends."""
        ended: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        chunks: dict[_Chunk, int] = {}
        single: dict[_Single, int] = {}
        in_flight = place = 0
        try:
            for chunk in mapping.chunks(self._items, self._work.largest):
                begun = self._background.begin(self._work(chunk))
                chunks[begun] = place
                begun.add_done_callback(ended.put)
                place += len(chunk)
                in_flight += len(chunk)
                while not ended.empty() or in_flight >= mapping.IN_FLIGHT:
                    for found in self._ended(ended.get(), chunks, single, ended):
                        in_flight -= 1
                        yield found
            while chunks or single:
                yield from self._ended(ended.get(), chunks, single, ended)
        finally:
            left: list[Future[Any]] = [*chunks, *single]
            for future in left:
                future.cancel()

    def _begun(self, ahead: Ahead) -> TaskOutcome | _Single:
        return ahead if isinstance(ahead, TaskOutcome) else self._background.begin(ahead())

    def _ended(
        self,
        future: Future[Any],
        chunks: dict[_Chunk, int],
        single: dict[_Single, int],
        ended: queue.SimpleQueue[Future[Any]],
    ) -> list[tuple[int, TaskOutcome]]:
        """What is known by its end; what is still ahead is begun, and will come through `ended`."""
        if future in single:
            return [(single.pop(future), future.result())]
        found: list[tuple[int, TaskOutcome]] = []
        for place, ahead in enumerate(future.result(), chunks.pop(future)):
            one = self._begun(ahead)
            if isinstance(one, TaskOutcome):
                found.append((place, one))
            else:
                single[one] = place
                one.add_done_callback(ended.put)
        return found
