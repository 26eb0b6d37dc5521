"""Orders that no host obeys: past their time, altered on the way. Each is dropped, counted and said."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec import structs

from ohmesh.model.fleet_frame import FleetFrame, encode_fleet_frame
from ohmesh.model.fleet_message import Coordinate, MessageHead, Verb, hash_payload
from ohmesh.model.fleet_operation import Relay, Tier
from ohmesh.model.fleet_table import CoordinateTable, pack_coordinate
from ohmesh.model.frame import FRAME_VERSION
from ohmesh.model.hybrid_time import pack_stamp
from ohmesh.roles.fleet.host import FleetHost
from ohmesh.roles.fleet.places import places_of
from tests.unit.roles.fleet.fleet_in_memory import SUBJECTS, TOPOLOGY, Fleet, with_fleet
from tests.unit.simulator.passing_time import pass_time

TTL_MS = 5_000
UNSURE_MS = 100  # more than a host's clock is ever wrong by in this fleet


async def order(
    fleet: Fleet, host: FleetHost, *, age_ms: int = 0, payload: bytes = b"go", altered: bytes = b""
) -> str:
    """Said by somebody on the bus, straight to the host."""
    created = pack_stamp(host.time.now_us() // 1000 - age_ms, 0)
    head = MessageHead(fleet.new_id(), "somebody", created, TTL_MS)
    message = Coordinate(head, Verb.ACT, payload=payload, payload_hash=hash_payload(payload))
    if altered:
        message = structs.replace(message, payload=altered)
    table = CoordinateTable(message, places_of(np.arange(0, 5), TOPOLOGY), None)
    relay = Relay(Tier.AGENT, Tier.AGENT, 1, pack_coordinate(table))
    frame = FleetFrame(FRAME_VERSION, "somebody", 1, created, [relay])
    bus = fleet.cluster.connect("somebody").bus
    await bus.publish(SUBJECTS.fleet_process(host.name), encode_fleet_frame(frame))
    await pass_time(2.0)
    return head.id


@pytest.mark.parametrize(
    ("age_ms", "is_obeyed"), [(0, True), (TTL_MS - UNSURE_MS, True), (TTL_MS + UNSURE_MS, False)]
)
def test_an_order_past_its_time_is_obeyed_by_nobody(age_ms: int, is_obeyed: bool) -> None:
    async def story(fleet: Fleet) -> None:
        host = fleet.hosts["host-0"]
        operation = await order(fleet, host, age_ms=age_ms)
        assert (operation in fleet.ready) is is_obeyed
        assert host.expired == (not is_obeyed)

    with_fleet(story)


def test_an_order_whose_payload_is_not_the_one_that_was_hashed_is_obeyed_by_nobody() -> None:
    async def story(fleet: Fleet) -> None:
        host = fleet.hosts["host-0"]
        operation = await order(fleet, host, altered=b"no")
        assert operation not in fleet.ready
        assert host.altered == 1

    with_fleet(story)


def test_what_is_dropped_is_said(caplog: pytest.LogCaptureFixture) -> None:
    async def story(fleet: Fleet) -> None:
        await order(fleet, fleet.hosts["host-0"], age_ms=60_000)

    with_fleet(story)
    assert "Orders of somebody to host-0 were dropped: 1 past their time." in caplog.text


def test_dropped_orders_do_not_stop_those_beside_them() -> None:
    async def story(fleet: Fleet) -> None:
        await order(fleet, fleet.hosts["host-0"], age_ms=60_000)
        view = await fleet.operate(rate=1.0)
        assert (view.ready, view.targets) == (120, 120)

    with_fleet(story)
