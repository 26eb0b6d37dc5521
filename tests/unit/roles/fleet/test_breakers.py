"""Breakers of regions: what opens one, who is left out, how it closes again, and that it outlives its orchestrator."""

from __future__ import annotations

import random

import numpy as np
import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.handlers.simulated_agents import SimulatedAgents
from ohmesh.model.agent_class import AgentClasses
from ohmesh.model.fleet_breaker import AskBreakers, BreakersPage, MoveBreaker
from ohmesh.model.fleet_message import Coordinate
from ohmesh.model.state_order import FreezeState, encode_state_order
from ohmesh.ports.population import AnsweredCallback, Population, Rows
from ohmesh.roles.fleet.host import After
from tests.unit.roles.fleet.fleet_in_memory import Fleet, with_fleet
from tests.unit.simulator.passing_time import pass_time

TIMEOUT_MS = 500.0
LOOKED_S = 2.5
PROBED_S = 40.0
WATCHED_S = 62.0


class Mute(SimulatedAgents):
    """Those in `mute` hear everything, beat, and say nothing."""

    mute: set[int] = set()  # noqa: RUF012 -- of all processes of a test

    def deliver(self, order: Coordinate, rows: Rows, answered: AnsweredCallback) -> None:
        super().deliver(order, rows[~np.isin(rows, list(Mute.mute))], answered)


def people(rows: Rows, after: After) -> Population:
    return Mute(rows, AgentClasses(), after, rng=random.Random(int(rows[0])))


@pytest.fixture(autouse=True)
def _all_speak() -> None:
    Mute.mute = set()


async def ping(fleet: Fleet) -> dict[str, str]:
    """Whoever takes long is waited for, so that only the mute are silent."""
    view = await fleet.operate(rate=1.0, timeout_ms=TIMEOUT_MS)
    await pass_time(LOOKED_S)
    return await fleet.states(view.id)


async def breakers(fleet: Fleet) -> dict[str, str]:
    page = await fleet.ask(AskBreakers(), BreakersPage)
    return {one.part: one.state for one in page.breakers}


def test_a_cluster_opens_at_its_sixth_failure_and_is_left_out_by_name() -> None:
    async def story(fleet: Fleet) -> None:
        Mute.mute = set(range(30, 35))
        await ping(fleet)
        assert await breakers(fleet) == {}
        Mute.mute |= {35}
        await ping(fleet)
        assert await breakers(fleet) == {"s001.c00": "open"}
        states = await ping(fleet)
        assert {agent for agent, state in states.items() if state == "skipped"} == {
            agent for agent in states if agent.startswith("s001.c00")
        }
        assert any("Breaker of s001.c00: " in said and "(6 failures)" in said for said in fleet.notices)

    with_fleet(story, people=people)


def test_agents_that_are_known_to_be_silent_do_not_open_their_region_again_and_again() -> None:
    async def story(fleet: Fleet) -> None:
        Mute.mute = {3, 14, 25, 47, 58, 69, 71, 92, 103}
        for _ in range(8):
            await ping(fleet)
        assert await breakers(fleet) == {}

    with_fleet(story, people=people)


def test_the_death_of_a_process_opens_nothing() -> None:
    async def story(fleet: Fleet) -> None:
        await fleet.kill("host-1")
        await fleet.operate(rate=1.0, timeout_ms=TIMEOUT_MS)
        await pass_time(8.0)
        await ping(fleet)
        assert await breakers(fleet) == {}

    with_fleet(story, people=people)


def test_a_probe_that_is_answered_lets_a_region_in_again_and_closes_it_after_a_minute() -> None:
    async def story(fleet: Fleet) -> None:
        Mute.mute = set(range(30, 36))
        await ping(fleet)
        Mute.mute = set()
        await pass_time(PROBED_S)
        assert await breakers(fleet) == {"s001.c00": "half_open"}
        assert set((await ping(fleet)).values()) == {"ready"}
        await pass_time(WATCHED_S)
        assert await breakers(fleet) == {}

    with_fleet(story, people=people)


def test_a_probe_that_fails_leaves_it_open() -> None:
    async def story(fleet: Fleet) -> None:
        Mute.mute = set(range(30, 36))
        await ping(fleet)
        await pass_time(PROBED_S)
        assert await breakers(fleet) == {"s001.c00": "open"}

    with_fleet(story, people=people)


def test_what_is_open_outlives_the_orchestrator() -> None:
    async def story(fleet: Fleet) -> None:
        Mute.mute = set(range(30, 36))
        await ping(fleet)
        await fleet.ask(MoveBreaker(part="s003", is_open=True), BreakersPage)
        await fleet.kill("node-1")
        fleet.start_orchestrator(term=2)
        await pass_time(3.0)
        assert await breakers(fleet) == {"s001.c00": "open", "s003": "open"}

    with_fleet(story, people=people)


def test_the_mesh_is_opened_and_closed_by_hand() -> None:
    async def story(fleet: Fleet) -> None:
        page = await fleet.ask(MoveBreaker(part="mesh", is_open=True), BreakersPage)
        assert page.is_open
        assert page.breakers[0].by_hand
        assert set((await ping(fleet)).values()) == {"skipped"}
        await fleet.ask(MoveBreaker(part="mesh", is_open=False), BreakersPage)
        assert set((await ping(fleet)).values()) == {"ready"}

    with_fleet(story, people=people)


def test_what_brings_a_region_back_passes_its_breaker() -> None:
    async def story(fleet: Fleet) -> None:
        await fleet.ask(MoveBreaker(part="s001", is_open=True), BreakersPage)
        view = await fleet.operate("freeze", payload=encode_state_order(FreezeState()), rate=1.0)
        assert view.skipped == 0

    with_fleet(story, people=people)


def test_a_dry_run_names_whom_a_breaker_keeps_out_and_uses_no_quota() -> None:
    async def story(fleet: Fleet) -> None:
        await fleet.ask(MoveBreaker(part="s001", is_open=True), BreakersPage)
        view = await fleet.operate(dry_run=True)
        assert view.skipped == 30

    with_fleet(story, people=people)


@pytest.mark.parametrize("part", ["s099", "s001.c77", "nothing"])
def test_a_part_that_is_none_is_refused(part: str) -> None:
    async def story(fleet: Fleet) -> None:
        with pytest.raises(InvalidArgument, match="part of"):
            await fleet.ask(MoveBreaker(part=part, is_open=True), BreakersPage)

    with_fleet(story, people=people)
