"""Prepare and commit on real roles: nobody acts without a recorded COMMIT, and everybody who was asked hears it."""

from __future__ import annotations

import asyncio
import re

import msgspec
import pytest

from ohmesh.errors import OhmeshError
from ohmesh.handlers.simulated_agents import Unfit
from ohmesh.model.fleet_message import Timing, Verb
from ohmesh.model.fleet_request import GetOperation, OperationView, StartOperation
from ohmesh.ports.population import Rows
from tests.unit.roles.fleet.fleet_in_memory import Fleet, is_accounted_for, with_fleet
from tests.unit.simulator.passing_time import pass_time

WINDOW_S = 1.2


def wish(operation: str = "wish", *, rate: float = 0.9) -> StartOperation:
    return StartOperation(
        operation=operation,
        what="broadcast",
        verb=Verb.ACT,
        timing=Timing.PREPARE,
        window_ms=WINDOW_S * 1000,
        where="not class=F",
        rate=rate,
    )


def acted(fleet: Fleet) -> dict[int, float]:
    return fleet.ready.get("wish.commit", {})


def test_those_who_prepared_act_at_t_once_enough_could() -> None:
    async def story(fleet: Fleet) -> None:
        begun_s = asyncio.get_running_loop().time()
        view = await fleet.ask(wish(), OperationView)
        await pass_time(1.0)
        assert (view.verdict, view.verdict_reason, view.outcome) == ("commit", "rate_met", "SUCCEEDED")
        assert is_accounted_for(view)
        assert view.acted >= 0.9 * view.sent > 90
        errors_ms = sorted(abs(at_s - begun_s - WINDOW_S) * 1000 for at_s in acted(fleet).values())
        assert errors_ms[int(0.9 * len(errors_ms))] < 5.0, "at T, with clocks 100 ms apart"
        assert len(acted(fleet)) >= view.acted
        stored = await fleet.ask(GetOperation("wish"), OperationView)
        assert (stored.verdict, stored.outcome) == ("commit", "SUCCEEDED")

    with_fleet(story)


def test_nobody_acts_where_too_few_could_and_everybody_hears_of_it(caplog: pytest.LogCaptureFixture) -> None:
    async def story(fleet: Fleet) -> None:
        view = await fleet.ask(wish(), OperationView)
        assert (view.verdict, view.outcome, view.acted) == ("abort", "ABORTED", 0)
        told = await fleet.ask(GetOperation("wish.abort", agents=True), OperationView)
        assert told.targets == view.sent
        assert told.ready > 0.6 * view.sent
        await pass_time(2.0)
        assert not acted(fleet)
        assert "No verdict" not in caplog.text

    with_fleet(story, unfit=Unfit(dead=0.2, lying=0.1))


@pytest.mark.parametrize(("away_s", "verdict"), [(0.4, "commit"), (4.0, "abort")])
def test_a_successor_ends_what_was_prepared(away_s: float, verdict: str) -> None:
    """Killed before there is a verdict: with time left it is made, and else nobody was told to act."""

    async def story(fleet: Fleet) -> None:
        request = StartOperation(
            **{
                name: getattr(wish(), name)
                for name in StartOperation.__struct_fields__
                if name != "window_ms"
            },
            window_ms=3_000.0,
        )
        asking = asyncio.create_task(fleet.ask(request, OperationView, timeout_s=30.0))
        await pass_time(0.02)
        await fleet.kill("node-1")
        await pass_time(away_s)
        assert not acted(fleet)
        fleet.start_orchestrator(term=2)
        view = await asking
        assert view.verdict == verdict
        await pass_time(1.0)
        assert bool(acted(fleet)) is (verdict == "commit")
        assert is_accounted_for(view)

    with_fleet(story)


@pytest.mark.parametrize("away_s", [0.1, 3.0])
def test_a_verdict_that_was_recorded_stands_for_the_successor(
    away_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who hears of it after T plus the window has dropped the work, and says so."""

    async def story(fleet: Fleet) -> None:
        recorded = asyncio.Event()

        async def never(request: StartOperation, rows: Rows) -> OperationView:
            recorded.set()
            await asyncio.Event().wait()
            raise AssertionError("it never ends")

        monkeypatch.setattr(fleet.orchestrators[0].conductor, "order_once", never)
        asking = asyncio.create_task(fleet.ask(wish(), OperationView, timeout_s=30.0))
        await asyncio.wait_for(recorded.wait(), 5)
        await fleet.kill("node-1")
        await pass_time(away_s)
        fleet.start_orchestrator(term=2)
        view = await asking
        assert view.verdict == "commit"
        await pass_time(1.0)
        is_in_time = away_s < WINDOW_S
        assert (view.outcome, view.acted > 90) == (("SUCCEEDED", True) if is_in_time else ("FAILED", False))
        assert (len(acted(fleet)) > 90) is is_in_time
        told = await fleet.ask(GetOperation("wish.commit"), OperationView)
        assert is_accounted_for(view)
        assert is_accounted_for(told)
        assert told.ready == len(acted(fleet))
        if not is_in_time:
            assert told.conflict > 90, "too late, they say"

    with_fleet(story)


def test_who_hears_nothing_by_t_and_a_window_drops_the_work_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story(fleet: Fleet) -> None:
        asking = asyncio.create_task(fleet.ask(wish(), OperationView, timeout_s=2.5))
        await pass_time(0.02)
        await fleet.kill("node-1")
        await pass_time(WINDOW_S + 0.4)
        assert "No verdict" not in caplog.text
        await pass_time(0.2)
        said = re.findall(r"No verdict on wish came in time: (\d+) agents", caplog.text)
        assert sum(map(int, said)) > 90
        assert not acted(fleet)
        await asyncio.wait({asking})
        assert isinstance(asking.exception(), OhmeshError)

    with_fleet(story)


def test_a_process_that_dies_between_prepare_and_t_does_not_act() -> None:
    async def story(fleet: Fleet) -> None:
        asking = asyncio.create_task(fleet.ask(msgspec.structs.replace(wish(), rate=0.4), OperationView))
        async with asyncio.timeout(5):
            while await fleet.cluster.connect("reader").state.get("fleet.verdict.wish") is None:
                await pass_time(0.005)
        await fleet.kill("host-1")
        view = await asking
        assert view.verdict == "commit"
        assert {row < 60 for row in acted(fleet)} == {True}
        await pass_time(5.0)
        told = await fleet.ask(GetOperation("wish.commit", agents=True), OperationView)
        gone = {state for agent, state in zip(told.agents, told.states, strict=True) if agent > "s002"}
        assert gone <= {"transit", "unreachable"}

    with_fleet(story)
