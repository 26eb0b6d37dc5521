"""Many agents in one body, as it is worked with: NumPy arrays, one for each column of `fleet_columns`.

`read_*` raise InvalidArgument for a column of another length, a value out of its range and rows that do not ascend, so
a table that was read is valid; `pack_*` are their inverses and trust their caller. Arrays that were read cannot be
written to. A column that may be left out is None here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohmesh.errors import InvalidArgument
from ohmesh.model.column_buffer import (
    check_at_most,
    check_known_within,
    check_times,
    check_within,
    from_buffer,
    optional_from_buffer,
    to_buffer,
)
from ohmesh.model.fleet_columns import (
    DUTY_CODES,
    LIVENESS_CODES,
    WHOLE_SECTOR,
    AckColumns,
    CoordinateColumns,
    HeartbeatColumns,
    Rows,
)
from ohmesh.model.fleet_message import Coordinate, ReportedConflict, TargetState
from ohmesh.model.topology import MAX_AGENTS, MAX_CLUSTERS, Topology

MAX_SPAN_MS = 1e12

Uint8 = NDArray[np.uint8]
Uint16 = NDArray[np.uint16]
Uint32 = NDArray[np.uint32]
Uint64 = NDArray[np.uint64]
Int8 = NDArray[np.int8]
Int64 = NDArray[np.int64]
Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Places:
    """Rows as arrays, both of shape (n,), ascending by cluster, then number.

    cluster: WHOLE_SECTOR where they may be of any; otherwise the one that all of `clusters` names."""

    sector: int
    cluster: int
    clusters: Uint8
    numbers: Uint16

    def __len__(self) -> int:
        return len(self.numbers)

    def rows(self, topology: Topology) -> Int64:
        """Their places in the columns of the fleet, shape (n,). Raises InvalidArgument: outside of this fleet."""
        if len(self) and (
            self.sector >= topology.sectors
            or self.clusters.max() >= topology.clusters
            or self.numbers.max() >= topology.agents
        ):
            raise InvalidArgument(f"Rows of sector {self.sector} lie outside of this fleet of {topology}.")
        first = np.int64(self.sector * topology.clusters)
        return (first + self.clusters) * topology.agents + self.numbers


@dataclass(frozen=True, slots=True)
class HeartbeatTable:
    """All of shape (n,); units and codes as in HeartbeatColumns."""

    places: Places
    rtt_ms: Float32
    processing_ms: Float32
    queue_depth: Uint32
    reliability: Float32
    drift: Float32
    liveness: Uint8
    duty: Uint8
    context_hash: Uint64
    words: tuple[str, ...] = ()
    task: Uint16 | None = None
    since_us: Int64 | None = None
    waits_on: Uint16 | None = None


@dataclass(frozen=True, slots=True)
class CoordinateTable:
    """compensation_ms: of shape (n,)."""

    message: Coordinate
    places: Places
    compensation_ms: Float32 | None = None

    @property
    def is_for_all(self) -> bool:
        """Meant is every agent of the cluster, or of the sector, as `places` says."""
        return len(self.places) == 0


@dataclass(frozen=True, slots=True)
class AckTable:
    """All of shape (n,). Units and codes as in AckColumns; times are 0 where it has not."""

    message_id: str
    places: Places
    state: Int8
    arrived_us: Int64
    ready_us: Int64
    processing_ms: Float32
    conflicts: tuple[tuple[int, ReportedConflict], ...] = ()
    answers: tuple[bytes, ...] = ()
    answer: Uint16 | None = None
    needed_ms: Float32 | None = None
    available_ms: Float32 | None = None


def read_places(rows: Rows) -> Places:
    numbers = from_buffer(rows.numbers, "<u2", len(rows.numbers) // 2, "numbers")
    if rows.cluster != WHOLE_SECTOR:
        if rows.clusters:
            raise InvalidArgument(f"Rows of cluster {rows.cluster} alone name clusters too.")
        clusters = np.full(len(numbers), rows.cluster, np.uint8)
        order = numbers
    else:
        clusters = from_buffer(rows.clusters, "<u1", len(numbers), "clusters")
        check_at_most(clusters, MAX_CLUSTERS - 1, "clusters")
        order = clusters * np.int32(MAX_AGENTS) + numbers
    check_at_most(numbers, MAX_AGENTS - 1, "numbers")
    if (order[1:] <= order[:-1]).any():
        raise InvalidArgument(f"Rows of sector {rows.sector} do not ascend, or name an agent twice.")
    return Places(rows.sector, rows.cluster, clusters, numbers)


def pack_places(places: Places) -> Rows:
    whole = places.cluster == WHOLE_SECTOR
    clusters = to_buffer(places.clusters, "<u1") if whole else b""
    return Rows(places.sector, places.cluster, to_buffer(places.numbers, "<u2"), clusters)


def read_heartbeats(body: HeartbeatColumns) -> HeartbeatTable:
    places = read_places(body.rows)
    count = len(places)
    table = HeartbeatTable(
        places,
        from_buffer(body.rtt_ms, "<f4", count, "rtt_ms"),
        from_buffer(body.processing_ms, "<f4", count, "processing_ms"),
        from_buffer(body.queue_depth, "<u4", count, "queue_depth"),
        from_buffer(body.reliability, "<f4", count, "reliability"),
        from_buffer(body.drift, "<f4", count, "drift"),
        from_buffer(body.liveness, "<u1", count, "liveness"),
        from_buffer(body.duty, "<u1", count, "duty"),
        from_buffer(body.context_hash, "<u8", count, "context_hash"),
        body.words,
        optional_from_buffer(body.task, "<u2", count, "task"),
        optional_from_buffer(body.since_us, "<i8", count, "since_us"),
        optional_from_buffer(body.waits_on, "<u2", count, "waits_on"),
    )
    for name in ("rtt_ms", "processing_ms", "drift"):
        check_known_within(getattr(table, name), 0, MAX_SPAN_MS, name)
    check_known_within(table.reliability, 0, 1, "reliability")
    check_at_most(table.liveness, len(LIVENESS_CODES) - 1, "liveness")
    check_at_most(table.duty, len(DUTY_CODES) - 1, "duty")
    _check_words(table.task, len(body.words), "task")
    _check_words(table.waits_on, len(body.words), "waits_on")
    if table.since_us is not None:
        check_times(table.since_us, "since_us")
    return table


def pack_heartbeats(table: HeartbeatTable) -> HeartbeatColumns:
    return HeartbeatColumns(
        pack_places(table.places),
        to_buffer(table.rtt_ms, "<f4"),
        to_buffer(table.processing_ms, "<f4"),
        to_buffer(table.queue_depth, "<u4"),
        to_buffer(table.reliability, "<f4"),
        to_buffer(table.drift, "<f4"),
        to_buffer(table.liveness, "<u1"),
        to_buffer(table.duty, "<u1"),
        to_buffer(table.context_hash, "<u8"),
        table.words,
        _optional_to_buffer(table.task, "<u2"),
        _optional_to_buffer(table.since_us, "<i8"),
        _optional_to_buffer(table.waits_on, "<u2"),
    )


def read_coordinate(body: CoordinateColumns) -> CoordinateTable:
    places = read_places(body.rows)
    compensation_ms = optional_from_buffer(body.compensation_ms, "<f4", len(places), "compensation_ms")
    if compensation_ms is not None:
        check_within(compensation_ms, 0, MAX_SPAN_MS, "compensation_ms")
    return CoordinateTable(body.message, places, compensation_ms)


def pack_coordinate(table: CoordinateTable) -> CoordinateColumns:
    return CoordinateColumns(
        table.message, pack_places(table.places), _optional_to_buffer(table.compensation_ms, "<f4")
    )


def read_acks(body: AckColumns) -> AckTable:
    places = read_places(body.rows)
    count = len(places)
    table = AckTable(
        body.message_id,
        places,
        from_buffer(body.state, "<i1", count, "state"),
        from_buffer(body.arrived_us, "<i8", count, "arrived_us"),
        from_buffer(body.ready_us, "<i8", count, "ready_us"),
        from_buffer(body.processing_ms, "<f4", count, "processing_ms"),
        body.conflicts,
        body.answers,
        optional_from_buffer(body.answer, "<u2", count, "answer"),
        optional_from_buffer(body.needed_ms, "<f4", count, "needed_ms"),
        optional_from_buffer(body.available_ms, "<f4", count, "available_ms"),
    )
    check_within(table.state, TargetState.CONFLICT, TargetState.UNREACHABLE, "state")
    check_times(table.arrived_us, "arrived_us")
    check_times(table.ready_us, "ready_us")
    check_within(table.processing_ms, 0, MAX_SPAN_MS, "processing_ms")
    _check_words(table.answer, len(body.answers), "answer")
    for name in ("needed_ms", "available_ms"):
        if (column := getattr(table, name)) is not None:
            check_known_within(column, -MAX_SPAN_MS, MAX_SPAN_MS, name)
    if any(not 0 <= row < count for row, _ in body.conflicts):
        raise InvalidArgument(f"A conflict is told of a row that is not among the {count}.")
    return table


def pack_acks(table: AckTable) -> AckColumns:
    return AckColumns(
        table.message_id,
        pack_places(table.places),
        to_buffer(table.state, "<i1"),
        to_buffer(table.arrived_us, "<i8"),
        to_buffer(table.ready_us, "<i8"),
        to_buffer(table.processing_ms, "<f4"),
        table.conflicts,
        table.answers,
        _optional_to_buffer(table.answer, "<u2"),
        _optional_to_buffer(table.needed_ms, "<f4"),
        _optional_to_buffer(table.available_ms, "<f4"),
    )


def _optional_to_buffer(values: NDArray[Any] | None, dtype: str) -> bytes:
    return b"" if values is None else to_buffer(values, dtype)


def _check_words(column: Uint16 | None, count: int, name: str) -> None:
    if column is not None:
        check_at_most(column, count, name)
