"""Ids of tasks: 26 characters of Crockford base 32, a ULID (48 bits of milliseconds, then 80 random bits).

Ids of one source rise, so they sort by the time of submission; making one costs a fraction of a microsecond because
only the last six characters change between two.
"""

from __future__ import annotations

from collections.abc import Callable

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TRIPLES = [a + b + c for a in _ALPHABET for b in _ALPHABET for c in _ALPHABET]
_COUNTER_SPAN = 1 << 30


def encode_base32(value: int, length: int) -> str:
    return "".join(_ALPHABET[(value >> (5 * place)) & 31] for place in range(length - 1, -1, -1))


class IdSource:
    """Rising ids from a clock (milliseconds since 1970) and a source of random bits, both given.

    A new time stamp is taken whenever the counter runs over and at each `refresh`.
    """

    def __init__(self, now_ms: Callable[[], int], random_bits: Callable[[int], int]) -> None:
        self._now_ms = now_ms
        self._random_bits = random_bits
        self._last_ms = 0
        self.refresh()

    def refresh(self) -> None:
        """Take the present time into the ids to come; they go on rising although the clock may have stepped back."""
        self._last_ms = max(self._now_ms(), self._last_ms + 1)
        self._prefix = encode_base32(self._last_ms, 10) + encode_base32(self._random_bits(50), 10)
        self._counter = self._random_bits(20)

    def next(self) -> str:
        counter = self._counter + 1
        if counter >= _COUNTER_SPAN:
            self.refresh()
            counter = self._counter + 1
        self._counter = counter
        return self._prefix + _TRIPLES[counter >> 15] + _TRIPLES[counter & 0x7FFF]
