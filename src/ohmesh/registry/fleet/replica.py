"""How a replica of the registry follows: the rows that have changed since a version, as columns in one or more frames.

A row of a frame is what it is now, not what happened to it, so frames may come twice, late or in another order, and a
follower that missed some asks once for all that it lacks. `since` says where a frame begins: one that begins above the
follower's version leaves a gap, and is not applied. A frame of everything begins at EVERYTHING; rows that it does not
name are vacant.

Versions count within a term of the role that holds the registry: a frame of a lower term is refused, and of a higher
one a follower takes everything first. A follower that is promoted goes on counting from its own version.

Frames of one change are applied together or not at all, so a follower is always what the registry was at its version.
Words travel with the frame that names them, as codes of a registry mean nothing elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta, Struct

from ohmesh.errors import InvalidArgument
from ohmesh.model.column_buffer import check_within, from_buffer, to_buffer
from ohmesh.model.fleet_columns import DUTY_CODES, LIVENESS_CODES
from ohmesh.model.heartbeat import HEARTBEAT_PROFILES
from ohmesh.registry.fleet.columns import COLUMN_TYPES, FleetColumns, Rows
from ohmesh.registry.fleet.joining import check_rows
from ohmesh.registry.fleet.liveness import VACANT
from ohmesh.registry.fleet.table import FleetTable
from ohmesh.registry.fleet.words import WordTable

EVERYTHING = -1
ROWS_A_FRAME = 4_000
MAX_FRAMES = 25_000
"""Of one change: a hundred million rows."""

_WORDS = {"host": "hosts", "task": "words", "waits_on": "words"}
_Count = Annotated[int, Meta(ge=0)]


class Position(NamedTuple):
    """How far a follower has come."""

    term: int
    version: int


class ChangeFrame(Struct, array_like=True, frozen=True, kw_only=True):
    """A part of what changed after `since` up to `version`; `frame` of `frames`, counted from 0.

    shape: sectors, clusters, agents. classes: their names, by code. capabilities: all names, by bit.
    rows: u4, rising. columns: name -> one buffer, of the type in COLUMN_TYPES, little-endian; words as places in
    `hosts` and `words`, whose first text is empty. bits: one buffer for each 64 capabilities.
    names: place in rows, and name."""

    term: _Count
    since: Annotated[int, Meta(ge=EVERYTHING)]
    version: _Count
    frame: _Count
    frames: Annotated[int, Meta(ge=1, le=MAX_FRAMES)]
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    capabilities: tuple[str, ...]
    rows: bytes
    columns: dict[str, bytes]
    bits: tuple[bytes, ...]
    hosts: tuple[str, ...]
    words: tuple[str, ...]
    names: tuple[tuple[int, str], ...]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ChangeFrame).decode


def encode_changes(
    fleet: FleetTable, term: int, *, after: Position | None = None, rows_a_frame: int = ROWS_A_FRAME
) -> list[bytes]:
    """What a follower at `after` lacks, at least one frame; everything if it is of another term or has nothing."""
    columns = fleet.columns
    if after is None or after.term != term or not 0 <= after.version <= fleet.version:
        since, rows = EVERYTHING, np.flatnonzero(columns.liveness != VACANT)
    else:
        since, rows = after.version, np.flatnonzero(columns.version > after.version)
    pieces = np.split(rows, range(rows_a_frame, len(rows), rows_a_frame))
    return [
        _encode(_frame(fleet, piece, Position(term, since), (number, len(pieces))))
        for number, piece in enumerate(pieces)
    ]


def decode_changes(data: bytes) -> ChangeFrame:
    """Raises InvalidArgument. What a frame holds is looked at by whoever applies it."""
    try:
        return _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArgument(f"Changes of {len(data)} bytes cannot be read: {error}.") from error


class Taken(Enum):
    """APPLIED: the follower is at the version of the frame. WAITING: other frames of the same change are missing.
    KNOWN: nothing new. GAP: ask for what lies between, by `position`. FENCED: of a lower term."""

    APPLIED = "applied"
    WAITING = "waiting"
    KNOWN = "known"
    GAP = "gap"
    FENCED = "fenced"


class Replica:
    """Follows into `fleet`, which nobody else changes meanwhile."""

    def __init__(self, fleet: FleetTable) -> None:
        self.fleet = fleet
        self._term = -1
        self._waiting: dict[int, ChangeFrame] = {}

    @property
    def position(self) -> Position | None:
        """None before anything was applied."""
        return Position(self._term, self.fleet.version) if self._term >= 0 else None

    def take(self, frame: ChangeFrame) -> Taken:
        """Raises InvalidArgument, and changes nothing: a frame of another fleet, or one that contradicts itself."""
        if frame.term < self._term:
            return Taken.FENCED
        is_whole = frame.since == EVERYTHING
        if frame.term == self._term and frame.version <= self.fleet.version:
            return Taken.KNOWN
        if not is_whole and (frame.term != self._term or frame.since > self.fleet.version):
            return Taken.GAP
        self._keep(frame)
        if len(self._waiting) < frame.frames:
            return Taken.WAITING
        frames = [self._waiting[number] for number in range(frame.frames)]
        self._waiting = {}
        _apply(self.fleet, frames)
        self._term = frame.term
        return Taken.APPLIED

    def _keep(self, frame: ChangeFrame) -> None:
        """Frames of one change only: those of an older one are given up."""
        if frame.frame >= frame.frames:
            raise InvalidArgument(f"Frame {frame.frame} of {frame.frames} does not exist.")
        if any(_change(frame) != _change(one) for one in self._waiting.values()):
            self._waiting = {}
        self._waiting[frame.frame] = frame


def _change(frame: ChangeFrame) -> tuple[int, int, int, int]:
    return frame.term, frame.since, frame.version, frame.frames


def _frame(fleet: FleetTable, rows: Rows, since: Position, number: tuple[int, int]) -> ChangeFrame:
    """number: which frame, of how many."""
    columns, shape = fleet.columns, fleet.topology
    plain = {name: getattr(columns, name)[rows] for name in COLUMN_TYPES}
    hosts, plain["host"] = _own_words(fleet.hosts, plain["host"])
    words, both = _own_words(fleet.words, np.concatenate((plain["task"], plain["waits_on"])))
    plain["task"], plain["waits_on"] = both[: len(rows)], both[len(rows) :]
    return ChangeFrame(
        term=since.term,
        since=since.version,
        version=fleet.version,
        frame=number[0],
        frames=number[1],
        shape=(shape.sectors, shape.clusters, shape.agents),
        classes=tuple(one.name for one in fleet.classes.all),
        capabilities=tuple(fleet.capabilities.names),
        rows=to_buffer(rows, "<u4"),
        columns={name: to_buffer(plain[name], _little(name)) for name in COLUMN_TYPES},
        bits=tuple(to_buffer(word[rows], "<u8") for word in columns.capabilities),
        hosts=hosts,
        words=words,
        names=_names_at(fleet, rows),
    )


def _names_at(fleet: FleetTable, rows: Rows) -> tuple[tuple[int, str], ...]:
    """Place in `rows` and name, of those among them that their owners named."""
    named = np.fromiter(fleet.rows_by_name.values(), np.intp, len(fleet.rows_by_name))
    here = named[np.isin(named, rows)]
    places = np.searchsorted(rows, here).tolist()
    return tuple((place, fleet.name_of(row)) for place, row in zip(places, here.tolist(), strict=True))


def _own_words(table: WordTable, codes: npt.NDArray[np.uint32]) -> tuple[tuple[str, ...], npt.NDArray[Any]]:
    """The words that codes mean, the empty one first, and the same codes as places in them."""
    used = np.union1d(codes, 0)
    return tuple(table.texts[code] for code in used.tolist()), np.searchsorted(used, codes)


def _apply(fleet: FleetTable, frames: Sequence[ChangeFrame]) -> None:
    first = frames[0]
    is_whole = first.since == EVERYTHING
    parts = [_read(fleet, frame) for frame in frames]
    rows = np.concatenate([part.rows for part in parts])
    check_rows(rows)
    names = [(row, name) for part in parts for row, name in part.names]
    known = () if is_whole else tuple(fleet.capabilities.names)
    if len({name for _, name in names}) != len(names) or first.capabilities[: len(known)] != known:
        raise InvalidArgument("Changes give one name to two agents, or other bits to capabilities.")
    if is_whole:
        fleet.clear()
    fleet.learn_capabilities(first.capabilities)
    fleet.sweep_words()
    columns = {
        name: np.concatenate(
            [_own_codes(fleet, name, frame, part) for frame, part in zip(frames, parts, strict=True)]
        )
        for name in COLUMN_TYPES
    }
    bits = [np.concatenate(word) for word in zip(*(part.bits for part in parts), strict=True)]
    fleet.replace_rows(rows, FleetColumns(**columns, capabilities=bits), dict(names))
    fleet.version = first.version


def _own_codes(fleet: FleetTable, name: str, frame: ChangeFrame, part: _Read) -> npt.NDArray[Any]:
    """A column of a frame; where it holds places in words of the frame, in codes of this fleet."""
    column = part.columns[name]
    if name not in _WORDS:
        return column
    table: WordTable = getattr(fleet, _WORDS[name])
    codes: npt.NDArray[Any] = table.add(getattr(frame, _WORDS[name]))[column]
    return codes


class _Read(NamedTuple):
    rows: Rows
    columns: Mapping[str, npt.NDArray[Any]]
    bits: Sequence[npt.NDArray[np.uint64]]
    names: Sequence[tuple[int, str]]
    """Row and name."""


def _read(fleet: FleetTable, frame: ChangeFrame) -> _Read:
    """Arrays of a frame. Raises InvalidArgument: of another fleet, sizes that differ, codes of nothing."""
    shape = fleet.topology
    if frame.shape != (shape.sectors, shape.clusters, shape.agents) or frame.classes != tuple(
        one.name for one in fleet.classes.all
    ):
        raise InvalidArgument(
            f"Changes of a fleet of {frame.shape} and classes {frame.classes} are not of this one."
        )
    count = len(frame.rows) // 4
    rows = from_buffer(frame.rows, "<u4", count, "rows").astype(np.intp)
    check_within(rows, 0, shape.size - 1, "rows")
    if set(frame.columns) != set(COLUMN_TYPES):
        raise InvalidArgument(f"Changes have the columns {sorted(frame.columns)}.")
    columns = {name: from_buffer(data, _little(name), count, name) for name, data in frame.columns.items()}
    for name, most in (
        ("liveness", len(LIVENESS_CODES)),
        ("duty", len(DUTY_CODES) - 1),
        ("imposed_duty", len(DUTY_CODES) - 1),
        ("reported_duty", len(DUTY_CODES) - 1),
        ("class_code", len(frame.classes) - 1),
        ("profile", len(HEARTBEAT_PROFILES) - 1),
        ("host", len(frame.hosts) - 1),
        ("task", len(frame.words) - 1),
        ("waits_on", len(frame.words) - 1),
    ):
        check_within(columns[name], 0, most, name)
    wanted = max(1, -(-len(frame.capabilities) // 64))
    if len(frame.bits) != wanted or any(not 0 <= place < count for place, _ in frame.names):
        raise InvalidArgument("Changes have bits of other capabilities, or names of other rows.")
    bits = [from_buffer(word, "<u8", count, "bits") for word in frame.bits]
    return _Read(rows, columns, bits, [(int(rows[place]), name) for place, name in frame.names])


def _little(name: str) -> str:
    dtype = COLUMN_TYPES[name]
    return f"<{dtype.kind}{dtype.itemsize}"
