"""In what order a reader hears the items of one task, whatever is lost, repeated or begun anew on the way.

Items are numbered from 0 in each attempt, and leases rise, so what comes late or twice is known. A later lease begins
anew: what the earlier one had brought and was not taken yet is dropped. An item that is missing holds up those behind
it until it comes or the end fills it.

Invariants: items are given in order and once for each attempt; what waits takes at most `buffer_bytes`, and what is
beyond is dropped and missing later.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ohmesh.model.message import StreamItems

BUFFER_BYTES = 2 << 20  # of a stream that is kept all items fit
ITEM_OVERHEAD_BYTES = 64


@dataclass(frozen=True, slots=True)
class Ready:
    attempt: int
    number: int
    value: bytes


class ItemOrder:
    """`after`: attempt and number of the last item that the reader has; (0, -1) is none."""

    def __init__(self, after: tuple[int, int] = (0, -1), *, buffer_bytes: int = BUFFER_BYTES) -> None:
        self.next = 0
        self.is_kept = True
        self._after = after
        self._buffer_bytes = buffer_bytes
        self._lease = self._attempt = 0
        self._waiting: dict[int, bytes] = {}
        self._bytes = 0
        self._end = 0  # behind the highest number seen
        self._digest = hashlib.blake2b(digest_size=16)
        self._is_whole = True  # the digest is of all items before `next`

    def take(self, items: StreamItems) -> None:
        if items.lease < self._lease:
            return
        if items.lease > self._lease:
            self._begin(items.lease, items.attempt)
        self.is_kept = items.is_kept
        self._end = max(self._end, items.first + len(items.values))
        for number, value in enumerate(items.values, items.first):
            size = len(value) + ITEM_OVERHEAD_BYTES
            # The next one is always taken: it goes on at once, and without it nothing does.
            fits = self._bytes + size <= self._buffer_bytes or number == self.next
            if number >= self.next and number not in self._waiting and fits:
                self._waiting[number] = value
                self._bytes += size

    def pop(self) -> Ready | None:
        """The next item, where it is there."""
        value = self._waiting.pop(self.next, None)
        if value is None:
            return None
        self._bytes -= len(value) + ITEM_OVERHEAD_BYTES
        return self._given(value)

    @property
    def is_missing(self) -> bool:
        """A later item was seen than the next one, which is not here."""
        return self.next < self._end and self.next not in self._waiting

    def finish(self, values: Sequence[bytes], attempt: int) -> Iterator[Ready]:
        """What is left of all items of the attempt that ended with these."""
        if not self._is_of(values, attempt):
            self._begin(self._lease, attempt)
        self._waiting.clear()
        for value in values[self.next :]:
            yield self._given(value)

    def _begin(self, lease: int, attempt: int) -> None:
        self._lease, self._attempt = lease, attempt
        self._waiting.clear()
        self._bytes = self._end = 0
        self._digest = hashlib.blake2b(digest_size=16)
        seen_attempt, seen_number = self._after
        self.next = seen_number + 1 if attempt == seen_attempt else 0
        self._is_whole = self.next == 0

    def _is_of(self, values: Sequence[bytes], attempt: int) -> bool:
        """Whether the items given so far are the first of these: an attempt that was handed back is repeated under
        its number, and need not yield the same."""
        if attempt != self._attempt or self.next > len(values):
            return False
        if not self._is_whole:
            return True
        digest = hashlib.blake2b(digest_size=16)
        for value in values[: self.next]:
            digest.update(value)
        return digest.digest() == self._digest.digest()

    def _given(self, value: bytes) -> Ready:
        ready = Ready(self._attempt, self.next, value)
        self._digest.update(value)
        self.next += 1
        return ready
