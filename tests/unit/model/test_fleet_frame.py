"""Frames of the fleet: read as they were written, in MessagePack and JSON; what is not ours is refused, and orders that
are past their time or altered are dropped and counted."""

from __future__ import annotations

import math
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import InvalidArgument
from ohmesh.model.context import version_of
from ohmesh.model.fleet_columns import AckColumns, CoordinateColumns, HeartbeatColumns, Rows
from ohmesh.model.fleet_context import AskContext, GiveContext
from ohmesh.model.fleet_frame import (
    FleetBody,
    FleetFrame,
    decode_fleet_frame,
    encode_fleet_frame,
    encode_fleet_frame_as_json,
    sift,
)
from ohmesh.model.fleet_message import (
    Ack,
    Activity,
    Circuit,
    CircuitAction,
    ClockEcho,
    ClockProbe,
    Coordinate,
    Expectation,
    FramesHeard,
    Freeze,
    Heartbeat,
    Join,
    MessageHead,
    ReportedConflict,
    Scope,
    Strategy,
    TargetState,
    Timing,
    Verb,
    hash_payload,
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
    Tier,
)
from ohmesh.model.fleet_replica import Changes, Follow
from ohmesh.model.frame import FRAME_VERSION
from ohmesh.model.hybrid_time import pack_stamp
from ohmesh.model.priority import Priority

NOW_MS = 1_770_000_000_000
HEAD = MessageHead("m1", "orchestrator", pack_stamp(NOW_MS, 1), 5_000, Priority.HIGH, "operation", "cause")
ORDER = Coordinate(
    HEAD,
    Verb.DECIDE,
    NOW_MS * 1000 + 500_000,
    Timing.HOLD,
    b"payload",
    hash_payload(b"payload"),
    ("s007.c04.a12",),
    (40.0,),
    Strategy.SCATTER_GATHER,
    0.5,
    ("gpu",),
    Expectation.ANSWER,
)
ROWS = Rows(7, 4, b"\x0c\x00")
VERSION = version_of(b"content", bytes(32))
BODIES: list[FleetBody] = [
    ORDER,
    Circuit(HEAD, CircuitAction.HALF_OPEN, Scope.SECTOR, "s007", "51 failures in 60 s"),
    Freeze(HEAD, Scope.CLUSTER, "s007.c04", "/mesh/frozen", thaw=True),
    Join("s007.c04.a12", "D", ("gpu",), NOW_MS, "box", b"12345678"),
    Heartbeat("s007.c04.a12", 1.5, 100.0, 3, 0.99, 0.2, activity=Activity("t", 5, "disk")),
    Heartbeat("s007.c04.a13"),
    Ack("m1", "s007.c04.a12", NOW_MS * 1000, 3.5, TargetState.CONFLICT, 0, b"", ReportedConflict("other", "1", "2")),
    ClockProbe(-5, 1, 2, 3),
    ClockEcho(-5, 6, 7, 8, 9, 10),
    FramesHeard("host", 1, "mesh.m.s.7.c.4.hb", 9, 13, (11, 12)),
    HeartbeatColumns(ROWS, b"1234", b"1234", b"1234", b"1234", b"1234", b"1", b"1", b"12345678"),
    CoordinateColumns(ORDER, ROWS, b"1234"),
    AckColumns("m1", ROWS, b"\x01", b"12345678", b"12345678", b"1234", ((0, ReportedConflict("other")),)),
    Member("host", 1, ((0, 300),), 2, "0.1.0", simulated=True),
    FleetView(2, 1, "host", (100, 10, 30), (Member("host", 1),)),
    Relay(Tier.SECTOR, Tier.AGENT, 1, CoordinateColumns(ORDER, ROWS)),
    CallOff(Tier.CLUSTER, "m1", (7,)),
    Recall(Tier.CLUSTER, "m1", (7,)),
    Forget(("m1", "m2")),
    Fold(Tier.MESH, "m1", 7, 10, AckColumns("m1", ROWS, b"\x01", b"12345678", b"12345678", b"1234")),
    Beat("host", 1, 2),
    JoinColumns("host", 1, ((0, 300),), b"\x00", "agent", (("gpu",),), b"\x00\x00", ((4, "box"),)),
    Rejoin("host"),
    Respawn("fleet-1"),
    ConflictNotice("cf1", "hash_mismatch", 4, (7, 8), ("s007.c04.a12",), is_ended=True, outcome="settled"),
    AskContext("host", VERSION.hash[:8], (VERSION.hash,)),
    GiveContext(VERSION.hash[:8], VERSION.hash, (VERSION,), b"content"),
    Changes(b"rows", "FULL"),
    Follow("node", 3, 77),
]  # fmt: skip
FRAME = FleetFrame(FRAME_VERSION, "host", 3, pack_stamp(NOW_MS, 7), BODIES, 12, 9)


def sent(*bodies: Any, version: int = FRAME_VERSION) -> bytes:
    return msgspec.msgpack.encode([version, "host", 3, 4, list(bodies), 5])


def test_a_frame_of_every_message_is_read_as_it_was_written() -> None:
    assert {type(body) for body in BODIES} == set(get_args(FleetBody))
    assert decode_fleet_frame(encode_fleet_frame(FRAME)) == FRAME


def test_the_same_frame_in_json_says_the_same() -> None:
    text = encode_fleet_frame_as_json(FRAME)
    assert decode_fleet_frame(text) == decode_fleet_frame(b"\n " + text) == FRAME


def test_no_two_messages_share_a_tag_with_each_other_or_with_the_task_plane() -> None:
    tags = [body.__struct_config__.tag for body in get_args(FleetBody)]
    assert len(set(tags)) == len(tags)
    assert min(tags) > 100


@given(st.binary(max_size=100))
def test_bytes_that_are_no_frame_are_refused_and_nothing_else_happens(data: bytes) -> None:
    with pytest.raises(InvalidArgument):
        decode_fleet_frame(data)


@given(st.data())
def test_a_frame_of_which_a_byte_is_another_is_read_or_refused(data: st.DataObject) -> None:
    frame = bytearray(encode_fleet_frame(FRAME))
    frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode_fleet_frame(bytes(frame))
    except InvalidArgument as error:
        assert "frame" in str(error)


def test_a_frame_of_another_version_is_refused_by_name() -> None:
    with pytest.raises(InvalidArgument, match=f"version {FRAME_VERSION + 1}"):
        decode_fleet_frame(sent(version=FRAME_VERSION + 1))


def test_a_frame_may_hold_fields_of_the_future_and_lack_those_with_defaults() -> None:
    frame = decode_fleet_frame(msgspec.msgpack.encode([1, "host", 3, 4, [[105, "a"]], 5, 4, "later"]))
    assert frame.bodies == [Heartbeat("a")]
    assert decode_fleet_frame(msgspec.msgpack.encode([1, "host", 3, 4, []])).sequence == 0


@pytest.mark.parametrize(
    "body",
    [
        [99],
        [105, "x" * 129],
        [105, "a", -0.5],
        [105, "a", math.nan],
        [105, "a", math.inf],
        [105, "a", 1.0, 1.0, -1],
        [105, "a", 1.0, 1.0, 1, 1.01],
        [105, "a", 1.0, 1.0, 1, 1.0, 0.1, "asleep"],
        [106, "m", "a", -1, 1.0, 1],
        [106, "m", "a", 1, 1.0, 4],
        [101, ["m", "me", 2**63], "act"],
        [101, ["m", "me", 1, -1], "act"],
        [101, ["m", "me", 1], "ponder"],
        [111, [1_000, 0, b""]],
        [111, [0, 100, b""]],
        [111, [0, -2, b""]],
    ],
)
def test_a_value_out_of_its_bounds_is_refused(body: list[Any]) -> None:
    with pytest.raises(InvalidArgument):
        decode_fleet_frame(sent(body))


def test_orders_past_their_time_are_dropped_and_counted_and_nothing_else_is() -> None:
    heard = sift(FRAME, (NOW_MS + 5_001) * 1000)
    assert heard.expired == 5
    assert heard.altered == 0
    orders = (Coordinate, Circuit, Freeze, CoordinateColumns, Relay)
    assert heard.bodies == [body for body in BODIES if not isinstance(body, orders)]


def test_an_order_is_kept_while_the_clock_cannot_be_sure() -> None:
    assert sift(FRAME, (NOW_MS + 5_001) * 1000, error_us=2_000) == (BODIES, 0, 0)


def test_an_order_whose_payload_is_another_is_dropped_and_counted() -> None:
    altered = msgspec.structs.replace(ORDER, payload=b"Payload")
    bodies: list[FleetBody] = [altered, CoordinateColumns(altered, ROWS), ORDER]
    frame = msgspec.structs.replace(FRAME, bodies=bodies)
    assert sift(frame, NOW_MS * 1000) == ([ORDER], 0, 2)
