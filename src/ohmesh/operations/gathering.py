"""What has come of a map so far: the same for whoever reads it again, in the order of the items or of their ends.

It is kept where the items are a collection, as it is no larger than that. What comes of an iterator, which may be
endless, is let go as it is read, and can be read once; `result` keeps it all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sized
from contextlib import contextmanager

from ohmesh.errors import UsageError
from ohmesh.operations.results import TaskOutcome

Found = tuple[int, TaskOutcome]
"""The place of an item, counted from 0, and what became of it."""


class Gathered:
    """`submitted`: items handed in. `seen`: of these, how many have come. `read`: how many the furthest reader has
    passed on; what is between that and `submitted` is bounded by who drives it."""

    def __init__(self, items: object) -> None:
        self.submitted = 0
        self.seen = 0
        self.read = 0
        self._broken: BaseException | None = None
        self._is_kept = isinstance(items, Sized)
        self._is_begun = False
        self._by_place: dict[int, TaskOutcome] = {}
        self._by_end: deque[Found] | list[Found] = []
        self._needs_places = self._needs_ends = True

    def begin(self, *, keep: bool = False, by_place: bool = False) -> None:
        """A reading begins. UsageError where what is read was not kept from the last one."""
        if self._is_kept:
            return
        if self._is_begun:
            raise UsageError(
                "This map was read already, and its items came from an iterator, so nothing of it was kept.",
                hint="Map a list, or take `result()`, which can be read again.",
            )
        self._is_begun = True
        if keep:
            self._is_kept = True
            return
        self._needs_places, self._needs_ends = by_place, not by_place
        self._by_end = deque()

    def add(self, found: list[Found]) -> None:
        self.seen += len(found)
        if self._needs_places:
            self._by_place.update(found)
        if self._needs_ends:
            self._by_end.extend(found)

    def has(self, place: int) -> bool:
        return place in self._by_place

    def at(self, place: int) -> TaskOutcome:
        """The outcome of the item at `place`, which has come."""
        self.read = max(self.read, place)
        return self._by_place[place] if self._is_kept else self._by_place.pop(place)

    def end(self, number: int) -> Found:
        """The end that came as the `number`th, counted from 0."""
        self.read = max(self.read, number)
        if isinstance(self._by_end, deque):
            return self._by_end.popleft()
        return self._by_end[number]

    def all(self) -> Iterator[TaskOutcome]:
        return map(self._by_place.__getitem__, range(self.seen))

    @contextmanager
    def watched(self) -> Iterator[None]:
        """What is done here may fail once, and then nothing more can come."""
        try:
            yield
        except BaseException as error:
            self._broken = error
            raise

    def check(self) -> None:
        if self._broken is not None:
            raise UsageError(
                f"This map ended early: {self._broken!r}.",
                hint="What was drawn of its items is submitted and goes on; map what is left.",
            ) from self._broken
