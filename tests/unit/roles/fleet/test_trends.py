"""How a fleet has been: kept by the orchestrator, and by whoever takes over from it."""

from __future__ import annotations

import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.model.fleet_trend import AskTrend, TrendPage
from tests.unit.roles.fleet.fleet_in_memory import Fleet, with_fleet
from tests.unit.simulator.passing_time import pass_time

STEP_S = 10.0
MINUTE_MS = 60_000


async def trend(fleet: Fleet, part: str = "mesh", step_ms: int = 0, ago_ms: int = 3_000_000) -> TrendPage:
    return await fleet.ask(AskTrend(part=part, ago_ms=ago_ms, step_ms=step_ms), TrendPage)


def test_a_trend_outlives_its_orchestrator() -> None:
    async def story(fleet: Fleet) -> None:
        await pass_time(9 * STEP_S)
        before = await trend(fleet, "s002")
        assert len(before) >= 9
        assert set(before.agents) == {30}
        assert set(before.active_rate) == {1.0}
        assert all(20 < (mean or 0) < 400 for mean in before.impedance_ms)
        assert all(
            (p95 or 0) >= (mean or 0) for mean, p95 in zip(before.impedance_ms, before.p95_ms, strict=True)
        )
        await fleet.kill("host-1")
        await pass_time(2 * STEP_S)
        await fleet.kill("node-1")
        await pass_time(5.0)
        fleet.start_orchestrator(term=2)
        await pass_time(2 * STEP_S)
        after = await trend(fleet, "s002")
        shared = [at_ms for at_ms in before.times_ms[:-1] if at_ms in after.times_ms]
        assert shared == list(before.times_ms[:-1])
        assert after.impedance_ms[: len(shared)] == before.impedance_ms[: len(shared)]
        assert (after.agents[-1], after.active_rate[-1]) == (0, None), (
            "who died before it began is not known to it"
        )
        minutes = await trend(fleet, step_ms=MINUTE_MS)
        assert len(minutes) >= 2
        assert minutes.active_rate[0] == 1.0
        assert (await trend(fleet, step_ms=3_600_000)).times_ms

    with_fleet(story)


def test_what_is_no_part_or_step_is_refused() -> None:
    async def story(fleet: Fleet) -> None:
        for asked in (
            AskTrend(part="s099"),
            AskTrend(part="x"),
            AskTrend(step_ms=7),
            AskTrend(start_ms=9, end_ms=3),
        ):
            with pytest.raises(InvalidArgument):
                await fleet.ask(asked, TrendPage)

    with_fleet(story)
