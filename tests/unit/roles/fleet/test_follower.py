"""Replicas of the registry: what the orchestrator knows, at most a second later, and what they answer without it."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from ohmesh.engines.memory.faults import BusFaults, EngineFaults
from ohmesh.errors import InvalidSelector, NoCapableAgentError
from ohmesh.model.agent import Duty
from ohmesh.model.fleet_reading import AgentsPage, FleetDescription, ScopesPage
from ohmesh.model.fleet_request import DescribeFleet, ListAgents, ListScopes
from ohmesh.registry.fleet.columns import COLUMN_TYPES
from ohmesh.registry.fleet.table import FleetTable
from ohmesh.roles.fleet.follower import Follower
from ohmesh.roles.fleet.orchestrator import Orchestrator
from tests.unit.roles.fleet.fleet_in_memory import Fleet, with_fleet
from tests.unit.simulator.passing_time import pass_time

BEHIND_MS = 1_000
TAKEOVER_S = 3.0


def differs(orchestrator: Orchestrator, replica: FleetTable) -> list[str]:
    """Columns that are not the same; codes of words are each table's own."""
    mine, other = orchestrator.registry.columns, replica.columns
    plain = set(COLUMN_TYPES) - {"host", "task", "waits_on"}
    return [name for name in plain if not np.array_equal(getattr(mine, name), getattr(other, name))]


async def settled(fleet: Fleet, follower: Follower) -> None:
    """Until the replica is at the version of the registry, which no heartbeat moves meanwhile."""
    orchestrator = fleet.orchestrators[-1]
    async with asyncio.timeout(BEHIND_MS / 1000):
        while follower.replica.fleet.version != orchestrator.registry.version:
            await pass_time(0.02)


def test_a_replica_is_what_the_registry_is_within_a_second() -> None:
    async def story(fleet: Fleet) -> None:
        follower = await fleet.start_follower("node-2")
        registry = fleet.orchestrators[0].registry
        registry.set_duty(np.arange(7), Duty.QUARANTINED)
        await pass_time(BEHIND_MS / 1000)
        quarantined = follower.reading().answer(ListAgents("state=quarantined"))
        assert isinstance(quarantined, AgentsPage)
        assert quarantined.total == 7
        await settled(fleet, follower)
        assert differs(fleet.orchestrators[0], follower.replica.fleet) == []
        assert 0 <= follower.reading().source.age_ms <= BEHIND_MS

    with_fleet(story)


def test_a_frame_that_was_lost_is_asked_for_once_the_next_one_shows_it() -> None:
    async def story(fleet: Fleet) -> None:
        follower = await fleet.start_follower("node-2")
        fleet.cluster.set_faults(EngineFaults(bus=BusFaults(loss=1.0)))
        fleet.orchestrators[0].registry.set_duty(np.arange(7), Duty.QUARANTINED)
        await pass_time(1.6)
        assert follower.reading().source.age_ms > BEHIND_MS
        fleet.cluster.set_faults(EngineFaults())
        await pass_time(2 * BEHIND_MS / 1000)
        await settled(fleet, follower)
        assert differs(fleet.orchestrators[0], follower.replica.fleet) == []

    with_fleet(story)


def test_while_the_orchestrator_is_dead_reads_are_answered_with_their_age() -> None:
    async def story(fleet: Fleet) -> None:
        await fleet.start_follower("node-2")
        await pass_time(2.5)  # the view is told again
        before = await fleet.describe()
        assert str(before.source) == ""
        await fleet.kill("node-1")
        await pass_time(2.0)
        begun_s = asyncio.get_running_loop().time()
        shown = await fleet.describe()
        assert asyncio.get_running_loop().time() - begun_s < 1
        assert (shown.active, shown.hosts, shown.simulated) == (120, before.hosts, 120)
        assert (shown.mode, shown.orchestrator) == ("FULL", "node-1")
        assert shown.source.replica == "node-2"
        assert 1_500 < shown.source.age_ms < 3_500
        assert "node-2 knew 2." in str(shown.source)
        page = await fleet.ask(ListAgents("sector=2 and state=ready"), AgentsPage)
        assert (page.total, page.source.replica) == (30, "node-2")
        best = await fleet.ask(ListAgents(best=True, limit=3), AgentsPage)
        assert len(best.agents) == 3
        sectors = await fleet.ask(ListScopes(), ScopesPage)
        assert [(one.agents, one.lead) for one in sectors.scopes] == [(30, "host-0")] * 2 + [
            (30, "host-1")
        ] * 2
        with pytest.raises(NoCapableAgentError):
            await fleet.ask(ListAgents(best=True, needed=("juggling",)), AgentsPage)
        with pytest.raises(InvalidSelector):
            await fleet.ask(ListAgents("sektor=2"), AgentsPage)

    with_fleet(story)


def test_a_node_that_takes_over_knows_everybody_from_its_first_answer_on() -> None:
    async def story(fleet: Fleet) -> None:
        beside = await fleet.start_follower("follower-2")
        other = await fleet.start_follower("follower-3")
        await pass_time(2.5)
        await fleet.kill("node-1")
        await pass_time(TAKEOVER_S)
        fleet.start_orchestrator(term=2, beside=beside)
        eras = set()
        for _ in range(100):
            shown = await fleet.ask(DescribeFleet(), FleetDescription)
            eras.add(shown.era)
            assert shown.agents == 120
            assert other.reading().describe().agents == 120
            await pass_time(0.05)
        assert eras == {1, 2}
        assert shown.active == 120
        await settled(fleet, other)
        assert other.replica.position is not None
        assert other.replica.position.term == 2
        assert differs(fleet.orchestrators[-1], other.replica.fleet) == []

    with_fleet(story)


def test_a_replica_that_fell_behind_a_successor_without_one_does_not_forget_the_fleet() -> None:
    """It begins with nobody, and says nothing before somebody has joined."""

    async def story(fleet: Fleet) -> None:
        other = await fleet.start_follower("follower-3")
        await fleet.kill("node-1")
        fleet.start_orchestrator(term=2)
        for _ in range(60):
            assert other.reading().describe().agents == 120
            await pass_time(0.05)

    with_fleet(story)
