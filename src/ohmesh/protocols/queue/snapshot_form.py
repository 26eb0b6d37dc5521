"""How a snapshot stands in bytes: a header, then slices, each to be read by itself.

    head:  c1, version, parts (4 bytes), header frame, slice frames of the end
    part:  slice frames                        frame: its length (4 bytes), MessagePack

The parts, if any, come before what stands in the head. They are numbered from 0. Numbers are little-endian. Up to
version 2 a snapshot was the header alone, with everything in it.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from ohmesh.errors import LogCorrupt
from ohmesh.model.limit import KindLimit
from ohmesh.model.task import TaskState
from ohmesh.protocols.queue.host_record import HostRecord
from ohmesh.protocols.queue.lock_table import LockRecord
from ohmesh.protocols.queue.rows import SNAPSHOT_VERSION, SnapshotTaken
from ohmesh.protocols.queue.schedule_table import ScheduleRecord
from ohmesh.protocols.queue.unique_keys import KeptKey

if TYPE_CHECKING:
    from ohmesh.protocols.queue.task_table import TaskTable

READABLE_VERSIONS = (1, 2, SNAPSHOT_VERSION)
_SIGN = b"\xc1"  # what no MessagePack begins with
_HEAD = struct.Struct("<BI")
_LENGTH = struct.Struct("<I")


class Header(Struct, array_like=True):
    """tasks, finished, forgotten, hosts, forgotten_digests, forgotten_ms: empty since version 3."""

    version: int
    sequence: int
    previous: bytes
    epoch: int
    owner: str
    time_ms: int
    next_order: int
    next_lease: int
    tasks: msgspec.Raw
    finished: list[str]
    forgotten: list[tuple[str, int]]
    horizon_ms: int
    hosts: list[HostRecord]
    ended: dict[TaskState, int]
    snapshot: SnapshotTaken | None
    lost_tail: str = ""
    paused: dict[str, int] = {}
    limits: dict[str, KindLimit] = {}
    schedules: list[ScheduleRecord] = []
    next_generation: int = 1
    locks: list[LockRecord] = []
    last_token: int = 0
    forgotten_digests: bytes = b""
    forgotten_ms: bytes = b""
    held_bytes: int = 0

    @classmethod
    def of(cls, table: TaskTable, sequence: int, previous: bytes) -> Header:
        """Without what stands in slices."""
        return cls(
            SNAPSHOT_VERSION,
            sequence,
            previous,
            table.epoch,
            table.owner,
            table.time_ms,
            table.next_order,
            table.next_lease,
            msgspec.Raw(b"\x90"),
            [],
            [],
            table.horizon_ms,
            [],
            table.ended,
            table.snapshot,
            table.lost_tail,
            table.paused,
            table.limits.of,
            list(table.schedules.records.values()),
            table.schedules.next_generation,
            list(table.locks.held.values()),
            table.locks.last_token,
            held_bytes=table.held_bytes,
        )


class Slice(Struct, array_like=True):
    """tasks: in the order of submission. ids to priorities: columns, of tasks that were submitted and no more, in
    the same order: the submission, and what stands in it or beside it (place_of: an index into `places`, 16 bits; the
    times and orders 64 bits, the priorities 8)."""

    tasks: list[msgspec.Raw] = []
    ids: list[str] = []
    records: list[bytes] = []
    orders: bytes = b""
    submitted_ms: bytes = b""
    due_ms: bytes = b""
    places: list[tuple[str, tuple[str, ...]]] = []
    place_of: bytes = b""
    priorities: bytes = b""
    finished: list[str] = []
    hosts: list[HostRecord] = []
    digests: bytes = b""
    ended_ms: bytes = b""
    kept_keys: list[KeptKey] = []


_encode = msgspec.msgpack.Encoder().encode
_decode_header = msgspec.msgpack.Decoder(Header).decode
_decode_slice = msgspec.msgpack.Decoder(Slice).decode


def encode_header(header: Header) -> bytes:
    return _framed(_encode(header))


def encode_slice(piece: Slice) -> bytes:
    return _framed(_encode(piece))


def head(header: bytes, parts: int, end: Iterable[bytes]) -> bytes:
    """The blob that is the snapshot: after so many parts comes `end`."""
    return b"".join((_SIGN, _HEAD.pack(SNAPSHOT_VERSION, parts), header, *end))


def read_head(data: bytes) -> tuple[Header, int, memoryview]:
    """The header, how many parts there are, and the frames that come after them. Raises LogCorrupt."""
    try:
        if not data.startswith(_SIGN):
            return _checked(_decode_header(data)), 0, memoryview(b"")
        version, parts = _HEAD.unpack_from(data, len(_SIGN))
        _check_version(version)
        rest = memoryview(data)[len(_SIGN) + _HEAD.size :]
        end = _LENGTH.size + _LENGTH.unpack_from(rest)[0]
        return _checked(_decode_header(rest[_LENGTH.size : end])), parts, rest[end:]
    except (msgspec.MsgspecError, struct.error) as error:
        raise LogCorrupt(f"A snapshot of {len(data)} bytes cannot be read: {error}.") from error


def slices_of(frames: bytes | memoryview) -> Iterator[Slice]:
    """Raises LogCorrupt."""
    at = 0
    try:
        while at < len(frames):
            begin = at + _LENGTH.size
            at = begin + _LENGTH.unpack_from(frames, at)[0]
            yield _decode_slice(frames[begin:at])
    except (msgspec.MsgspecError, struct.error) as error:
        raise LogCorrupt(f"A slice of a snapshot cannot be read: {error}.") from error


def to_bytes(numbers: array[int]) -> bytes:
    """Little-endian."""
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def _framed(data: bytes) -> bytes:
    return _LENGTH.pack(len(data)) + data


def _checked(header: Header) -> Header:
    _check_version(header.version)
    return header


def _check_version(version: int) -> None:
    if version not in READABLE_VERSIONS:
        raise LogCorrupt(
            f"A snapshot has version {version}, this process reads those up to {SNAPSHOT_VERSION}."
        )
