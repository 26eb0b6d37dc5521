"""The hash chain: each batch's BLAKE2b covers its rows, its header and the hash of the batch before.

The hash of a batch is that of
    previous hash, then for each table that has rows its name and its rows in order, then "chain" and the header,
everything but the first in MessagePack. Rows are streamed in, so neither side holds a batch in memory. A table that
has no rows in a batch leaves no trace: tables that come later do not disturb what was hashed before them.

What a chain shows: any row, header or order that was changed, added or removed up to the last batch. What it cannot
show by itself: that the newest batches were cut off together; for that, keep the last hash somewhere else.
Source: Haber and Stornetta, How to Time-Stamp a Digital Document, 1991 (linking).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from ohmesh.engines.ledger.config import LINE_BITS
from ohmesh.engines.ledger.rows import Row

HASH_BYTES = 32
GENESIS = bytes(HASH_BYTES)

_PERSON = b"ohmesh-ledger-1"
_encoder = msgspec.msgpack.Encoder()


class Link(NamedTuple):
    """One recorded batch; the columns of `chain`, in their order."""

    number: int
    source: str
    position: int
    entries: int
    hash: bytes


def first_entry(number: int) -> int:
    """The key of line 0 of batch `number`."""
    return number << LINE_BITS


def batch_of(entry: int) -> int:
    return entry >> LINE_BITS


class LinkHash:
    """Takes the rows of one batch, table by table, then gives its hash."""

    def __init__(self, previous: bytes) -> None:
        self._digest = hashlib.blake2b(previous, digest_size=HASH_BYTES, person=_PERSON)
        self._table = ""
        self.entries = 0

    def add(self, table: str, rows: Iterable[Row]) -> None:
        buffer = bytearray()
        for row in rows:
            if table != self._table:
                _encoder.encode_into(table, buffer, -1)
                self._table = table
            _encoder.encode_into(row, buffer, -1)
            self.entries += 1
        self._digest.update(buffer)

    def finish(self, number: int, source: str, position: int) -> bytes:
        header = ("chain", (number, source, position, self.entries))
        self._digest.update(_encoder.encode(header))
        return self._digest.digest()
