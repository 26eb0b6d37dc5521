"""A wave on real roles: what each tier took and reached, where it ends, and how little of it comes up."""

from __future__ import annotations

import pytest

from ohmesh.handlers.simulated_agents import Unfit
from ohmesh.model.fleet_message import Verb
from ohmesh.model.fleet_operation import Fold
from ohmesh.model.topology import Topology
from tests.unit.roles.fleet.fleet_in_memory import Fleet, is_accounted_for, with_fleet
from tests.unit.simulator.passing_time import pass_time


def test_each_tier_of_a_wave_is_told_with_its_time_beside_its_budget() -> None:
    async def story(fleet: Fleet) -> None:
        view = await fleet.operate("cascade", verb=Verb.ACT, strategy="wave", where="not class=F", rate=0.9)
        tiers = [(stage.name, stage.budget_ms, stage.is_met) for stage in view.stages]
        assert tiers == [("sectors", 60.0, True), ("clusters", 40.0, True), ("agents", 220.0, True)]
        sectors, clusters, agents = (stage.elapsed_ms for stage in view.stages)
        assert 0 <= sectors <= 60
        assert 0 <= clusters <= 40
        work_s = sorted(fleet.ready[view.id].values())
        spread_ms = (work_s[int(0.95 * view.sent) - 1] - work_s[0]) * 1000
        assert agents >= spread_ms > 50, "agents take their time, and the stage is as long as they need"
        assert sectors + clusters + agents == pytest.approx(view.elapsed_ms, abs=1.0)

    with_fleet(story)


def test_a_wave_ends_at_the_sectors_where_too_few_take_it() -> None:
    async def story(fleet: Fleet) -> None:
        await fleet.kill("host-1")  # half of the sectors, and nobody has noticed
        view = await fleet.operate("cascade", verb=Verb.ACT, strategy="wave", timeout_ms=3_000.0)
        assert (view.outcome, view.ready) == ("FAILED_AT_SECTOR", 0)
        (sectors,) = [stage for stage in view.stages if stage.tier == "sectors"]
        assert (sectors.ready, sectors.sent, sectors.is_met) == (2, 4, False)
        assert sectors.elapsed_ms == pytest.approx(200.0, abs=20.0)
        await pass_time(3.0)
        assert not fleet.ready.get(view.id), "no agent was asked"

    with_fleet(story)


def test_a_wave_that_is_short_below_its_sectors_is_partial_and_says_where() -> None:
    async def story(fleet: Fleet) -> None:
        view = await fleet.operate("cascade", strategy="wave", timeout_ms=3_000.0)
        assert (view.outcome, view.degraded) == ("PARTIAL", ("agents",))
        assert [stage.is_met for stage in view.stages] == [True, True, False]
        assert is_accounted_for(view)
        assert view.transit > 0

    with_fleet(story, unfit=Unfit(dead=0.2))


def test_what_comes_up_to_the_orchestrator_is_folded_by_sector(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(fleet: Fleet) -> None:
        conductor = fleet.orchestrators[0].conductor
        folds: list[int] = []
        take = conductor.fold

        def counted(fold: Fold) -> None:
            folds.append(fold.sector)
            take(fold)

        monkeypatch.setattr(conductor, "fold", counted)
        view = await fleet.operate("cascade", strategy="wave")
        assert view.ready == 1_200
        assert len(folds) <= 4 * len(set(folds)) == 16, (
            "taken by the sector, by its clusters, and all of its agents"
        )

    with_fleet(story, topology=Topology(4, 10, 30), cuts=(0, 300, 600, 1_200))
