"""Every type of conflict among simulated agents with a fault, from the report until they are well again."""

from __future__ import annotations

import pytest

from ohmesh.handlers.simulated_agents import Unfit
from ohmesh.model.conflict import Conflict
from ohmesh.model.conflict_request import (
    ConflictAction,
    ConflictsPage,
    ConflictStory,
    ListConflicts,
    ResolveConflict,
)
from ohmesh.model.fleet_message import Verb
from ohmesh.model.state_order import EditContext, VerifyContext, encode_state_order
from tests.unit.roles.fleet.fleet_in_memory import Fleet, with_fleet
from tests.unit.simulator.passing_time import pass_time


async def work(fleet: Fleet) -> None:
    await fleet.operate("broadcast", verb=Verb.ACT, where="not class=human", timeout_ms=3_000)
    await pass_time(3.0)


async def tell(fleet: Fleet, what: str, order: EditContext | VerifyContext) -> tuple[int, int]:
    view = await fleet.operate(what, verb=Verb.SYNC, payload=encode_state_order(order))
    await pass_time(3.0)
    return view.ready, view.conflict


async def ended(fleet: Fleet) -> list[Conflict]:
    page = await fleet.ask(ListConflicts(ended=True), ConflictsPage)
    assert page.open == 0, page.conflicts
    return list(page.conflicts)


@pytest.mark.parametrize(
    ("unfit", "kind", "method", "outcome"),
    [
        (
            Unfit(contradicting=0.02),
            "data_contradiction",
            "provenance_trace",
            "'42' has the stronger origin.",
        ),
        (Unfit(drifting=0.01), "temporal_paradox", "clock_reconciliation", "was wrong and is measured anew."),
        (Unfit(incapable=0.01), "capability_mismatch", "reroute_and_remap", "was taken from 1 agents"),
    ],
)
def test_what_is_reported_is_settled_and_they_are_well_again(
    unfit: Unfit, kind: str, method: str, outcome: str
) -> None:
    async def story(fleet: Fleet) -> None:
        await work(fleet)
        found = await ended(fleet)
        assert {(one.detail.type.value, one.by) for one in found} == {(kind, method)}
        assert all(outcome in one.outcome for one in found), [one.outcome for one in found]
        await work(fleet)
        assert len(await ended(fleet)) == len(found)

    with_fleet(story, unfit=unfit)


def test_a_context_that_went_apart_is_merged_and_all_hold_both_changes() -> None:
    async def story(fleet: Fleet) -> None:
        assert await tell(fleet, "set-context", EditContext(put={"goal": b"ship"})) == (120, 0)
        await work(fleet)
        ready, conflict = await tell(fleet, "set-context", EditContext(put={"pace": b"2"}))
        assert (ready, conflict) == (118, 2)
        (one,) = await ended(fleet)
        assert (one.detail.type.value, one.detail.divergence_depth) == ("context_divergence", 1)
        assert one.by == "branch_and_reconcile"
        trunk = fleet.orchestrators[-1].states.trunk
        assert await trunk.entries(trunk.head("main")) == {"goal": b"ship", "pace": b"2", "note": b"mine"}
        assert await tell(fleet, "verify-context", VerifyContext()) == (120, 0)

    with_fleet(story, unfit=Unfit(diverging=0.01))


def test_a_context_that_was_lost_is_loaded_again_and_its_agent_goes_back_to_duty() -> None:
    async def story(fleet: Fleet) -> None:
        await tell(fleet, "set-context", EditContext(put={"goal": b"ship", "large": b"\xff" * 10_000}))
        await work(fleet)
        assert await tell(fleet, "verify-context", VerifyContext()) == (118, 2)
        (one,) = await ended(fleet)
        assert (one.detail.type.value, one.state.value, one.by) == (
            "hash_mismatch",
            "released",
            "reload_known_good",
        )
        assert await tell(fleet, "verify-context", VerifyContext()) == (120, 0)
        assert (await fleet.describe()).active == 120

    with_fleet(story, unfit=Unfit(corrupt=0.01))


def test_a_context_that_shares_no_past_with_that_of_the_fleet_is_a_persons_and_stays_out_of_it() -> None:
    async def story(fleet: Fleet) -> None:
        await tell(fleet, "set-context", EditContext(put={"goal": b"ship"}))
        await work(fleet)
        assert await tell(fleet, "set-context", EditContext(put={"pace": b"2"})) == (118, 2)
        (one,) = (await fleet.ask(ListConflicts(), ConflictsPage)).conflicts
        assert (one.state.value, one.reporters) == ("escalated", 2)
        trunk = fleet.orchestrators[-1].states.trunk
        head = trunk.head("main")
        wish = ResolveConflict(conflict=one.id, action=ConflictAction.WINNER, winner=head.hex())
        assert (await fleet.ask(wish, ConflictStory)).conflict.state.value == "resolved"
        assert await trunk.entries(trunk.head("main")) == {"goal": b"ship", "pace": b"2"}
        assert await tell(fleet, "verify-context", VerifyContext()) == (120, 0)

    with_fleet(story, unfit=Unfit(corrupt=0.01))
