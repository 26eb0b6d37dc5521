"""Numbers in their order, in flat arrays: 8 bytes each. Most are added at the end and any may be removed.

They stand in pieces of bounded size, so that adding and removing never moves more than one piece.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from itertools import chain

PIECE = 4_096


class OrderIndex:
    """piece: how many stand in one, about."""

    def __init__(self, piece: int = PIECE) -> None:
        self._size = piece
        self._pieces: list[array[int]] = []
        self._firsts: list[int] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        """Rising. Nothing may be added or removed meanwhile."""
        for piece in self._pieces:
            yield from piece

    def frozen(self) -> Iterator[int]:
        """Rising, as it is now, whatever changes meanwhile."""
        return chain.from_iterable([piece[:] for piece in self._pieces])

    def below(self, bound: int) -> Iterator[int]:
        """Those below the bound, falling. Nothing may be added or removed meanwhile."""
        number = bisect_left(self._firsts, bound) - 1
        if number < 0:
            return
        piece = self._pieces[number]
        yield from reversed(piece[: bisect_left(piece, bound)])
        for piece in reversed(self._pieces[:number]):
            yield from reversed(piece)

    def extend(self, numbers: array[int]) -> None:
        """Add all of these, which rise."""
        if self._pieces and numbers and numbers[0] <= self._pieces[-1][-1]:
            for number in numbers:
                self.add(number)
            return
        for begin in range(0, len(numbers), self._size):
            piece = numbers[begin : begin + self._size]
            if self._pieces and len(self._pieces[-1]) + len(piece) <= self._size:
                self._pieces[-1].extend(piece)
            else:
                self._pieces.append(piece)
                self._firsts.append(piece[0])
        self._count += len(numbers)

    def add(self, number: int) -> None:
        self._count += 1
        if not self._pieces or (number > self._pieces[-1][-1] and len(self._pieces[-1]) >= self._size):
            self._pieces.append(array("Q", (number,)))
            self._firsts.append(number)
            return
        if number > self._pieces[-1][-1]:
            self._pieces[-1].append(number)
            return
        place = max(0, bisect_right(self._firsts, number) - 1)
        piece = self._pieces[place]
        insort(piece, number)
        self._firsts[place] = piece[0]
        if len(piece) >= 2 * self._size:
            self._pieces[place : place + 1] = piece[: self._size], piece[self._size :]
            self._firsts[place : place + 1] = piece[0], piece[self._size]

    def remove(self, number: int) -> None:
        """Raises ValueError where it is not in here."""
        place = bisect_right(self._firsts, number) - 1
        piece = self._pieces[place] if place >= 0 else array("Q")
        at = bisect_left(piece, number)
        if at == len(piece) or piece[at] != number:
            raise ValueError(f"{number} is not in the index.")
        del piece[at]
        self._count -= 1
        if not piece:
            del self._pieces[place], self._firsts[place]
        elif not at:
            self._firsts[place] = piece[0]
