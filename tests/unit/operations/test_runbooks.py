"""Procedures on a fleet of real roles in virtual time: each step does what it says, and says what it saw."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.mesh import AsyncMesh
from ohmesh.operations.runbook import RunbookReport, StepOutcome
from tests.unit.mesh.test_fleet_verbs import mesh_of
from tests.unit.roles.fleet.fleet_in_memory import Fleet, with_fleet
from tests.unit.simulator.passing_time import pass_time

SHARED = (0, 20, 40, 120)  # sector 0 lives in two processes, sector 1 in two


def with_nodes(story: Callable[[AsyncMesh, Fleet], Awaitable[None]], cuts: tuple[int, ...] = SHARED) -> None:
    """A fleet of which a second node keeps a replica."""

    async def meet(fleet: Fleet) -> None:
        await fleet.start_follower("node-2")
        await pass_time(12.5)  # the view was told again, and something is known of how it was
        await story(mesh_of(fleet), fleet)

    with_fleet(meet, cuts=cuts)


def outcomes(report: RunbookReport) -> dict[str, str]:
    return {one.step: one.outcome.value for one in report.steps}


def evidence(report: RunbookReport, step: str) -> str:
    return next(one.evidence for one in report.steps if one.step == step)


def test_a_dry_run_does_nothing_and_says_every_step() -> None:
    async def story(mesh: AsyncMesh, fleet: Fleet) -> None:
        before = len(fleet.orchestrators[0].conductor.operations)
        for report in (
            await mesh.runbook_daily(dry_run=True),
            await mesh.runbook_sector("s000", dry_run=True),
            await mesh.runbook_add_agents(40, dry_run=True),
        ):
            assert set(outcomes(report).values()) == {"planned"}
            assert report.outcome is StepOutcome.PLANNED
            assert all(one.evidence for one in report.steps)
        assert len(fleet.orchestrators[0].conductor.operations) == before

    with_nodes(story)


def test_the_daily_check_never_calls_well_what_is_not_set_up() -> None:
    async def story(mesh: AsyncMesh, _fleet: Fleet) -> None:
        report = await mesh.runbook_daily()
        found = outcomes(report)
        assert found["backups"] == "not set up"
        assert found["critical conflicts"] == found["drifting clusters"] == found["churn"] == "ok"
        assert report.outcome is StepOutcome.NOT_SET_UP
        assert "120 of 120 agents active, 0 offline" in evidence(report, "churn")
        assert "12 clusters, none drifts" in evidence(report, "drifting clusters")

    with_nodes(story)


def test_the_daily_check_sees_who_is_gone() -> None:
    async def story(mesh: AsyncMesh, fleet: Fleet) -> None:
        await fleet.kill("host-2")
        await pass_time(15.0)
        report = await mesh.runbook_daily()
        assert outcomes(report)["churn"] == "attention"
        assert "40 of 120 agents active, 80 offline" in evidence(report, "churn")
        assert report.outcome is StepOutcome.ATTENTION

    with_nodes(story)


def test_a_sector_that_answers_is_left_alone() -> None:
    async def story(mesh: AsyncMesh, fleet: Fleet) -> None:
        view = fleet.orchestrators[0].view().revision
        report = await mesh.runbook_sector("s000")
        assert outcomes(report) == {
            "first vantage point": "ok",
            "second vantage point": "ok",
            "backup coordinator": "skipped",
            "leads": "skipped",
            "agents": "skipped",
            "breaker": "skipped",
            "report": "ok",
        }
        assert "seen from node-2" in evidence(report, "second vantage point")
        assert fleet.orchestrators[0].view().revision == view

    with_nodes(story)


def test_a_silent_coordinator_is_replaced_at_once_and_its_agents_start_elsewhere() -> None:
    async def story(mesh: AsyncMesh, fleet: Fleet) -> None:
        roles = fleet.orchestrators[0].roles
        assert roles.processes[roles.coordinators[0]] == "host-0"
        await fleet.kill("host-0")
        report = await mesh.runbook_sector("s000")
        assert outcomes(report) == {
            "first vantage point": "attention",
            "second vantage point": "attention",
            "backup coordinator": "ok",
            "leads": "attention",
            "agents": "ok",
            "breaker": "ok",
            "report": "ok",
        }, str(report)
        assert "host-0 was given up; host-1 coordinates in place of host-0" in evidence(
            report, "backup coordinator"
        )
        assert "20 simulated agents were started in host-1" in evidence(report, "agents")
        assert (await mesh.ping(filter="sector=0")).ready == 30
        again = await mesh.runbook_sector("s000")
        assert outcomes(again)["backup coordinator"] == "skipped"
        assert again.outcome is StepOutcome.OK

    with_nodes(story)


def test_a_sector_that_stays_silent_is_routed_around() -> None:
    async def story(mesh: AsyncMesh, fleet: Fleet) -> None:
        for name in ("host-0", "host-1", "host-2"):
            await fleet.kill(name)
        report = await mesh.runbook_sector("s000")
        assert outcomes(report)["agents"] == outcomes(report)["breaker"] == "attention"
        assert "ohmesh release s000" in evidence(report, "breaker")
        assert {one.duty.value for one in await mesh.fleet_agents(filter="sector=0")} == {"quarantined"}

    with_nodes(story)


def test_agents_are_added_where_there_are_the_fewest_and_let_in_step_by_step() -> None:
    async def story(mesh: AsyncMesh, fleet: Fleet) -> None:
        report = await mesh.runbook_add_agents(25, wait=20, key="more")
        found = outcomes(report)
        assert found.pop("keys") == "not set up"
        assert set(found.values()) == {"ok"}, str(report)
        assert "25 places in 1 sectors: 0 clusters filled, 3 created" in evidence(report, "places")
        assert evidence(report, "routing ramp") == "2 of 2, 12 of 12, 25 of 25 answered"
        assert (await mesh.fleet()).active == 115
        again = await mesh.runbook_add_agents(25, wait=20, key="more")
        assert outcomes(again)["heartbeats"] == "ok"
        assert (await mesh.fleet()).active == 115, "the same key adds nobody twice"
        with pytest.raises(InvalidArgument):
            await mesh.runbook_sector("s099x")
        other = await mesh.runbook_add_agents(26, key="more")
        assert outcomes(other)["places"] == "failed"
        assert [one.step for one in other.steps] == ["keys", "places"]
        assert other.outcome is StepOutcome.FAILED

    with_nodes(story, cuts=(0, 60, 90))


def test_places_for_agents_of_ones_own_are_waited_for() -> None:
    async def story(mesh: AsyncMesh, _fleet: Fleet) -> None:
        report = await mesh.runbook_add_agents(3, own=True, wait=2)
        assert outcomes(report)["start"] == "ok"
        assert outcomes(report)["heartbeats"] == "attention"
        assert "3 of 3 are not heard of" in evidence(report, "heartbeats")
        assert report.key

    with_nodes(story, cuts=(0, 60, 90))
