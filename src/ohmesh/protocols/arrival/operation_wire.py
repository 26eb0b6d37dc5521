"""A sector's record as bytes: to be sent upward, stored and read again.

One byte for each target (what is known, and how it was asked or why not), four for the time of each answer, eight for
the times of each skip. Rows are a bit each from the first to the last, or four bytes where they lie far apart. A sector
of 300 takes 1.6 KB when all have answered and 2.8 KB when all were skipped.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from ohmesh.errors import InvalidArgument
from ohmesh.model.topology import MAX_AGENTS, MAX_CLUSTERS, MAX_SECTORS
from ohmesh.protocols.arrival.operation import SectorRecord
from ohmesh.protocols.arrival.target_state import Delivery, Knowledge, SkipReason

RECORD_VERSION = 1
MAX_SECTOR_SIZE = MAX_CLUSTERS * MAX_AGENTS
MAX_FLEET = MAX_SECTORS * MAX_SECTOR_SIZE
_KNOWN_BITS, _KNOWN_MASK = 3, 0b111
_WAY_MASK, _CONTRADICTED = 0b11, 0b100


class _Columns(Struct, array_like=True, frozen=True):
    """marks (u1 each): knowledge in the lower three bits; above them, of the skipped the reason, of others the way (two
    bits) and whether it contradicted itself (one). answered_ms (<f4): from T, of those that are CONFLICT or READY, in
    their order. skipped_ms (<f4): needed of each skipped, then available of each."""

    version: int
    sector: int
    target_ms: float
    first: int
    count: int
    bits: bytes
    gaps: bytes
    marks: bytes
    answered_ms: bytes
    skipped_ms: bytes


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(_Columns)


def encode_record(record: SectorRecord) -> bytes:
    first, bits, gaps = _pack_rows(record.rows)
    known = record.knowledge
    is_skipped = known == Knowledge.SKIPPED
    ways = record.deliveries | np.where(record.contradicted, np.uint8(_CONTRADICTED), np.uint8(0))
    marks = known | (np.where(is_skipped, record.reasons, ways) << _KNOWN_BITS).astype(np.uint8)
    spans = np.concatenate((record.needed_ms[is_skipped], record.available_ms[is_skipped]))
    return _encode(
        _Columns(
            RECORD_VERSION,
            record.sector,
            record.target_ms,
            first,
            len(record),
            bits,
            gaps,
            marks.tobytes(),
            record.offsets_ms[known >= Knowledge.CONFLICT].astype("<f4").tobytes(),
            spans.astype("<f4").tobytes(),
        )
    )


def decode_record(data: bytes) -> SectorRecord:
    """Raises InvalidArgument: it cannot be read, or says what cannot be."""
    try:
        columns = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArgument(f"A record of {len(data)} bytes cannot be read: {error}.") from error
    if columns.version != RECORD_VERSION:
        raise InvalidArgument(
            f"A record of version {columns.version} arrived; this process reads version {RECORD_VERSION}.",
            hint="Upgrade the older side.",
        )
    if not (0 <= columns.sector < MAX_SECTORS and 0 <= columns.count <= MAX_SECTOR_SIZE):
        raise InvalidArgument(f"A record of {columns.count} targets in sector {columns.sector} cannot be.")
    record = SectorRecord(columns.sector, _unpack_rows(columns), columns.target_ms)
    _fill(record, columns)
    return record


def _pack_rows(rows: NDArray[np.int64]) -> tuple[int, bytes, bytes]:
    """The first row, and the others as bits, or as distances from it where that is shorter."""
    if not len(rows):
        return 0, b"", b""
    first = int(rows[0])
    distances = rows - first
    span = int(distances[-1]) + 1
    if span > 32 * len(rows):
        return first, b"", distances.astype("<u4").tobytes()
    present = np.zeros(span, np.uint8)
    present[distances] = 1
    return first, np.packbits(present, bitorder="little").tobytes(), b""


def _unpack_rows(columns: _Columns) -> NDArray[np.int64]:
    if not 0 <= columns.first < MAX_FLEET or len(columns.bits) > 4 * MAX_SECTOR_SIZE:
        raise InvalidArgument(f"A record begins at row {columns.first}, which no fleet has.")
    if columns.gaps:
        distances = _column(columns.gaps, "<u4", columns.count, "rows").astype(np.int64)
    else:
        bits = np.frombuffer(columns.bits, np.uint8)
        distances = np.flatnonzero(np.unpackbits(bits, bitorder="little"))
    if len(distances) != columns.count:
        raise InvalidArgument(f"A record of {columns.count} targets names {len(distances)} rows.")
    return columns.first + distances


def _fill(record: SectorRecord, columns: _Columns) -> None:
    marks = _column(columns.marks, "u1", len(record), "marks")
    known, above = marks & _KNOWN_MASK, marks >> _KNOWN_BITS
    skipped = known == Knowledge.SKIPPED
    ways = np.where(skipped, np.uint8(0), above)
    asked = known >= Knowledge.TRANSIT
    has_way = (ways & _WAY_MASK) != Delivery.NONE
    contradicts = (ways & _CONTRADICTED) != 0
    if (
        (known > Knowledge.READY).any()
        or (above[skipped] > max(SkipReason)).any()
        or (ways > (_WAY_MASK | _CONTRADICTED)).any()
        or (asked != has_way).any()
        or (contradicts & (known != Knowledge.READY)).any()
    ):
        raise InvalidArgument(f"A record of sector {record.sector} says what cannot be of a target.")
    record.knowledge[:] = known
    record.deliveries[:] = ways & _WAY_MASK
    record.contradicted[:] = contradicts
    record.reasons[skipped] = above[skipped]
    answered = known >= Knowledge.CONFLICT
    times = _column(columns.answered_ms, "<f4", int(answered.sum()), "answered_ms")
    spans = _column(columns.skipped_ms, "<f4", 2 * int(skipped.sum()), "skipped_ms")
    if np.isnan(times).any() or np.isnan(spans).any() or not np.isfinite(record.target_ms):
        raise InvalidArgument(f"A record of sector {record.sector} holds a time that is no number.")
    record.offsets_ms[answered] = times
    half = len(spans) // 2
    record.needed_ms[skipped], record.available_ms[skipped] = spans[:half], spans[half:]


def _column(data: bytes, dtype: str, count: int, name: str) -> NDArray[Any]:
    size = np.dtype(dtype).itemsize
    if len(data) != count * size:
        raise InvalidArgument(
            f"Column {name!r} of a record has {len(data)} bytes; {count} values take {count * size}."
        )
    return np.frombuffer(data, dtype)
