"""Columns of clusters and sectors: read as they were packed, and nothing in them is trusted."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from ohmesh.errors import InvalidArgument
from ohmesh.model.agent import Duty, Liveness
from ohmesh.model.fleet_columns import DUTY_CODES, LIVENESS_CODES, WHOLE_SECTOR, HeartbeatColumns, Rows
from ohmesh.model.fleet_message import Coordinate, MessageHead, ReportedConflict, TargetState, Verb
from ohmesh.model.fleet_table import (
    AckTable,
    CoordinateTable,
    HeartbeatTable,
    Places,
    pack_acks,
    pack_coordinate,
    pack_heartbeats,
    pack_places,
    read_acks,
    read_coordinate,
    read_heartbeats,
    read_places,
)
from ohmesh.model.topology import AgentPlace, Topology

SHAPE = Topology()
ORDER = Coordinate(MessageHead("m", "me", 1), Verb.SYNC)


def places(count: int = 3, cluster: int = 4) -> Places:
    numbers = np.arange(count, dtype=np.uint16) % 30
    clusters = np.arange(count) // 30 if cluster == WHOLE_SECTOR else np.full(count, cluster)
    return Places(7, cluster, clusters.astype(np.uint8), numbers)


def heartbeats(where: Places, words: tuple[str, ...] = ("compile", "disk")) -> HeartbeatTable:
    some = np.linspace(0, 1, len(where)).astype(np.float32)
    which = (np.arange(len(where)) % 3).astype(np.uint16)
    return HeartbeatTable(
        where,
        rtt_ms=np.full(len(where), np.nan, np.float32),
        processing_ms=some * 60_000,
        queue_depth=(some * 1000).astype(np.uint32),
        reliability=some,
        drift=some,
        liveness=np.ones(len(where), np.uint8),
        duty=np.zeros(len(where), np.uint8),
        context_hash=np.full(len(where), 2**64 - 1, np.uint64),
        words=words,
        task=which,
        since_us=which.astype(np.int64) << 50,
        waits_on=which,
    )


def acks(where: Places) -> AckTable:
    times = np.arange(len(where), dtype=np.int64) * 10**15
    return AckTable(
        "m",
        where,
        state=np.resize(np.array([-1, 0, 1, 2, 3], np.int8), len(where)),
        arrived_us=times,
        ready_us=times[::-1].copy(),
        processing_ms=np.ones(len(where), np.float32),
        conflicts=((1, ReportedConflict("other")),),
        answers=(b"yes", b"no"),
        answer=(np.arange(len(where)) % 3).astype(np.uint16),
        needed_ms=np.ones(len(where), np.float32),
        available_ms=np.full(len(where), -1, np.float32),
    )


def assert_same(one: Any, other: Any) -> None:
    """Field by field, arrays by value and type."""
    for field in dataclasses.fields(one):
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        if isinstance(mine, np.ndarray):
            assert mine.dtype == theirs.dtype
            assert np.array_equal(mine, theirs, equal_nan=mine.dtype.kind == "f"), field.name
        elif dataclasses.is_dataclass(mine):
            assert_same(mine, theirs)
        else:
            assert mine == theirs, field.name


@pytest.mark.parametrize("cluster", [4, WHOLE_SECTOR])
@pytest.mark.parametrize("count", [2, 30, 300])
def test_tables_are_read_as_they_were_packed(cluster: int, count: int) -> None:
    where = places(min(count, 30) if cluster == 4 else count, cluster)
    assert_same(read_heartbeats(pack_heartbeats(heartbeats(where))), heartbeats(where))
    assert_same(read_acks(pack_acks(acks(where))), acks(where))
    order = CoordinateTable(ORDER, where, np.ones(len(where), np.float32))
    assert_same(read_coordinate(pack_coordinate(order)), order)


def test_what_may_be_left_out_is_none_in_the_table_and_nothing_on_the_wire() -> None:
    table = dataclasses.replace(heartbeats(places()), words=(), task=None, since_us=None, waits_on=None)
    body = pack_heartbeats(table)
    assert (body.task, body.since_us, body.waits_on) == (b"", b"", b"")
    assert_same(read_heartbeats(body), table)


@given(st.sets(st.tuples(st.integers(0, 9), st.integers(0, 29)), max_size=60), st.integers(0, 99))
def test_places_are_those_of_the_fleets_columns(agents: set[tuple[int, int]], sector: int) -> None:
    ordered = sorted(agents)
    rows = Rows(
        sector,
        WHOLE_SECTOR,
        np.array([number for _, number in ordered], "<u2").tobytes(),
        bytes(cluster for cluster, _ in ordered),
    )
    found = read_places(rows)
    assert found.rows(SHAPE).tolist() == [SHAPE.row(AgentPlace(sector, *agent)) for agent in ordered]
    assert pack_places(found) == rows


def test_an_order_without_rows_is_for_all() -> None:
    everyone = read_coordinate(pack_coordinate(CoordinateTable(ORDER, places(0))))
    assert everyone.is_for_all
    assert not read_coordinate(pack_coordinate(CoordinateTable(ORDER, places(1)))).is_for_all


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        (Rows(0, 0, b"\x01\x00\x01\x00"), "ascend"),
        (Rows(0, 0, b"\x02\x00\x01\x00"), "ascend"),
        (Rows(0, WHOLE_SECTOR, b"\x01\x00\x02\x00", b"\x01\x00"), "ascend"),
        (Rows(0, 0, b"\x01"), "numbers"),
        (Rows(0, 0, b"\xe8\x03"), "numbers"),
        (Rows(0, WHOLE_SECTOR, b"\x01\x00", b""), "clusters"),
        (Rows(0, WHOLE_SECTOR, b"\x01\x00", b"\x64"), "clusters"),
        (Rows(0, 5, b"\x01\x00", b"\x05"), "name clusters too"),
    ],
)
def test_rows_that_are_none_are_refused(rows: Rows, what: str) -> None:
    with pytest.raises(InvalidArgument, match=what):
        read_places(rows)


@pytest.mark.parametrize(("sector", "cluster", "number"), [(100, 0, 0), (0, 10, 0), (0, 0, 30)])
def test_rows_outside_of_the_fleet_are_refused(sector: int, cluster: int, number: int) -> None:
    where = Places(sector, cluster, np.array([cluster], np.uint8), np.array([number], np.uint16))
    with pytest.raises(InvalidArgument, match="outside"):
        where.rows(SHAPE)


FLOAT = np.array([np.inf, 0, 0], "<f4").tobytes()
NEGATIVE = np.array([0, -1, 0], "<f4").tobytes()
TOO_MUCH = np.array([0, 0, 2], "<f4").tobytes()
THIRD_WORD = np.array([0, 0, 3], "<u2").tobytes()


@pytest.mark.parametrize(
    ("column", "data"),
    [
        *((name, b"123") for name in HeartbeatColumns.__struct_fields__ if name not in ("rows", "words")),
        ("rtt_ms", FLOAT),
        ("processing_ms", NEGATIVE),
        ("drift", NEGATIVE),
        ("reliability", TOO_MUCH),
        ("liveness", bytes([0, 0, len(LIVENESS_CODES)])),
        ("duty", bytes([0, 0, len(DUTY_CODES)])),
        ("task", THIRD_WORD),
        ("waits_on", THIRD_WORD),
        ("since_us", np.array([0, -1, 0], "<i8").tobytes()),
    ],
)
def test_a_column_of_heartbeats_that_cannot_be_is_refused_by_its_name(column: str, data: bytes) -> None:
    body = pack_heartbeats(heartbeats(places()))
    if column in ("liveness", "duty") and data == b"123":
        data = b"12"
    with pytest.raises(InvalidArgument, match=f"'{column}'"):
        read_heartbeats(structs.replace(body, **{column: data}))


@pytest.mark.parametrize(
    ("column", "data"),
    [
        *((name, b"12") for name in ("state", "arrived_us", "ready_us", "processing_ms", "needed_ms")),
        ("answer", b"1"),
        ("available_ms", b"1"),
        ("state", b"\x04\x00\x00"),
        ("state", b"\xfe\x00\x00"),
        ("arrived_us", np.array([0, -1, 0], "<i8").tobytes()),
        ("ready_us", np.array([0, -1, 0], "<i8").tobytes()),
        ("processing_ms", NEGATIVE),
        ("processing_ms", np.array([np.nan, 0, 0], "<f4").tobytes()),
        ("needed_ms", FLOAT),
        ("available_ms", FLOAT),
        ("answer", THIRD_WORD),
    ],
)
def test_a_column_of_acks_that_cannot_be_is_refused_by_its_name(column: str, data: bytes) -> None:
    with pytest.raises(InvalidArgument, match=f"'{column}'"):
        read_acks(structs.replace(pack_acks(acks(places())), **{column: data}))


@pytest.mark.parametrize("row", [-1, 3])
def test_a_conflict_of_no_row_is_refused(row: int) -> None:
    body = structs.replace(pack_acks(acks(places())), conflicts=((row, ReportedConflict("other")),))
    with pytest.raises(InvalidArgument, match="conflict"):
        read_acks(body)


@pytest.mark.parametrize("data", [b"1", NEGATIVE, FLOAT])
def test_leads_that_cannot_be_are_refused(data: bytes) -> None:
    body = structs.replace(pack_coordinate(CoordinateTable(ORDER, places())), compensation_ms=data)
    with pytest.raises(InvalidArgument, match="'compensation_ms'"):
        read_coordinate(body)


def test_codes_are_those_of_the_page() -> None:
    assert LIVENESS_CODES == (
        Liveness.JOINING, Liveness.ACTIVE, Liveness.SUSPECT, Liveness.OFFLINE, Liveness.LEFT,
    )  # fmt: skip
    assert DUTY_CODES == (Duty.READY, Duty.DEGRADED, Duty.QUARANTINED, Duty.DRAINING, Duty.FROZEN)
    assert [int(state) for state in TargetState] == [-1, 0, 1, 2, 3]
