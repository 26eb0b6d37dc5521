"""Ids of tasks that ended and are held no more: remembered for a while, so that a late retry is not run again.

Of an id 62 bits are kept: its CRC-32 and its residue by a prime near 2**30, which are quick and have nothing to do with
each other. With two million remembered, another id is mistaken for one of these with a probability of 2e6 / 2**62,
which is 4e-13; its submission is refused then, as one that is too old.
"""

from __future__ import annotations

import sys
from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain
from zlib import crc32

from ohmesh.errors import LogCorrupt
from ohmesh.protocols.queue.word_set import SPREAD_SHIFT, WordSet

PIECE = 4_096
_SPAN_MS = 1 << 32
_FULL = array("I", bytes(4 * PIECE))
_PRIME = 1_073_741_789


class ForgottenIds:
    """In the order in which the tasks were forgotten. `keep_count_only`: for who is never asked about an id."""

    def __init__(self) -> None:
        self._digests: deque[array[int]] = deque()
        self._times = _Times()
        self._set = WordSet()
        self._count = 0
        self._has_ids = True

    def __len__(self) -> int:
        return self._count

    def __contains__(self, task_id: str) -> bool:
        if not self._count:
            return False
        alike = self._set.alike(crc32(task_id.encode()))
        return bool(alike) and _digest(task_id) in alike

    def keep_count_only(self) -> None:
        self._has_ids = False
        self._digests.clear()
        self._set = WordSet()

    def extend(self, task_ids: Sequence[str], finished_ms: Sequence[int]) -> None:
        """Of each task its id and when it ended."""
        self._add(list(map(_digest, task_ids)) if self._has_ids else (), finished_ms)

    def count_up_to(self, finished_ms: int, most: int) -> int:
        """How many of the oldest `most`, in one go, had ended by then."""
        count = 0
        for each in self._times:
            if count >= most or each > finished_ms:
                break
            count += 1
        return count

    def drop(self, count: int) -> int:
        """Remember the `count` oldest no more; returns when the last to end of them had ended (0: there were none)."""
        if count > self._count:
            raise LogCorrupt(f"The horizon moved over {count} ids, {self._count} are remembered.")
        self._count -= count
        for digest in _take(self._digests, count) if self._has_ids else ():
            self._set.remove(digest)
        return self._times.drop(count)

    def frozen(self) -> tuple[Iterator[int], Iterator[int]]:
        """Digests and times as they are now, whatever changes meanwhile."""
        return chain.from_iterable(_whole(self._digests)), self._times.frozen()

    def restore(self, digests: bytes, finished_ms: bytes) -> None:
        """Add some of what `frozen` gave, as little-endian 64-bit numbers. Raises LogCorrupt."""
        if len(digests) != len(finished_ms):
            raise LogCorrupt(
                f"{len(digests)} bytes of digests are said to have ended at {len(finished_ms)} bytes."
            )
        self._add(_from_bytes(digests), _from_bytes(finished_ms))

    def _add(self, digests: Sequence[int], finished_ms: Sequence[int]) -> None:
        self._set.update(digests)
        _append(self._digests, digests)
        self._times.extend(finished_ms)
        self._count += len(finished_ms)


class _Times:
    """Milliseconds, in pieces of 32-bit differences from a time that none of a piece is before."""

    def __init__(self) -> None:
        self._pieces: deque[tuple[int, array[int]]] = deque()

    def __iter__(self) -> Iterator[int]:
        for first_ms, later in self._pieces:
            for each in later:
                yield first_ms + each

    def frozen(self) -> Iterator[int]:
        """Only the last piece grows; what is dropped is not taken out of a piece, which is put in another's place."""
        pieces = list(self._pieces)
        if pieces:
            pieces[-1] = pieces[-1][0], pieces[-1][1][:]
        return (first_ms + each for first_ms, later in pieces for each in later)

    def extend(self, times_ms: Sequence[int]) -> None:
        for begin in range(0, len(times_ms), PIECE):
            part = times_ms[begin : begin + PIECE]
            lowest_ms, span_ms = min(part), max(part) - min(part)
            if span_ms >= _SPAN_MS:
                self.extend(part[: len(part) // 2])
                self.extend(part[len(part) // 2 :])
                continue
            first_ms, later = self._pieces[-1] if self._pieces else (0, _FULL)
            if len(later) >= PIECE or not 0 <= lowest_ms - first_ms < _SPAN_MS - span_ms:
                first_ms, later = lowest_ms, array("I")
                self._pieces.append((first_ms, later))
            later.extend([at_ms - first_ms for at_ms in part])

    def drop(self, count: int) -> int:
        """Drop the first; returns the latest of them (0: there were none)."""
        latest_ms = 0
        while count:
            first_ms, later = self._pieces[0]
            part = min(len(later), count)
            latest_ms = max(latest_ms, first_ms + max(later[:part]))
            count -= part
            if part < len(later):
                self._pieces[0] = first_ms, later[part:]
            else:
                self._pieces.popleft()
        return latest_ms


def _digest(task_id: str) -> int:
    data = task_id.encode()
    return crc32(data) << SPREAD_SHIFT | int.from_bytes(data, "little") % _PRIME + 1


def _append(pieces: deque[array[int]], numbers: Sequence[int]) -> None:
    for first in range(0, len(numbers), PIECE):
        if not pieces or len(pieces[-1]) >= PIECE:
            pieces.append(array("Q"))
        pieces[-1].extend(numbers[first : first + PIECE])


def _take(pieces: deque[array[int]], count: int) -> array[int]:
    taken = array("Q")
    while len(taken) < count:
        piece = pieces[0]
        part = min(len(piece), count - len(taken))
        taken.extend(piece[:part])
        if part < len(piece):
            pieces[0] = piece[part:]
        else:
            pieces.popleft()
    return taken


def _whole(pieces: deque[array[int]]) -> list[array[int]]:
    """As they are now: only the last one grows, and none shrinks."""
    present = list(pieces)
    if present:
        present[-1] = present[-1][:]
    return present


def _from_bytes(data: bytes) -> array[int]:
    numbers = array("Q")
    try:
        numbers.frombytes(data)
    except ValueError as error:
        raise LogCorrupt(f"{len(data)} bytes are no column of 64-bit numbers.") from error
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
