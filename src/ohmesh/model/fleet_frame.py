"""A frame of the fleet: what one process says to another in one turn.

    [version, sender, term, stamp, [body, body, ...], sequence, oldest]     MessagePack, or the same in JSON

`stamp` is the sender's hybrid time, which orders causes before effects. `sequence` numbers the frames that the sender
publishes to one subject in one life (`term`), from 1; 0 is a frame outside of any order, such as a clock probe.
`oldest` is the lowest number that the sender would still send again; 0: it sends nothing again.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from msgspec import Struct

from ohmesh.errors import InvalidArgument
from ohmesh.model.fleet_columns import AckColumns, CoordinateColumns, HeartbeatColumns
from ohmesh.model.fleet_context import AskContext, GiveContext
from ohmesh.model.fleet_message import (
    Ack,
    Circuit,
    ClockEcho,
    ClockProbe,
    Coordinate,
    Count,
    FramesHeard,
    Freeze,
    Heartbeat,
    Id,
    Join,
)
from ohmesh.model.fleet_operation import (
    Beat,
    CallOff,
    ConflictNotice,
    FleetView,
    Fold,
    Forget,
    JoinColumns,
    Member,
    Recall,
    Rejoin,
    Relay,
    Respawn,
)
from ohmesh.model.fleet_replica import Changes, Follow
from ohmesh.model.frame import FRAME_VERSION

FleetBody = (
    Coordinate
    | Circuit
    | Freeze
    | Join
    | Heartbeat
    | Ack
    | ClockProbe
    | ClockEcho
    | FramesHeard
    | HeartbeatColumns
    | CoordinateColumns
    | AckColumns
    | Member
    | FleetView
    | Relay
    | CallOff
    | Recall
    | Forget
    | Fold
    | Beat
    | JoinColumns
    | Rejoin
    | AskContext
    | GiveContext
    | ConflictNotice
    | Respawn
    | Changes
    | Follow
)
_JSON_OPENINGS = b"[ \t\r\n"


class FleetFrame(Struct, array_like=True, frozen=True):
    version: int
    sender: Id
    term: Count
    stamp: Count
    bodies: list[FleetBody]
    sequence: Count = 0
    oldest: Count = 0


class Heard(NamedTuple):
    """What `sift` kept of a frame, and how many bodies it dropped: past their time, and other than what was hashed."""

    bodies: list[FleetBody]
    expired: int
    altered: int


_ORDERS = (Coordinate, Circuit, Freeze)

_encode_msgpack = msgspec.msgpack.Encoder().encode
_encode_json = msgspec.json.Encoder().encode
_MSGPACK = msgspec.msgpack.Decoder(FleetFrame)
_JSON = msgspec.json.Decoder(FleetFrame)


def encode_fleet_frame(frame: FleetFrame) -> bytes:
    return _encode_msgpack(frame)


def encode_fleet_frame_as_json(frame: FleetFrame) -> bytes:
    """For those that read no MessagePack; floats that are no number become null."""
    return _encode_json(frame)


def decode_fleet_frame(data: bytes) -> FleetFrame:
    """From MessagePack or JSON. Raises InvalidArgument: neither, of another version, or a value out of its bounds.

    The buffers of columns are not looked at: reading a body into a table checks them."""
    decoder = _JSON if data[:1] in _JSON_OPENINGS and data else _MSGPACK
    try:
        frame = decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArgument(f"A frame of {len(data)} bytes cannot be read: {error}.") from error
    if frame.version != FRAME_VERSION:
        raise InvalidArgument(
            f"A frame of version {frame.version} arrived; this process speaks version {FRAME_VERSION}.",
            hint="Upgrade the older side.",
        )
    return frame


def sift(frame: FleetFrame, now_us: int, error_us: int = 0) -> Heard:
    """Drop orders that are past their time at mesh time `now_us` (which may be wrong by `error_us`), and those whose
    payload is not the one that was hashed."""
    kept: list[FleetBody] = []
    expired = altered = 0
    surely_ms = (now_us - error_us) // 1000
    for body in frame.bodies:
        order = body.body.message if isinstance(body, Relay) else body
        order = order.message if isinstance(order, CoordinateColumns) else order
        if isinstance(order, _ORDERS):
            if order.head.is_expired(surely_ms):
                expired += 1
                continue
            if isinstance(order, Coordinate) and not order.is_whole():
                altered += 1
                continue
        kept.append(body)
    return Heard(kept, expired, altered)
