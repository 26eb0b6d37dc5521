"""Many agents in one body, as it travels: columns of one cluster or one sector, each a little-endian buffer.

`Rows` says which agents the rows are about. Types are written as in NumPy: u1 is an unsigned byte, i4 a signed integer
of 4 bytes, f4 a float of 4. `fleet_table` checks a body and makes arrays of it; nothing here is to be trusted before.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from ohmesh.model.agent import Duty, Liveness
from ohmesh.model.fleet_message import Coordinate, Id, ReportedConflict
from ohmesh.model.topology import MAX_CLUSTERS, MAX_SECTORS

WHOLE_SECTOR = -1
LIVENESS_CODES = tuple(Liveness)  # a code in a column is the place here
DUTY_CODES = tuple(Duty)
MAX_WORDS = 0xFFFF

Sector = Annotated[int, Meta(ge=0, lt=MAX_SECTORS)]
Cluster = Annotated[int, Meta(ge=WHOLE_SECTOR, lt=MAX_CLUSTERS)]
Words = Annotated[tuple[str, ...], Meta(max_length=MAX_WORDS)]


class Rows(Struct, array_like=True, frozen=True, gc=False):
    """numbers (u2): of the agents within their clusters, ascending, so none stands there twice.
    cluster: WHOLE_SECTOR (-1) where the rows are of several; then `clusters` (u1) says of which, ascending too, and is
    empty otherwise."""

    sector: Sector
    cluster: Cluster
    numbers: bytes
    clusters: bytes = b""


class HeartbeatColumns(Struct, array_like=True, frozen=True, gc=False, tag=111):
    """The fields of Heartbeat. f4, NaN where not measured: rtt_ms, processing_ms, reliability, drift. u4: queue_depth.
    u1: liveness, duty (codes). u8: context_hash (0: none). What agents do may be left out: task and waits_on (u2) count
    from 1 into `words`, 0 is nothing; since_us (i8)."""

    rows: Rows
    rtt_ms: bytes
    processing_ms: bytes
    queue_depth: bytes
    reliability: bytes
    drift: bytes
    liveness: bytes
    duty: bytes
    context_hash: bytes
    words: Words = ()
    task: bytes = b""
    since_us: bytes = b""
    waits_on: bytes = b""


class CoordinateColumns(Struct, array_like=True, frozen=True, gc=False, tag=112):
    """One message for these rows. Without rows (numbers empty) it is for every agent of the cluster or sector.
    compensation_ms (f4): may be left out; then whoever releases it to the agents decides when."""

    message: Coordinate
    rows: Rows
    compensation_ms: bytes = b""


class AckColumns(Struct, array_like=True, frozen=True, gc=False, tag=113):
    """The fields of Ack for one message. state: i1 (TargetState). arrived_us, ready_us: i8, mesh time, 0 where it
    has not. processing_ms: f4. May be left out: answer (u2, from 1 into `answers`, 0 is none), needed_ms and
    available_ms (f4, of those that were skipped). conflicts: a row's place in the columns, and the reason."""

    message_id: Id
    rows: Rows
    state: bytes
    arrived_us: bytes
    ready_us: bytes
    processing_ms: bytes
    conflicts: tuple[tuple[int, ReportedConflict], ...] = ()
    answers: Annotated[tuple[bytes, ...], Meta(max_length=MAX_WORDS)] = ()
    answer: bytes = b""
    needed_ms: bytes = b""
    available_ms: bytes = b""
