"""Contexts and duties of a whole fleet in virtual time: set, verified, diverged, synced, frozen, killed and thawed."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np

from ohmesh.model.agent import Duty
from ohmesh.model.fleet_message import Verb
from ohmesh.model.fleet_reading import AgentsPage
from ohmesh.model.fleet_request import ListAgents, OperationView
from ohmesh.model.priority import Priority
from ohmesh.model.state_order import (
    ChangeDuty,
    EditContext,
    FreezeState,
    HealState,
    MergeBranch,
    Move,
    RestoreContext,
    StateOrder,
    SyncContext,
    ThawState,
    VerifyContext,
    encode_state_order,
)
from tests.unit.roles.fleet.fleet_in_memory import Fleet, is_accounted_for, with_fleet
from tests.unit.simulator.passing_time import pass_time

DEAD_S = 4.0
LARGE = bytes(range(256)) * 64  # above what travels in a message


async def order(fleet: Fleet, wish: StateOrder, **how: object) -> OperationView:
    settings: dict[str, Any] = {"what": "state", "verb": Verb.SYNC, "rate": 1.0, "timeout_ms": 3_000.0, **how}
    view = await fleet.operate(payload=encode_state_order(wish), **settings)
    assert is_accounted_for(view)
    return view


async def put(fleet: Fleet, entries: dict[str, bytes], **how: object) -> OperationView:
    return await order(fleet, EditContext(put=entries), **how)


async def contexts(fleet: Fleet) -> dict[str, str]:
    page = await fleet.ask(ListAgents(limit=1_000), AgentsPage)
    return {agent.agent: agent.context for agent in page.agents}


async def duties(fleet: Fleet) -> set[str]:
    page = await fleet.ask(ListAgents(limit=1_000), AgentsPage)
    return {agent.duty for agent in page.agents}


def test_a_context_is_set_by_broadcast_and_shown_by_its_hash() -> None:
    async def story(fleet: Fleet) -> None:
        view = await put(fleet, {"goal": b"ship"})
        assert (view.ready, view.outcome) == (120, "SUCCEEDED")
        ((mark, count),) = view.answers
        assert count == 120
        assert set((await contexts(fleet)).values()) == {mark}
        again = await put(fleet, {"goal": b"ship"})
        assert again.answers == view.answers  # the same entries are the same version

    with_fleet(story)


def test_a_content_too_large_for_a_message_is_fetched_once_by_each_process() -> None:
    async def story(fleet: Fleet) -> None:
        view = await put(fleet, {"policy": LARGE})
        assert view.ready == 120
        assert (await order(fleet, VerifyContext())).ready == 120

    with_fleet(story)


def test_who_holds_another_version_is_a_mismatch_and_restore_goes_back_to_what_was_verified() -> None:
    async def story(fleet: Fleet) -> None:
        first = await put(fleet, {"goal": b"ship"})
        assert (await order(fleet, RestoreContext())).conflict == 120  # nothing was verified yet
        assert (await order(fleet, VerifyContext())).ready == 120
        second = await put(fleet, {"goal": b"sail"}, where="sector=1")
        assert first.answers[0][0] != second.answers[0][0]
        view = await order(fleet, VerifyContext(), where="sector in (0,1)")
        assert (view.ready, view.conflict) == (30, 30)
        await put(fleet, {"goal": b"sink"}, where="sector=1")
        restored = await order(fleet, RestoreContext())
        assert sorted(restored.answers) == sorted([(first.answers[0][0], 90), (second.answers[0][0], 30)])

    with_fleet(story)


def test_an_agent_that_diverged_says_how_far_and_a_merge_joins_both() -> None:
    async def story(fleet: Fleet) -> None:
        await put(fleet, {"goal": b"ship", "pace": b"1"})
        aside = EditContext(put={"pace": b"2"}, branch="canary")
        assert (await order(fleet, aside, where="sector=0")).ready == 30
        further = EditContext(put={"pace": b"3"}, branch="canary")
        assert (await order(fleet, further, where="sector=0")).ready == 30
        view = await put(fleet, {"goal": b"sail"})
        assert (view.ready, view.conflict) == (90, 30)
        merged = await order(fleet, MergeBranch(source="canary"))
        assert merged.ready == 120
        assert len(set((await contexts(fleet)).values())) == 1

    with_fleet(story)


def test_agents_merge_in_place_what_they_hold_with_what_they_are_sent() -> None:
    async def story(fleet: Fleet) -> None:
        await put(fleet, {"goal": b"ship", "pace": b"1"})
        await order(fleet, EditContext(put={"pace": b"2"}, branch="canary"), where="sector=0")
        view = await order(fleet, EditContext(put={"goal": b"sail"}, move=Move.MERGE))
        assert view.ready == 120
        assert sorted(count for _, count in view.answers) == [30, 90]
        clash = await order(fleet, EditContext(put={"pace": b"9"}, move=Move.MERGE))
        assert (clash.ready, clash.conflict) == (90, 30)

    with_fleet(story)


def test_an_agent_takes_the_context_of_a_peer_in_another_process() -> None:
    async def story(fleet: Fleet) -> None:
        await put(fleet, {"goal": b"ship"}, where="sector=0")
        held = await contexts(fleet)
        assert held["s003.c00.a00"] == ""
        view = await order(fleet, SyncContext(peer="s000.c00.a00"), where="sector=3")
        assert view.ready == 30
        held = await contexts(fleet)
        assert held["s003.c00.a00"] == held["s000.c00.a00"] != ""

    with_fleet(story)


def test_a_version_that_was_merged_in_place_is_known_to_its_process_only_and_synced_from_there() -> None:
    async def story(fleet: Fleet) -> None:
        await put(fleet, {"goal": b"ship", "pace": b"1"})
        await order(fleet, EditContext(put={"pace": b"2"}, branch="canary"), where="sector=0")
        await order(fleet, EditContext(put={"goal": b"sail"}, move=Move.MERGE), where="sector=0")
        view = await order(fleet, SyncContext(peer="s000.c00.a00"), where="sector=3")
        assert view.ready == 30
        held = await contexts(fleet)
        assert held["s003.c00.a00"] == held["s000.c00.a00"] != held["s002.c00.a00"]

    with_fleet(story)


def test_frozen_agents_take_no_work_and_the_same_agents_go_on_once_thawed() -> None:
    async def story(fleet: Fleet) -> None:
        await put(fleet, {"goal": b"ship"})
        frozen = await order(fleet, FreezeState(), where="sector=1")
        assert frozen.ready == 30
        view = await fleet.operate(verb=Verb.ACT, what="act", rate=0.5)
        assert (view.skipped, view.skipped_for) == (30, {"not_on_duty": 30})
        thawed = await order(fleet, ThawState())
        assert (thawed.ready, thawed.answers) == (120, ((frozen.answers[0][0], 120),))
        assert (await fleet.operate(rate=1.0)).ready == 120

    with_fleet(story)


def test_everything_frozen_and_killed_comes_up_frozen_and_is_the_same_once_thawed() -> None:
    async def story(fleet: Fleet) -> None:
        await put(fleet, {"goal": b"ship", "policy": LARGE})
        await order(fleet, EditContext(put={"goal": b"sail"}, branch="canary"), where="sector=2")
        await fleet.operate(verb=Verb.ACT, what="act", where="sector=0", rate=0.1)
        counters = [population.carried(rows) for population, rows in fleet.populations.values()]
        before = await contexts(fleet)
        assert len(set(before.values())) == 2
        frozen = await order(fleet, FreezeState())
        assert frozen.ready == 120
        for name in ("node-1", *list(fleet.hosts)):
            await fleet.kill(name)
        await pass_time(DEAD_S)

        fleet.start_orchestrator(term=2)
        for number in range(2):
            await asyncio.wait_for(fleet.start_host(number).joined(), 20)
        await pass_time(3.0)
        assert await contexts(fleet) == before
        assert await duties(fleet) == {"frozen"}
        view = await fleet.operate(verb=Verb.ACT, what="act", approved=True, priority=Priority.CRITICAL)
        assert (view.ready, view.skipped) == (0, 120)
        thawed = await order(fleet, ThawState())
        assert thawed.ready == 120
        assert thawed.answers == frozen.answers
        assert await contexts(fleet) == before
        assert await duties(fleet) == {"ready"}
        after = [population.carried(rows) for population, rows in fleet.populations.values()]
        assert after == counters
        assert any(any(counter) for counter in counters)
        assert (await fleet.operate(rate=1.0)).ready == 120
        assert not fleet.cluster.blobs.keys("frozen/")

    with_fleet(story)


def test_contexts_outlive_the_processes_that_hold_them_without_any_freeze() -> None:
    async def story(fleet: Fleet) -> None:
        await put(fleet, {"goal": b"ship"})
        before = await contexts(fleet)
        await pass_time(2.0)
        await fleet.kill("host-1")
        await pass_time(DEAD_S)
        await asyncio.wait_for(fleet.start_host(1).joined(), 5)
        await pass_time(1.0)
        assert await contexts(fleet) == before

    with_fleet(story)


def test_who_was_away_when_everybody_was_frozen_stays_out_of_work_when_it_returns() -> None:
    async def story(fleet: Fleet) -> None:
        await fleet.kill("host-1")
        await pass_time(DEAD_S)
        view = await order(fleet, FreezeState())
        assert (view.ready, view.unreachable) == (60, 60)
        await pass_time(DEAD_S)  # the operation is over and stored, so nobody tells it to who returns
        await fleet.kill("node-1")
        fleet.start_orchestrator(term=2)
        await pass_time(2.0)
        await asyncio.wait_for(fleet.start_host(1).joined(), 5)
        await pass_time(1.0)
        assert await duties(fleet) == {"frozen"}
        thawed = await order(fleet, ThawState())
        assert thawed.ready == 120
        assert await duties(fleet) == {"ready"}

    with_fleet(story)


def test_drained_agents_get_no_new_work_are_still_seen_and_survive_another_orchestrator() -> None:
    async def story(fleet: Fleet) -> None:
        view = await order(fleet, ChangeDuty(Duty.DRAINING), where="sector=1")
        assert view.ready == 30
        assert (await fleet.operate(verb=Verb.ACT, what="act", rate=0.5)).skipped == 30
        assert (await fleet.operate(rate=1.0)).ready == 120
        await fleet.kill("node-1")
        fleet.start_orchestrator(term=2)
        await pass_time(2.0)
        assert (await fleet.operate(verb=Verb.ACT, what="act", rate=0.5)).skipped == 30
        await order(fleet, ChangeDuty(Duty.READY), where="sector=1")
        assert (await fleet.operate(verb=Verb.ACT, what="act", rate=0.5)).skipped == 0

    with_fleet(story)


def test_healing_gives_back_the_context_of_the_others_and_the_duty_and_says_what_it_did() -> None:
    async def story(fleet: Fleet) -> None:
        await put(fleet, {"goal": b"ship"}, where="not sector=3")
        await order(fleet, ChangeDuty(Duty.QUARANTINED), where="sector in (2,3)")
        assert (await fleet.operate(rate=0.5)).skipped == 60
        view = await order(fleet, HealState(), where="state=quarantined")
        assert dict(view.answers) == {
            "context right, duty ready": 30,
            "context taken from a neighbour, duty ready": 30,
        }
        assert (await fleet.operate(rate=1.0)).ready == 120
        assert len(set((await contexts(fleet)).values())) == 1

    with_fleet(story)


def test_a_process_that_lacks_the_context_of_the_others_is_healed_from_one_of_them() -> None:
    async def story(fleet: Fleet) -> None:
        await put(fleet, {"goal": b"ship"}, where="sector in (0,1)")
        view = await order(fleet, HealState(), where="sector in (2,3)")
        assert view.answers == (("context taken from process host-0, duty ready", 60),)
        assert len(set((await contexts(fleet)).values())) == 1

    with_fleet(story)


def test_what_is_imposed_is_taken_away_from_each_as_it_says_that_it_is_thawed() -> None:
    async def story(fleet: Fleet) -> None:
        await order(fleet, FreezeState())
        states = fleet.orchestrators[0].states
        assert np.count_nonzero(states.imposed) == 120
        await order(fleet, ThawState(), where="not sector=2")
        assert np.flatnonzero(states.imposed).tolist() == list(range(60, 90))

    with_fleet(story)


def test_who_is_held_because_of_a_conflict_is_not_freed_by_a_thaw_or_a_release() -> None:
    async def story(fleet: Fleet) -> None:
        states = fleet.orchestrators[0].states
        states.hold(np.arange(10))
        await order(fleet, FreezeState(), where="sector=0")
        await order(fleet, ThawState())
        await order(fleet, ChangeDuty(Duty.READY))
        assert (await fleet.operate(rate=0.5)).skipped == 10
        states.let_go(np.arange(10))
        assert (await fleet.operate(rate=1.0)).ready == 120

    with_fleet(story)


def test_an_order_that_cannot_be_done_is_no_conflict_between_agents() -> None:
    async def story(fleet: Fleet) -> None:
        assert (await order(fleet, RestoreContext())).conflict == 120
        assert fleet.orchestrators[0].conflicts.conflicting == 0
        await put(fleet, {"goal": b"ship"})
        await order(fleet, EditContext(put={"goal": b"sail"}, branch="canary"), where="sector=0")
        assert (await order(fleet, VerifyContext())).conflict == 30
        assert fleet.orchestrators[0].conflicts.conflicting == 30

    with_fleet(story)
