"""What benchmarks/bus.py sends: one load is a maker of frames and a reader that counts what it understood of them.

Each message, each row and each frame is made, encoded, decoded, checked and counted, as a role would; nothing is
prepared once and sent often, except the values that the columns are made of.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ohmesh.model.fleet_columns import WHOLE_SECTOR, AckColumns, HeartbeatColumns
from ohmesh.model.fleet_frame import FleetBody, FleetFrame, decode_fleet_frame, encode_fleet_frame, sift
from ohmesh.model.fleet_message import Coordinate, MessageHead, Strategy, Timing, Verb, hash_payload
from ohmesh.model.fleet_table import (
    AckTable,
    HeartbeatTable,
    Places,
    pack_acks,
    pack_heartbeats,
    read_acks,
    read_heartbeats,
)
from ohmesh.model.frame import FRAME_VERSION
from ohmesh.model.hybrid_time import MAX_COUNTER, pack_stamp
from ohmesh.model.identity import IdSource
from ohmesh.model.topology import Topology
from ohmesh.trust.seal import Opener, Sealer
from ohmesh.trust.session import SESSION_KEY_BYTES, SessionKeys

NOW_MS = 1_770_000_000_000
NOW_US = 1000 * NOW_MS
PAYLOAD_BYTES = 114  # with its head and hash a message is then 300 bytes long
MESSAGES_IN_FRAME = 100
SHAPE = Topology()
SEED = 7

Make = Callable[[int], bytes]
Read = Callable[[bytes], int]


@dataclass(frozen=True)
class Load:
    """make: the frame of that sequence. read: how many messages or rows a frame held. Both are made in the process that
    uses them."""

    counted: str
    in_frame: int
    make: Callable[[], Make]
    read: Callable[[], Read]


def make_messages() -> Make:
    rng = random.Random(SEED)
    ids = IdSource(lambda: NOW_MS, rng.getrandbits)
    body = rng.randbytes(PAYLOAD_BYTES - 8)

    def message(number: int, stamp: int) -> Coordinate:
        payload = number.to_bytes(8, "little") + body
        return Coordinate(
            MessageHead(ids.next(), "orchestrator", stamp, correlation_id="01JZX9M"),
            Verb.ACT,
            NOW_US + 500_000,
            Timing.HOLD,
            payload,
            hash_payload(payload),
            ("s007.c04.a12",),
            (42.5,),
            Strategy.SCATTER_GATHER,
            0.5,
            ("gpu", "region:eu"),
        )

    def make(sequence: int) -> bytes:
        first = sequence * MESSAGES_IN_FRAME
        stamp = pack_stamp(NOW_MS, sequence & MAX_COUNTER)
        numbers = range(first, first + MESSAGES_IN_FRAME)
        bodies: list[FleetBody] = [message(number, stamp) for number in numbers]
        return encode_fleet_frame(_frame(sequence, bodies))

    return make


def read_messages() -> Read:
    def read(data: bytes) -> int:
        heard = sift(decode_fleet_frame(data), NOW_US)
        if heard.expired or heard.altered:
            raise SystemExit(f"{heard.expired} messages expired and {heard.altered} altered on the way")
        return len(heard.bodies)

    return read


def make_columns(cluster: int, rows: int, bodies: int) -> Make:
    """Half of the bodies are heartbeats, half acks, each of `rows` agents: of a cluster, or of a whole sector."""
    numbers = (np.arange(rows) % SHAPE.agents).astype(np.uint16)
    clusters = (np.arange(rows) // SHAPE.agents + max(cluster, 0)).astype(np.uint8)
    rng = random.Random(SEED)
    spans = np.array([rng.lognormvariate(3, 1) for _ in range(rows)], np.float32)
    shares = np.array([rng.random() for _ in range(rows)], np.float32)
    depths = (spans / 10).astype(np.uint32)
    hashes = np.array([rng.getrandbits(64) for _ in range(rows)], np.uint64)
    codes = np.ones(rows, np.uint8)

    def heartbeats(sector: int) -> HeartbeatColumns:
        places = Places(sector, cluster, clusters, numbers)
        table = HeartbeatTable(places, spans, spans, depths, shares, shares, codes, codes, hashes)
        return pack_heartbeats(table)

    def acks(sector: int) -> AckColumns:
        arrived = NOW_US + (spans * 1000).astype(np.int64)
        places = Places(sector, cluster, clusters, numbers)
        states = np.ones(rows, np.int8)
        return pack_acks(AckTable("01JZX9M", places, states, arrived, arrived + 1000, spans))

    def make(sequence: int) -> bytes:
        sectors = [(sequence * bodies + body) % SHAPE.sectors for body in range(bodies)]
        columns = [(heartbeats if place % 2 == 0 else acks)(sector) for place, sector in enumerate(sectors)]
        return encode_fleet_frame(_frame(sequence, [*columns]))

    return make


def read_columns() -> Read:
    """Into columns of a fleet of 30,000, as the registry keeps them."""
    fleet = {name: np.zeros(SHAPE.size, np.float32) for name in ("rtt_ms", "processing_ms", "drift")}
    ready_us = np.zeros(SHAPE.size, np.int64)

    def read(data: bytes) -> int:
        rows = 0
        for body in decode_fleet_frame(data).bodies:
            if isinstance(body, HeartbeatColumns):
                beats = read_heartbeats(body)
                at = beats.places.rows(SHAPE)
                for name, column in fleet.items():
                    column[at] = getattr(beats, name)
            elif isinstance(body, AckColumns):
                acks = read_acks(body)
                at = acks.places.rows(SHAPE)
                ready_us[at] = acks.ready_us
            rows += len(at)
        return rows

    return read


def sealed(
    make: Callable[[], Make], read: Callable[[], Read]
) -> tuple[Callable[[], Make], Callable[[], Read]]:
    """The same in a session: each frame with its tag, made on one side and proven on the other."""

    def make_sealed() -> Make:
        make_frame, sealer = make(), Sealer(_session(sends=True))
        return lambda sequence: sealer.seal(make_frame(sequence))

    def read_sealed() -> Read:
        read_frame, opener = read(), Opener(_session(sends=False))
        return lambda data: read_frame(opener.open(data))

    return make_sealed, read_sealed


def _session(*, sends: bool) -> SessionKeys:
    """As the handshake would leave it, which is not measured here."""
    there, back = bytes([1]) * SESSION_KEY_BYTES, bytes([2]) * SESSION_KEY_BYTES
    return SessionKeys("peer", b"session1", *((there, back) if sends else (back, there)))


def _frame(sequence: int, bodies: list[FleetBody]) -> FleetFrame:
    return FleetFrame(FRAME_VERSION, "sender", 1, pack_stamp(NOW_MS, 0), bodies, sequence)


MESSAGES = (make_messages, read_messages)
SECTORS = (lambda: make_columns(WHOLE_SECTOR, 300, 4), read_columns)
CLUSTERS = (lambda: make_columns(4, 30, 10), read_columns)

LOADS = {
    "structured": Load("messages", MESSAGES_IN_FRAME, *MESSAGES),
    "structured_sealed": Load("messages in sealed frames", MESSAGES_IN_FRAME, *sealed(*MESSAGES)),
    "columnar": Load("rows of sectors", 1_200, *SECTORS),
    "columnar_sealed": Load("rows of sectors in sealed frames", 1_200, *sealed(*SECTORS)),
    "columnar_clusters": Load("rows of clusters", 300, *CLUSTERS),
}
