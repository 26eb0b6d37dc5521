"""A set of 64-bit words in flat arrays: 8 bytes for a place, of which between a third and two thirds are taken.

A Python set of a million ids takes 200 bytes for each, most of it the objects. Here only words are kept; what a word
means is the caller's. Its upper half should be evenly spread (a digest): the lowest 8 bits of it choose one of 256
tables, the others the place in it, by open addressing with linear probing, whose removal leaves no marks (Knuth, The
Art of Computer Programming 3, section 6.4, algorithms L and R). Each table grows and shrinks alone, so that the whole
of a large set is never copied at once.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

SPREAD_SHIFT = 32  # what lies below is not looked at to find a place
_TABLES = 256
_HOME_SHIFT = SPREAD_SHIFT + 8
_FIRST_SIZE = 8
_NONE = array("Q")


class WordSet:
    """Words are above 0. The same word may be added several times and has to be removed as often."""

    def __init__(self) -> None:
        self._tables: list[array[int]] = [_NONE] * _TABLES
        self._counts = array("I", bytes(4 * _TABLES))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def places(self) -> int:
        """Taken or not, each is 8 bytes."""
        return sum(map(len, self._tables))

    def __contains__(self, word: int) -> bool:
        return word in self.alike(word >> SPREAD_SHIFT)

    def alike(self, spread: int) -> Sequence[int]:
        """Those whose upper half is this."""
        table = self._tables[spread & _TABLES - 1]
        if not table:
            return ()
        size = len(table)
        place = (spread >> 8) % size
        found: list[int] = []
        while word := table[place]:
            if word >> SPREAD_SHIFT == spread:
                found.append(word)
            place += 1
            if place == size:
                place = 0
        return found

    def add(self, word: int) -> None:
        number = word >> SPREAD_SHIFT & _TABLES - 1
        table = self._tables[number]
        count = self._counts[number] = self._counts[number] + 1
        if 3 * count > 2 * len(table):
            table = self._resize(number, max(_FIRST_SIZE, len(table) * 2))
        self._count += 1
        size = len(table)
        place = (word >> _HOME_SHIFT) % size
        while table[place]:
            place += 1
            if place == size:
                place = 0
        table[place] = word

    def remove(self, word: int) -> None:
        """Raises KeyError where it is not in the set."""
        number = word >> SPREAD_SHIFT & _TABLES - 1
        table = self._tables[number]
        size = len(table)
        place = (word >> _HOME_SHIFT) % size if size else 0
        while size and table[place] != word:
            if not table[place]:
                raise KeyError(word)
            place = place + 1 if place + 1 < size else 0
        if not size:
            raise KeyError(word)
        _take(table, place)
        self._counts[number] -= 1
        self._count -= 1
        if size > _FIRST_SIZE and 6 * self._counts[number] < size:
            self._resize(number, max(_FIRST_SIZE, size // 2))

    def _resize(self, number: int, size: int) -> array[int]:
        table = array("Q", bytes(8 * size))
        for word in filter(None, self._tables[number]):
            place = (word >> _HOME_SHIFT) % size
            while table[place]:
                place += 1
                if place == size:
                    place = 0
            table[place] = word
        self._tables[number] = table
        return table


def _take(table: array[int], hole: int) -> None:
    """Empty this place; those behind it that would not be found any more move forward."""
    size = len(table)
    place = hole
    while True:
        place = place + 1 if place + 1 < size else 0
        word = table[place]
        if not word:
            break
        home = (word >> _HOME_SHIFT) % size
        if (place - home) % size >= (place - hole) % size:
            table[hole] = word
            hole = place
    table[hole] = 0
