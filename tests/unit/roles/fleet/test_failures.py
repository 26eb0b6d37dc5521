"""Each class of failure by injection, on real roles: what is done about it, and who is told when."""

from __future__ import annotations

import random

import numpy as np
import pytest

from ohmesh.handlers.simulated_agents import SimulatedAgents
from ohmesh.model.agent_class import AgentClasses
from ohmesh.model.fleet_breaker import AskBreakers, BreakersPage
from ohmesh.model.fleet_failure import AskFailures, FailuresPage
from ohmesh.model.fleet_message import Coordinate
from ohmesh.ports.population import AnsweredCallback, Population, Rows
from ohmesh.roles.fleet.host import After
from tests.unit.roles.fleet.fleet_in_memory import Fleet, with_fleet
from tests.unit.simulator.passing_time import pass_time

TIMEOUT_MS = 500.0


class Injected(SimulatedAgents):
    """mute: hear everything and say nothing. lost: those that stay so when they are begun anew. slow: take ten times
    as long as they did."""

    mute: set[int] = set()  # noqa: RUF012 -- of all processes of a test
    lost: set[int] = set()  # noqa: RUF012
    restarted: list[int] = []  # noqa: RUF012

    def deliver(self, order: Coordinate, rows: Rows, answered: AnsweredCallback) -> None:
        super().deliver(order, rows[~np.isin(rows, list(Injected.mute))], answered)

    def restart(self, rows: Rows) -> None:
        super().restart(rows)
        Injected.restarted += rows.tolist()
        Injected.mute -= set(rows.tolist()) - Injected.lost


def people(rows: Rows, after: After) -> Population:
    return Injected(rows, AgentClasses(), after, rng=random.Random(int(rows[0])))


@pytest.fixture(autouse=True)
def _all_are_well() -> None:
    Injected.mute, Injected.lost, Injected.restarted = set(), set(), []


async def failures(fleet: Fleet) -> dict[str, tuple[str, str]]:
    page = await fleet.ask(AskFailures(), FailuresPage)
    return {one.agent: (one.failure, one.told) for one in page.lines}


async def ping(fleet: Fleet, after_s: float) -> None:
    await fleet.operate(rate=1.0, timeout_ms=TIMEOUT_MS)
    await pass_time(after_s)


def told(fleet: Fleet, word: str) -> list[str]:
    return [said for said in fleet.notices if word in said]


def test_a_timeout_is_retried_and_forgotten_once_it_is_answered() -> None:
    async def story(fleet: Fleet) -> None:
        Injected.mute = {33}
        await ping(fleet, 3.0)
        assert await failures(fleet) == {"s001.c00.a03": ("TRANSIENT_NETWORK", "")}
        Injected.mute = set()
        await pass_time(12.0)
        assert await failures(fleet) == {}
        assert not told(fleet, "TRANSIENT_NETWORK")

    with_fleet(story, people=people)


def test_the_third_timeout_in_a_row_is_told() -> None:
    async def story(fleet: Fleet) -> None:
        Injected.mute = {33}
        for _ in range(3):
            await ping(fleet, 1.6)
        await pass_time(1.5)
        assert await failures(fleet) == {"s001.c00.a03": ("TRANSIENT_NETWORK", "cluster")}
        assert len(told(fleet, "TRANSIENT_NETWORK: s001.c00.a03")) == 1

    with_fleet(story, people=people)


def test_an_agent_that_is_silent_past_its_death_time_is_begun_anew() -> None:
    async def story(fleet: Fleet) -> None:
        Injected.mute = {33}
        await ping(fleet, 20.0)
        assert Injected.restarted == []
        await pass_time(25.0)
        assert Injected.restarted == [33]
        assert await failures(fleet) == {}
        assert told(fleet, "s001.c00.a03 did not answer for so long")
        assert not told(fleet, "AGENT_CRASH")

    with_fleet(story, people=people)


def test_when_that_does_not_help_it_is_told_once() -> None:
    async def story(fleet: Fleet) -> None:
        Injected.mute, Injected.lost = {33}, {33}
        await ping(fleet, 150.0)
        assert Injected.restarted == [33]
        assert await failures(fleet) == {"s001.c00.a03": ("AGENT_CRASH", "sector")}
        assert len(told(fleet, "AGENT_CRASH: s001.c00.a03")) == 1

    with_fleet(story, people=people)


def test_a_process_that_is_gone_is_no_failure_of_its_agents() -> None:
    async def story(fleet: Fleet) -> None:
        await fleet.kill("host-1")
        await ping(fleet, 45.0)
        assert await failures(fleet) == {}

    with_fleet(story, people=people)


def test_failures_that_double_from_minute_to_minute_isolate_the_sector() -> None:
    async def story(fleet: Fleet) -> None:
        spread = [{34}, {35, 45}, {36, 46, 56, 57}, {37, 38, 47, 48, 49, 58, 59, 39}]
        Injected.lost = set().union(*spread)
        for more in spread:
            Injected.mute |= more
            await ping(fleet, 60.0)
        page = await fleet.ask(AskBreakers(), BreakersPage)
        assert "s001" in {one.part for one in page.breakers}
        assert told(fleet, "Failures of s001 grow as in a cascade")

    with_fleet(story, people=people)
