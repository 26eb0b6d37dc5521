"""Operations on a fleet: who is asked when, what comes back, and that every target ends in a true state."""

from __future__ import annotations

import asyncio
import re

import numpy as np
import pytest

from ohmesh.errors import Backpressure, InvalidArgument, InvalidSelector, UnknownOperation
from ohmesh.handlers.simulated_agents import Unfit
from ohmesh.model.fleet_message import Timing, Verb
from ohmesh.model.fleet_reading import AgentsPage, ScopesPage
from ohmesh.model.fleet_request import (
    GetOperation,
    ListAgents,
    ListOperations,
    ListScopes,
    OperationsPage,
    OperationView,
    StartOperation,
)
from ohmesh.model.priority import Priority
from tests.unit.roles.fleet.fleet_in_memory import Fleet, is_accounted_for, with_fleet
from tests.unit.simulator.passing_time import pass_time


def test_everybody_answers_a_ping() -> None:
    async def story(fleet: Fleet) -> None:
        view = await fleet.operate(rate=1.0)
        assert (view.outcome, view.decision, view.ready, view.targets) == ("SUCCEEDED", "PROCEED", 120, 120)
        assert view.rate == view.coverage == view.hit_rate == 1.0
        assert view.simulated
        assert set((await fleet.states(view.id)).values()) == {"ready"}

    with_fleet(story)


def test_who_holds_is_ready_at_t_although_the_clocks_are_wrong() -> None:
    async def story(fleet: Fleet) -> None:
        begun_s = asyncio.get_running_loop().time()
        view = await fleet.operate("act", verb=Verb.ACT, timing=Timing.HOLD, window_ms=800.0, rate=0.9)
        errors_ms = [abs(at_s - begun_s - 0.8) * 1000 for at_s in fleet.ready[view.id].values()]
        assert view.sent >= 100  # people are too slow for any window, and skipped
        assert len(errors_ms) >= 0.98 * view.sent
        assert sorted(errors_ms)[int(len(errors_ms) * 0.9)] < 2.0  # with clocks 100 ms apart
        assert view.hit_rate >= 0.98

    with_fleet(story)


def test_who_acts_on_receipt_is_asked_a_lead_before_t() -> None:
    async def story(fleet: Fleet) -> None:
        begun_s = asyncio.get_running_loop().time()
        view = await fleet.operate("act", verb=Verb.ACT, timing=Timing.LEAD, window_ms=800.0, rate=0.9)
        offsets_ms = sorted((at_s - begun_s - 0.8) * 1000 for at_s in fleet.ready[view.id].values())
        middle = offsets_ms[len(offsets_ms) // 2]
        assert abs(middle) < 40.0, "around T, not at the start and not a window late"
        assert offsets_ms[0] > -500.0

    with_fleet(story)


def test_who_cannot_be_on_time_is_skipped_and_the_reason_is_told() -> None:
    async def story(fleet: Fleet) -> None:
        view = await fleet.operate("act", verb=Verb.ACT, timing=Timing.HOLD, where="class=F")
        assert (view.sent, view.outcome) == (0, "FAILED")
        assert view.skipped == view.targets > 0
        assert view.skipped_for == {"insufficient_lead_time": view.targets}

    with_fleet(story)


def test_the_dead_are_silent_and_the_lying_in_conflict() -> None:
    async def story(fleet: Fleet) -> None:
        view = await fleet.operate(timeout_ms=800.0, rate=1.0)
        assert is_accounted_for(view)
        assert view.transit > 0
        assert view.conflict > 0
        assert view.ready + view.conflict + view.transit == 120
        assert len(view.stragglers) == view.transit
        assert view.outcome == "PARTIAL"

    with_fleet(story, unfit=Unfit(dead=0.1, lying=0.1))


@pytest.mark.parametrize("strategy", ["wave", "parallel", "priority_first"])
def test_a_cascade_tells_each_of_its_stages(strategy: str) -> None:
    async def story(fleet: Fleet) -> None:
        view = await fleet.operate("cascade", strategy=strategy, timeout_ms=3_000.0)
        assert view.outcome == "SUCCEEDED"
        assert is_accounted_for(view)
        names = {
            "wave": ["sectors", "clusters", "agents"],
            "parallel": ["agents"],
            "priority_first": ["class D", "class C", "class B", "class A", "class E", "other classes"],
        }
        assert [stage.name for stage in view.stages] == names[strategy]
        assert all(stage.is_met for stage in view.stages)
        if strategy == "wave":
            assert [(stage.ready, stage.sent) for stage in view.stages[:2]] == [(4, 4), (12, 12)]

    with_fleet(story)


def test_a_selector_and_a_sample_say_who_is_meant() -> None:
    async def story(fleet: Fleet) -> None:
        chosen = await fleet.operate(where="sector in (1,3)")
        assert chosen.targets == 60
        assert all(agent[:4] in {"s001", "s003"} for agent in await fleet.states(chosen.id))
        one, other = [await fleet.operate(sample=17, seed=5) for _ in range(2)]
        assert one.targets == 17
        assert set(await fleet.states(one.id)) == set(await fleet.states(other.id))
        nobody = await fleet.operate(where="sector=2 and class=F and cluster=99")
        assert (nobody.outcome, nobody.targets) == ("EMPTY", 0)
        with pytest.raises(InvalidSelector, match="sektor"):
            await fleet.operate(where="sektor=2")

    with_fleet(story)


def test_asking_again_with_the_same_id_begins_nothing_new() -> None:
    async def story(fleet: Fleet) -> None:
        request = StartOperation(operation="the-one", what="act", verb=Verb.ACT, timeout_ms=400.0)
        first, second = await asyncio.gather(*(fleet.ask(request, OperationView) for _ in range(2)))
        assert first == second
        assert len(fleet.orchestrators[0].conductor.operations) == 1

    with_fleet(story)


def test_answers_that_come_late_change_the_record_and_not_the_decision() -> None:
    async def story(fleet: Fleet) -> None:
        view = await fleet.operate("act", verb=Verb.ACT, timeout_ms=100.0, where="not class=F")
        assert view.outcome == "PARTIAL"
        await pass_time(3.0)
        later = await fleet.ask(GetOperation(view.id), OperationView)
        assert later.outcome == "PARTIAL"
        assert later.ready > view.ready
        assert is_accounted_for(later)
        stored = await fleet.orchestrators[0].store.find(view.id)
        assert stored is not None
        assert stored.ready == later.ready

    with_fleet(story)


def test_what_is_asked_for_wrongly_is_refused_with_the_reason() -> None:
    async def story(fleet: Fleet) -> None:
        with pytest.raises(InvalidArgument, match="no strategy 'zigzag'"):
            await fleet.operate(strategy="zigzag")
        with pytest.raises(UnknownOperation, match="no operation nowhere"):
            await fleet.ask(GetOperation("nowhere"), OperationView)
        with pytest.raises(InvalidArgument):
            await fleet.operate(rate=0.0)

    with_fleet(story)


def test_agents_sectors_clusters_and_operations_are_listed() -> None:
    async def story(fleet: Fleet) -> None:
        page = await fleet.ask(ListAgents(limit=50), AgentsPage)
        rest = await fleet.ask(ListAgents(limit=100, after=page.after), AgentsPage)
        assert (len(page.agents), page.total, len(rest.agents), rest.after) == (50, 120, 70, -1)
        assert page.agents[0].agent == "s000.c00.a00"
        sectors = await fleet.ask(ListScopes(), ScopesPage)
        assert [(scope.scope, scope.agents, scope.lead) for scope in sectors.scopes] == [
            ("s000", 30, "host-0"),
            ("s001", 30, "host-0"),
            ("s002", 30, "host-1"),
            ("s003", 30, "host-1"),
        ]
        clusters = await fleet.ask(ListScopes(clusters=True, sector=2), ScopesPage)
        assert [scope.scope for scope in clusters.scopes] == ["s002.c00", "s002.c01", "s002.c02"]
        views = [await fleet.operate() for _ in range(3)]
        listed = await fleet.ask(ListOperations(2), OperationsPage)
        assert [view.id for view in listed.operations] == [view.id for view in reversed(views)][:2]
        description = await fleet.describe()
        assert (description.agents, description.active, description.mode) == (120, 120, "FULL")
        assert description.last_operation is not None
        assert description.last_operation.id == views[-1].id

    with_fleet(story)


def test_clusters_that_span_processes_are_led_by_one_and_reach_all() -> None:
    async def story(fleet: Fleet) -> None:
        view = await fleet.operate(rate=1.0)
        assert (view.ready, view.outcome) == (120, "SUCCEEDED")
        held = await fleet.operate("act", verb=Verb.ACT, timing=Timing.HOLD, window_ms=800.0, rate=0.9)
        assert held.hit_rate >= 0.98

    with_fleet(story, cuts=(0, 17, 44, 95, 120))


def test_a_degraded_fleet_refuses_what_its_mode_forbids_and_spares_unhealthy_sectors() -> None:
    async def story(fleet: Fleet) -> None:
        await fleet.kill("host-2")
        await pass_time(5.0)
        assert (await fleet.describe()).mode == "DEGRADED_MODERATE"
        with pytest.raises(Backpressure, match="from HIGH up"):
            await fleet.operate("act", verb=Verb.ACT)
        view = await fleet.operate("act", verb=Verb.ACT, priority=Priority.HIGH, where="not class=F")
        assert set(view.skipped_for) == {"unhealthy_sector"}
        spared = {agent[:4] for agent, state in (await fleet.states(view.id)).items() if state == "skipped"}
        assert spared == {"s003"}
        assert view.outcome == "SUCCEEDED"
        assert (await fleet.operate()).ready == 90  # a question is always allowed, and asks everybody

    with_fleet(story, cuts=(0, 60, 90, 120))


def test_leads_are_learnt_from_what_agents_did() -> None:
    """By the prior alone a third of those that act on receipt are late at T; afterwards as few as were asked for."""

    async def story(fleet: Fleet) -> None:
        shares = []
        for _ in range(12):
            begun_s = asyncio.get_running_loop().time()
            view = await fleet.operate(
                "act", verb=Verb.ACT, timing=Timing.LEAD, window_ms=900.0, rate=0.92, where="not class=F"
            )
            ready = fleet.ready[view.id].values()
            shares.append(sum(at_s <= begun_s + 0.9 for at_s in ready) / view.sent)
            await pass_time(1.0)
        assert shares[0] < 0.8
        assert sum(shares[-4:]) / 4 >= 0.9, shares
        assert fleet.orchestrators[0].arrivals.learnt > 1_000

    with_fleet(story)


def test_scopes_name_who_stands_out_below_them() -> None:
    """Held against a loop over agents; a cluster of one is all four of itself, and its quantiles are its own."""

    async def story(fleet: Fleet) -> None:
        registry = fleet.orchestrators[0].registry
        clusters = (await fleet.ask(ListScopes(clusters=True), ScopesPage)).scopes
        agents = (await fleet.ask(ListAgents(limit=1_000), AgentsPage)).agents
        for one in clusters:
            leads = {
                agent.agent: agent.lead_ms
                for agent in agents
                if agent.agent.startswith(one.scope) and agent.class_name != "F"
            }
            assert (one.fastest, one.slowest) == (
                min(leads, key=leads.__getitem__),
                max(leads, key=leads.__getitem__),
            )
            assert one.impedance_ms == pytest.approx(sum(leads.values()) / len(leads), rel=1e-3)
            assert one.sickest.startswith(one.scope)
        means = {one.scope: one.impedance_ms or 0.0 for one in clusters}
        for sector in (await fleet.ask(ListScopes(), ScopesPage)).scopes:
            below = {name: mean for name, mean in means.items() if name.startswith(sector.scope)}
            assert (sector.fastest, sector.slowest) == (
                min(below, key=below.__getitem__),
                max(below, key=below.__getitem__),
            )
        sectors = {
            one.scope: one.impedance_ms or 0.0 for one in (await fleet.ask(ListScopes(), ScopesPage)).scopes
        }
        assert (await fleet.describe()).fastest == min(sectors, key=sectors.__getitem__)
        everybody = np.flatnonzero(registry.columns.class_code != registry.classes.code("F"))
        registry.remove(np.setdiff1d(np.arange(120), everybody[:1]))
        await pass_time(0.01)
        (alone,) = (await fleet.ask(ListScopes(clusters=True), ScopesPage)).scopes
        (agent,) = (await fleet.ask(ListAgents(), AgentsPage)).agents
        assert {alone.healthiest, alone.sickest, alone.fastest, alone.slowest} == {agent.agent}
        assert alone.impedance_ms == alone.p50_ms == alone.p95_ms == pytest.approx(agent.lead_ms, abs=2e-3)
        registry.remove(everybody[:1])
        assert (await fleet.ask(ListScopes(clusters=True), ScopesPage)).scopes == ()
        nobody = await fleet.describe()
        assert (nobody.agents, nobody.healthiest, nobody.impedance_p95_ms) == (0, "", 0.0)

    with_fleet(story)


def test_a_percentage_draws_a_part_and_a_larger_one_holds_the_smaller() -> None:
    async def story(fleet: Fleet) -> None:
        few = await fleet.states((await fleet.operate(percent=5.0, seed=3)).id)
        more = await fleet.states((await fleet.operate(percent=10.0, seed=3)).id)
        assert (len(few), len(more)) == (6, 12)
        assert set(few) < set(more)
        assert (await fleet.operate(percent=0.1)).targets == 1

    with_fleet(story)


def test_an_operation_is_timed_to_an_instant_of_the_mesh() -> None:
    async def story(fleet: Fleet) -> None:
        orchestrator = fleet.orchestrators[0]
        begun_s, at_ms = asyncio.get_running_loop().time(), orchestrator.now_ms() + 1_500.0
        how = {"verb": Verb.ACT, "timing": Timing.HOLD, "where": "not class=F", "rate": 0.9}
        view = await fleet.operate("act", at_ms=at_ms, **how)
        assert view.target_ms == pytest.approx(at_ms, abs=0.01)
        errors_ms = sorted(abs(at_s - begun_s - 1.5) * 1000 for at_s in fleet.ready[view.id].values())
        assert errors_ms[int(0.9 * len(errors_ms))] < 5.0
        for wrong_ms, word in ((at_ms - 10_000.0, "ago"), (at_ms + 2 * 86_400_000.0, "ahead")):
            with pytest.raises(InvalidArgument, match=word):
                await fleet.operate("act", at_ms=wrong_ms, **how)

    with_fleet(story)


@pytest.mark.parametrize("timing", [Timing.NOW, Timing.LEAD, Timing.HOLD, Timing.PREPARE])
def test_a_dry_run_says_what_would_be_and_does_nothing(timing: Timing) -> None:
    async def story(fleet: Fleet) -> None:
        how = {"verb": Verb.ACT, "timing": timing, "window_ms": 600.0, "rate": 0.5}
        state = fleet.cluster.connect("reader").state
        before = await state.keys("")
        shown = await fleet.operate("act", dry_run=True, **how)
        plan = shown.plan
        assert plan is not None
        assert (shown.outcome, shown.ready, await state.keys("")) == ("PLANNED", 0, before)
        with pytest.raises(UnknownOperation):
            await fleet.ask(GetOperation(shown.id), OperationView)
        assert not fleet.ready
        real = await fleet.operate("act", **how)
        assert abs(plan.asked - real.sent) <= 2, "leads move a little with every heartbeat"
        assert plan.asked + shown.skipped == shown.targets == 120
        assert (
            len(plan.left_out)
            == shown.skipped
            == (0 if timing is Timing.NOW else pytest.approx(real.skipped, abs=2))
        )
        assert all((one.needed_ms or 0.0) > (one.available_ms or 1e9) for one in plan.left_out)
        assert 0.5 < plan.hit_rate <= 1.0
        if timing is Timing.LEAD:
            assert 0 <= plan.first_ms < plan.last_ms < 600
        else:
            assert plan.first_ms == plan.last_ms == 0

    with_fleet(story)


def test_a_window_that_is_too_short_is_told_with_the_one_that_would_do() -> None:
    async def story(fleet: Fleet) -> None:
        how = {"verb": Verb.ACT, "timing": Timing.HOLD, "where": "not class=F", "rate": 0.95}
        short = await fleet.operate("act", window_ms=100.0, **how)
        assert short.coverage < 0.9
        window = re.search(r"a window of (\d+) ms, in which 95% of the targets have time", short.advice)
        assert window is not None, short.advice
        longer = await fleet.operate("act", window_ms=float(window[1]) + 30.0, **how)
        assert longer.coverage >= 0.95
        assert "a window of" not in longer.advice

    with_fleet(story)
