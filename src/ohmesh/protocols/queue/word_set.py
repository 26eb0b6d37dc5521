"""A set of 64-bit words in flat arrays: 8 bytes and a half for each.

A Python set of a million ids takes 200 bytes for each, most of it the objects. Here only words are kept; what a word
means is the caller's. The upper half of a word should be evenly spread (a digest): its lowest bits choose one of a
thousand arrays, each of which is sorted. Of a million words a search therefore looks at ten, adding and removing move
4 KB at the middle, and the whole of a large set is never copied at once.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SPREAD_SHIFT = 32
_ARRAYS = 1_024
_ARRAYS_AT_ONCE = 32
_NONE = array("Q")


class WordSet:
    """Words are of 64 bits. The same word may be added several times and has to be removed as often."""

    def __init__(self) -> None:
        self._arrays: list[array[int]] = [_NONE] * _ARRAYS
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, word: int) -> bool:
        return word in self.alike(word >> SPREAD_SHIFT)

    def alike(self, spread: int) -> Sequence[int]:
        """Those whose upper half is this."""
        words = self._arrays[spread & _ARRAYS - 1]
        begin = bisect_left(words, spread << SPREAD_SHIFT)
        if begin == len(words) or words[begin] >> SPREAD_SHIFT != spread:
            return ()
        return words[begin : bisect_left(words, (spread + 1) << SPREAD_SHIFT, begin)]

    def add(self, word: int) -> None:
        number = word >> SPREAD_SHIFT & _ARRAYS - 1
        words = self._arrays[number]
        if words:
            words.insert(bisect_left(words, word), word)
        else:
            self._arrays[number] = array("Q", (word,))
        self._count += 1

    def update(self, words: Iterable[int]) -> None:
        """Add each."""
        arrays = self._arrays
        for word in words:
            present = arrays[word >> SPREAD_SHIFT & _ARRAYS - 1]
            if present:
                present.insert(bisect_left(present, word), word)
                self._count += 1
            else:
                self.add(word)

    def update_sorted(self, words: NDArray[np.uint64]) -> Iterator[None]:
        """Add each, many at once: a pause after every part of the arrays. `words` may be in any order."""
        import numpy as np  # 80 ms, for who restores a large snapshot and nobody else

        # Of 16 bits: those are sorted by radix.
        number = (words >> np.uint64(SPREAD_SHIFT) & np.uint64(_ARRAYS - 1)).astype(np.uint16)
        arranged = words[np.argsort(number, kind="stable")]
        ends = np.cumsum(np.bincount(number, minlength=_ARRAYS)).tolist()
        begin = 0
        for place, end in enumerate(ends):
            if end > begin:
                added = np.concatenate((np.array(self._arrays[place], np.uint64), arranged[begin:end]))
                added.sort()
                self._arrays[place] = array("Q", added.tobytes())
                self._count += end - begin
            begin = end
            if not place % _ARRAYS_AT_ONCE:
                yield

    def remove(self, word: int) -> None:
        """Raises KeyError where it is not in the set."""
        words = self._arrays[word >> SPREAD_SHIFT & _ARRAYS - 1]
        place = bisect_left(words, word)
        if place == len(words) or words[place] != word:
            raise KeyError(word)
        del words[place]
        self._count -= 1
