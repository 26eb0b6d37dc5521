"""What each target of an operation answered: a code for each, and what the codes stand for.

Acks come twice and from several sides, so answers are not added up as they come: the first one of a target stands, and
whoever wants to know how many said what counts the column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_VALUES = 1_000
OTHER = np.uint16(0xFFFF)  # an answer beyond the values that are kept

Index = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Tally:
    """values: (answer, how many), the most frequent first. omitted: how many answered something else. odd: places of
    targets that answered what few others did, while many agree; ascending."""

    values: tuple[tuple[bytes, int], ...]
    omitted: int
    odd: Index


class AnswerColumn:
    """codes: of shape (count,), from 1 into what was answered, 0 for who has not."""

    def __init__(self, count: int) -> None:
        self.codes = np.zeros(count, np.uint16)
        self._values: list[bytes] = []
        self._code_of: dict[bytes, int] = {}

    def take(self, at: Index, answer: NDArray[np.uint16], values: Sequence[bytes]) -> None:
        """at: places of targets. answer: of each, from 1 into `values`, 0 for none."""
        codes = np.array([0, *map(self._code, values)], np.uint16)
        told = codes[answer]
        fresh = (told != 0) & (self.codes[at] == 0)
        self.codes[at[fresh]] = told[fresh]

    def tally(self, *, most: int, few: int) -> Tally:
        """The `most` frequent values; odd are those of whom at most `few` said the same, if more than that agree on
        another."""
        counts = np.bincount(self.codes, minlength=len(self._values) + 1)
        answered = int(counts[1:].sum())
        named = [(value, int(count)) for value, count in zip(self._values, counts[1:], strict=False) if count]
        named.sort(key=lambda pair: (-pair[1], pair[0]))
        shown = tuple(named[:most])
        is_odd = (counts > 0) & (counts <= few)
        is_odd[0] = False
        is_split = not named or named[0][1] <= few
        odd = np.zeros(0, np.intp) if is_split else np.flatnonzero(is_odd[self.codes])
        return Tally(shown, answered - sum(count for _, count in shown), odd)

    def _code(self, value: bytes) -> int:
        code = self._code_of.get(value)
        if code is None:
            if len(self._values) == MAX_VALUES:
                return int(OTHER)
            self._values.append(value)
            code = self._code_of[value] = len(self._values)
        return code
