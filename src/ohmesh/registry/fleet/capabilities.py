"""Capabilities as bits: which bit a name has, and an index from a name to the rows of those who have it.

A name keeps its bit for as long as the mesh lives, so there is a limit to how many there may be.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ohmesh.errors import InvalidArgument
from ohmesh.registry.fleet.columns import CAPABILITIES_A_WORD, Bits, Mask, Rows

MAX_CAPABILITIES = 256
MAX_CAPABILITY_CHARACTERS = 64


class CapabilityTable:
    """`columns` of FleetColumns.capabilities are handed in; the index is kept until `forget`."""

    def __init__(self) -> None:
        self._bits: dict[str, int] = {}
        self._rows: dict[str, Rows] = {}

    @property
    def names(self) -> Sequence[str]:
        """By bit."""
        return tuple(self._bits)

    @property
    def words(self) -> int:
        """How many arrays of 64 bits they take; at least one."""
        return max(1, -(-len(self._bits) // CAPABILITIES_A_WORD))

    def add(self, names: Iterable[str]) -> None:
        """Give each a bit. Raises InvalidArgument, and adds none: too many, or one that cannot be a name."""
        new = [name for name in dict.fromkeys(names) if name not in self._bits]
        for name in new:
            if not 0 < len(name) <= MAX_CAPABILITY_CHARACTERS:
                raise InvalidArgument(
                    f"{name[:80]!r} cannot be a capability.",
                    hint=f"Give it 1 to {MAX_CAPABILITY_CHARACTERS} characters.",
                )
        if len(self._bits) + len(new) > MAX_CAPABILITIES:
            raise InvalidArgument(
                f"A mesh knows {MAX_CAPABILITIES} capabilities at most; {new[0]!r} is one too many.",
                hint="Declare what tasks ask for; versions, ids and figures are no capabilities.",
            )
        for name in new:
            self._bits[name] = len(self._bits)

    def bits(self, names: Iterable[str]) -> list[int]:
        """Of a set of known names: a number of 64 bits for each word."""
        words = [0] * self.words
        for name in names:
            word, bit = divmod(self._bits[name], CAPABILITIES_A_WORD)
            words[word] |= 1 << bit
        return words

    def knows(self, name: str) -> bool:
        return name in self._bits

    def holders(self, name: str, columns: Sequence[Bits]) -> Mask:
        """Which rows have it; none has what nobody knows."""
        bit = self._bits.get(name)
        if bit is None:
            return np.zeros(len(columns[0]), np.bool_)
        word, place = divmod(bit, CAPABILITIES_A_WORD)
        held: Mask = columns[word] & np.uint64(1 << place) != 0
        return held

    def rows(self, name: str, columns: Sequence[Bits]) -> Rows:
        """The same as rows, in order, remembered until `forget`."""
        found = self._rows.get(name)
        if found is None:
            found = self._rows[name] = np.flatnonzero(self.holders(name, columns))
            found.flags.writeable = False
        return found

    def names_of(self, row: int, columns: Sequence[Bits]) -> tuple[str, ...]:
        held = sum(int(column[row]) << (CAPABILITIES_A_WORD * word) for word, column in enumerate(columns))
        return tuple(name for name, bit in self._bits.items() if held >> bit & 1)

    def forget(self) -> None:
        """Call when bits of rows have changed."""
        self._rows.clear()
