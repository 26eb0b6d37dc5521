"""When something dies in the middle of an operation: true states, roles taken over, nobody's state guessed."""

from __future__ import annotations

import asyncio
import zlib

import msgspec
import numpy as np
import pytest

from ohmesh.model.fleet_message import Timing, Verb
from ohmesh.model.fleet_request import GetOperation, OperationView, StartOperation
from tests.unit.roles.fleet.fleet_in_memory import Fleet, is_accounted_for, with_fleet
from tests.unit.simulator.passing_time import pass_time

ROLES_BACK_S = 5.0
DEAD_S = 4.0
KEPT_S = 61.0
ACT = StartOperation(operation="act", what="act", verb=Verb.ACT)
ALL = np.arange(120)


def test_agents_of_a_dead_process_are_unreachable_and_its_sectors_have_nobody() -> None:
    async def story(fleet: Fleet) -> None:
        await fleet.kill("host-1")
        await pass_time(DEAD_S)
        view = await fleet.operate(rate=1.0, timeout_ms=500.0)
        assert is_accounted_for(view)
        assert (view.ready, view.unreachable, view.outcome) == (60, 60, "PARTIAL")
        description = await fleet.describe()
        assert (description.active, description.offline, description.hosts) == (60, 60, ("host-0",))

    with_fleet(story)


def test_a_process_that_dies_in_the_middle_leaves_true_states() -> None:
    async def story(fleet: Fleet) -> None:
        request = StartOperation(
            operation="mid",
            what="act",
            verb=Verb.ACT,
            timing=Timing.HOLD,
            window_ms=2_000.0,
            timeout_ms=5_000.0,
            where="not class=F",
        )
        asking = asyncio.create_task(fleet.ask(request, OperationView))
        await pass_time(0.3)
        await fleet.kill("host-1")
        view = await asking
        states = await fleet.states("mid")
        assert is_accounted_for(view)
        ready = {agent for agent, state in states.items() if state == "ready"}
        assert {agent[:4] for agent in ready} == {"s000", "s001"}
        assert all(
            state in {"transit", "unreachable"} for agent, state in states.items() if agent[:4] > "s001"
        )
        truly_ready = {str(fleet.topology.place(row)) for row in fleet.ready["mid"]}
        assert ready == truly_ready

    with_fleet(story)


def test_the_lead_and_coordinator_of_a_shared_sector_are_replaced() -> None:
    async def story(fleet: Fleet) -> None:
        # Sector 0 lives in three processes; the first leads most of it.
        roles = fleet.orchestrators[0].roles
        assert roles.processes[roles.coordinators[0]] == "host-0"
        begun_s = asyncio.get_running_loop().time()
        await fleet.kill("host-0")
        while True:
            view = await fleet.operate(where="sector=0", timeout_ms=500.0, rate=1.0)
            if view.unreachable == 24 and view.ready == 6:
                break
        assert asyncio.get_running_loop().time() - begun_s < ROLES_BACK_S
        roles = fleet.orchestrators[0].roles
        assert roles.processes[roles.coordinators[0]] in {"host-1", "host-2"}

    with_fleet(story, cuts=(0, 24, 27, 120))


def test_a_process_that_comes_back_joins_again() -> None:
    async def story(fleet: Fleet) -> None:
        await fleet.kill("host-1")
        await pass_time(DEAD_S)
        host = fleet.start_host(1)
        await asyncio.wait_for(host.joined(), 5)
        await pass_time(1.0)
        view = await fleet.operate(rate=1.0)
        assert view.ready == 120
        assert (await fleet.describe()).active == 120

    with_fleet(story)


def test_a_successor_of_the_orchestrator_knows_the_fleet_within_moments() -> None:
    async def story(fleet: Fleet) -> None:
        before = await fleet.operate()
        await fleet.kill("node-1")
        fleet.start_orchestrator(term=2)
        await pass_time(1.0)
        description = await fleet.describe()
        assert (description.active, description.era) == (120, 2)
        view = await fleet.operate(rate=1.0)
        assert view.ready == 120
        assert (await fleet.ask(GetOperation(before.id), OperationView)).ready == before.ready

    with_fleet(story)


def test_an_operation_outlives_its_orchestrator_with_true_states() -> None:
    async def story(fleet: Fleet) -> None:
        request = StartOperation(
            operation="survivor",
            what="act",
            verb=Verb.ACT,
            timing=Timing.HOLD,
            window_ms=500.0,
            timeout_ms=2_000.0,
            where="not class=F",
        )
        asking = asyncio.create_task(fleet.ask(request, OperationView, timeout_s=30.0))
        await pass_time(0.2)
        await fleet.kill("node-1")
        await pass_time(3.0)
        fleet.start_orchestrator(term=2)
        view = await asking
        assert is_accounted_for(view)
        states = await fleet.states("survivor")
        ready = {agent for agent, state in states.items() if state == "ready"}
        assert ready == {str(fleet.topology.place(row)) for row in fleet.ready["survivor"]}
        assert len(ready) > 90

    with_fleet(story)


def test_an_orchestrator_that_was_replaced_stops() -> None:
    async def story(fleet: Fleet) -> None:
        old = fleet._tasks["node-1"]
        fleet.start_orchestrator(term=2)
        await pass_time(1.0)
        host = fleet.start_host(1)  # another life of it: the view has to change, and only one may change it
        await asyncio.wait_for(host.joined(), 5)
        await asyncio.wait({old}, timeout=10)
        assert old.done()
        assert "Fenced" in repr(old.exception())

    with_fleet(story)


def test_a_successor_goes_on_with_the_leads_that_were_learnt() -> None:
    async def story(fleet: Fleet) -> None:
        await _learnt(fleet)
        await pass_time(KEPT_S)
        before = fleet.orchestrators[0].arrivals.lead_ms(ACT, ALL)
        await fleet.kill("node-1")
        fleet.start_orchestrator(term=2)
        await pass_time(1.0)
        after = fleet.orchestrators[1].arrivals
        assert after.lead_ms(ACT, ALL).tolist() == before.tolist(), "after everybody has joined it anew"
        assert (after.estimator.agents.samples[ALL] > 0).mean() > 0.8
        await fleet.operate("act", verb=Verb.ACT)
        await pass_time(KEPT_S)
        assert await fleet.cluster.connect("reader").blobs.list("arrivals/") == [f"arrivals/{2:020}"]

    with_fleet(story)


def test_an_orchestrator_that_is_told_to_end_keeps_what_it_has_learnt_lately() -> None:
    async def story(fleet: Fleet) -> None:
        before = await _learnt(fleet)
        await fleet.end("node-1")
        fleet.start_orchestrator(term=2)
        await pass_time(1.0)
        assert fleet.orchestrators[1].arrivals.lead_ms(ACT, ALL).tolist() == before.tolist()

    with_fleet(story)


@pytest.mark.parametrize("spoil", ["cut", "flipped", "newer", "nothing"])
def test_leads_that_cannot_be_read_are_told_and_learnt_again(spoil: str) -> None:
    async def story(fleet: Fleet) -> None:
        await _learnt(fleet)
        await fleet.end("node-1")
        blobs = fleet.cluster.connect("spoiler").blobs
        data = await blobs.get(f"arrivals/{1:020}")
        assert data is not None
        plain = zlib.decompress(data)
        length = int.from_bytes(plain[:4], "big")
        head = msgspec.msgpack.encode([2, *msgspec.msgpack.decode(plain[4 : 4 + length])[1:]])
        newer = zlib.compress(len(head).to_bytes(4, "big") + head + plain[4 + length :])
        flipped = data[:200] + bytes(255 - one for one in data[200:210]) + data[210:]
        spoilt = {"cut": data[: len(data) // 2], "flipped": flipped, "newer": newer, "nothing": b""}
        await blobs.put(f"arrivals/{1:020}", spoilt[spoil])
        fleet.start_orchestrator(term=2)
        await pass_time(1.0)
        assert any("passed over, and learnt again" in notice for notice in fleet.notices)
        assert not fleet.orchestrators[1].arrivals.estimator.agents.samples.any()
        assert (await fleet.operate(rate=1.0)).ready == 120

    with_fleet(story)


async def _learnt(fleet: Fleet) -> np.ndarray:
    for _ in range(5):
        await fleet.operate("act", verb=Verb.ACT, where="not class=F", timeout_ms=1_000.0)
    await pass_time(1.0)
    arrivals = fleet.orchestrators[0].arrivals
    assert arrivals.learnt > 400
    return arrivals.lead_ms(ACT, ALL)
