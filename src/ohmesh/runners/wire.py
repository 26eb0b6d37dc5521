"""Frames between a pool and its processes: four bytes of length (little-endian), then MessagePack.

    pool -> process    Load, Begin, Work, Stop
    process -> pool    Loaded, LoadFailed, Rows, Overdue, Items

Tasks are numbered from 1 per process, in the order of sending. Every number that was sent is answered by exactly one
row, unless the process dies before. A row may be seen twice (in the outbox, then flushed): the second is ignored.
"""

from __future__ import annotations

import struct

import msgspec
from msgspec import Struct

from ohmesh.errors import InvalidArgument
from ohmesh.model.agent import AgentSpec
from ohmesh.model.task import Grant, Outcome

LENGTH = struct.Struct("<I")
ROWS_TAG = 3
# A Rows frame is written by hand around rows that are encoded already: length, [tag, [row * count]].
ROWS_HEADER = struct.Struct("<IBB")
ROWS_COUNT = struct.Struct(">BI")
ROWS_HEADER_BYTES = ROWS_HEADER.size + ROWS_COUNT.size


class Load(Struct, array_like=True, frozen=True, tag=11):
    """First frame: what to import, and the settings that a process needs."""

    loader: str
    targets: tuple[str, ...]
    options: dict[str, tuple[str, ...]]
    import_paths: tuple[str, ...]
    flush_us: int
    value_max_bytes: int
    traceback_max_chars: int
    tick_ms: int
    envelope_ms: int


class Begin(Struct, array_like=True, frozen=True, tag=12):
    """After Loaded: be a process for sync or for async agents."""

    is_async: bool


class Work(Struct, array_like=True, frozen=True, tag=13):
    """Grants numbered from `first`."""

    first: int
    grants: list[Grant]


class Stop(Struct, array_like=True, frozen=True, tag=14):
    """Cancel these (async only)."""

    numbers: list[int]


class LoadedAgent(Struct, array_like=True, frozen=True):
    spec: AgentSpec
    is_async: bool
    is_stream: bool = False


class Loaded(Struct, array_like=True, frozen=True, tag=1):
    agents: list[LoadedAgent]


class LoadFailed(Struct, array_like=True, frozen=True, tag=2):
    message: str
    hint: str


class Row(Struct, array_like=True, frozen=True):
    """How the task of this number ended; its own code ran for `duration_ns`, 0 when it never started.

    items: above 0 the row is about so many items of an envelope from `first` on: one that failed as the outcome says,
    or some that succeeded, whose encoded values follow each other in the outcome's. The envelope's own row ends it.
    """

    number: int
    duration_ns: int
    outcome: Outcome
    first: int = 0
    items: int = 0


class Rows(Struct, array_like=True, frozen=True, tag=ROWS_TAG):
    rows: list[Row]


class Overdue(Struct, array_like=True, frozen=True, tag=4):
    """These were cancelled for their timeout just now (async only)."""

    numbers: list[int]


class Items(Struct, array_like=True, frozen=True, tag=5):
    """What the streaming task of this number has yielded, numbered from `first`; before its row."""

    number: int
    first: int
    values: list[bytes]
    is_kept: bool


ToProcess = Load | Begin | Work | Stop
ToPool = Loaded | LoadFailed | Rows | Overdue | Items

encode = msgspec.msgpack.Encoder().encode
decode_to_process = msgspec.msgpack.Decoder(ToProcess).decode
_decode_to_pool = msgspec.msgpack.Decoder(ToPool).decode
_decode_rows = msgspec.msgpack.Decoder(list[Row]).decode


def frame(message: ToProcess | ToPool) -> bytes:
    body = encode(message)
    return LENGTH.pack(len(body)) + body


def decode_to_pool(body: bytes | memoryview) -> ToPool:
    """A frame of a process, where user code may have spoilt anything. Raises InvalidArgument."""
    try:
        message: ToPool = _decode_to_pool(body)
        return message
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"A frame of {len(body)} bytes cannot be read: {error}.") from error


def decode_rows(count: int, rows: bytes) -> list[Row]:
    """`count` encoded rows, one after the other. Raises InvalidArgument."""
    try:
        return _decode_rows(ROWS_COUNT.pack(0xDD, count) + rows)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"{count} results in {len(rows)} bytes cannot be read: {error}.") from error


def pack_rows_header(target: bytearray | memoryview, count: int, rows_bytes: int) -> None:
    """Write the head of a Rows frame into the first ROWS_HEADER_BYTES of `target`."""
    ROWS_HEADER.pack_into(target, 0, rows_bytes + ROWS_HEADER_BYTES - LENGTH.size, 0x92, ROWS_TAG)
    ROWS_COUNT.pack_into(target, ROWS_HEADER.size, 0xDD, count)


class Splitter:
    """Cuts a stream of bytes into the bodies of frames of at most `frame_max_bytes`."""

    def __init__(self, frame_max_bytes: int = (1 << 32) - 1) -> None:
        self._rest = bytearray()
        self._frame_max_bytes = frame_max_bytes

    def feed(self, data: bytes) -> list[memoryview]:
        """The bodies that are complete with `data`; they are valid until the next call. Raises InvalidArgument."""
        if self._rest:
            self._rest += data
            data = bytes(self._rest)
            self._rest.clear()
        view = memoryview(data)
        bodies = []
        position, end = 0, len(data)
        while end - position >= LENGTH.size:
            start = position + LENGTH.size
            length = LENGTH.unpack_from(view, position)[0]
            if length > self._frame_max_bytes:
                raise InvalidArgument(f"A frame of {length} bytes; at most {self._frame_max_bytes} are read.")
            stop = start + length
            if stop > end:
                break
            bodies.append(view[start:stop])
            position = stop
        if position < end:
            self._rest += view[position:]
        return bodies
