"""The assignment record: what follows from what stands in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import EngineFailed
from ohmesh.protocols.membership.assignment import (
    Assignment,
    Decision,
    Holding,
    Standing,
    decide,
    decode_assignment,
    encode_change,
)

ROLES = ("dispatcher-0", "dispatcher-1", "dispatcher-2", "projector")


def record(revision: int = 9, /, **owners: tuple[str, int]) -> Assignment:
    return Assignment(revision, {role.replace("_", "-"): Holding(*each) for role, each in owners.items()})


def standing(
    *,
    process: str = "a",
    running: Mapping[str, int] | None = None,
    resting: Collection[str] = (),
    peers: Mapping[str, Collection[str]] | None = None,
    gone: Collection[str] = (),
    ending: Collection[str] = (),
) -> Standing:
    return Standing(
        process,
        frozenset(ROLES),
        running or {},
        frozenset(resting),
        peers or {},
        frozenset(gone),
        frozenset(ending),
    )


def test_the_term_of_a_claim_is_the_revision_of_its_own_write() -> None:
    first = decode_assignment(encode_change(Assignment(), "a", claim=["projector"]), 7)
    assert first.holdings == {"projector": Holding("a", 7)}
    second = decode_assignment(encode_change(first, "b", claim=["dispatcher-0"]), 12)
    assert second.holdings == {"projector": Holding("a", 7), "dispatcher-0": Holding("b", 12)}


def test_claiming_ones_own_role_again_gives_it_a_new_term() -> None:
    before = record(7, projector=("a", 7))
    assert (
        decode_assignment(encode_change(before, "a", claim=["projector"]), 8).holdings["projector"].term == 8
    )


def test_nobody_releases_what_is_anothers() -> None:
    before = record(7, projector=("b", 7))
    after = decode_assignment(encode_change(before, "a", release=["projector", "dispatcher-0"]), 8)
    assert after.holdings == before.holdings


def test_a_record_that_is_not_one_is_refused_with_its_revision() -> None:
    with pytest.raises(EngineFailed, match="revision 5"):
        decode_assignment(b"\x01", 5)


def test_the_same_claims_are_the_same_bytes_in_any_order() -> None:
    assert encode_change(Assignment(), "a", claim=["x", "y"]) == encode_change(
        Assignment(), "a", claim=["y", "x"]
    )


def test_a_role_without_a_row_and_one_whose_owner_is_gone_are_orphans() -> None:
    decision = decide(record(projector=("b", 3), dispatcher_0=("c", 4)), standing(gone=["b"]))
    assert set(decision.orphans) == {"projector", "dispatcher-1", "dispatcher-2"}


def test_a_role_whose_owner_lives_is_left_alone() -> None:
    everything = record(**{role.replace("-", "_"): ("b", 3) for role in ROLES})
    assert decide(everything, standing(peers={"b": ROLES})) == Decision()


def test_a_running_role_is_stopped_when_the_record_names_another_owner() -> None:
    decision = decide(record(projector=("b", 8)), standing(running={"projector": 3}, peers={"b": ROLES}))
    assert decision.stop == {"projector"}
    assert "projector" not in decision.orphans


def test_a_running_role_is_stopped_when_the_record_names_another_term_of_its_own_process() -> None:
    assert decide(record(projector=("a", 8)), standing(running={"projector": 3})).stop == {"projector"}


def test_a_running_role_is_stopped_when_its_row_is_gone() -> None:
    assert decide(record(), standing(running={"projector": 3})).stop == {"projector"}


def test_a_record_read_from_before_the_claim_stops_nothing() -> None:
    assert decide(record(2), standing(running={"projector": 3})).stop == frozenset()


def test_a_role_in_our_name_that_we_do_not_know_of_is_claimed_anew() -> None:
    decision = decide(record(projector=("a", 3)), standing())
    assert decision.reclaim == {"projector"}
    assert decision.release == frozenset()


@pytest.mark.parametrize("role", ["projector", "of-a-later-version"])
def test_a_role_in_our_name_that_we_must_not_or_cannot_run_is_released(role: str) -> None:
    decision = decide(Assignment(9, {role: Holding("a", 3)}), standing(resting=["projector"]))
    assert decision.release == {role}
    assert not decision.reclaim
    assert role not in decision.orphans


def test_a_resting_role_is_left_to_others() -> None:
    assert "projector" not in decide(record(), standing(resting=["projector"])).orphans


def test_who_has_fewer_roles_comes_first() -> None:
    busy = record(dispatcher_0=("a", 3), dispatcher_1=("a", 3))
    peers = {"b": ROLES}
    ours = decide(busy, standing(running={"dispatcher-0": 3, "dispatcher-1": 3}, peers=peers)).orphans
    theirs = decide(busy, standing(process="b", peers={"a": ROLES})).orphans
    assert ours == {"dispatcher-2": 1, "projector": 1}
    assert theirs == {"dispatcher-2": 0, "projector": 0}


def test_a_peer_that_cannot_run_a_role_is_not_waited_for() -> None:
    assert decide(record(), standing(process="b", peers={"a": ["projector"]})).orphans["dispatcher-0"] == 0


def test_the_roles_of_the_dead_do_not_count_as_their_load() -> None:
    dead = record(**{role.replace("-", "_"): ("z", 3) for role in ROLES})
    assert decide(dead, standing(gone=["z"])).orphans == dict.fromkeys(ROLES, 0)


def test_what_runs_beyond_our_share_is_surplus_and_goes_on_until_it_is_stopped() -> None:
    held = record(dispatcher_0=("a", 3), dispatcher_1=("a", 3), dispatcher_2=("a", 3), projector=("a", 3))
    decision = decide(held, standing(running=dict.fromkeys(ROLES, 3), peers={"b": ROLES}))
    assert decision.surplus == {"dispatcher-2": "b", "dispatcher-1": "b"}
    assert not decision.stop
    assert not decision.release


@pytest.mark.parametrize("is_ending", [True, False])
def test_surplus_is_released_when_it_has_ended_and_not_before(is_ending: bool) -> None:
    held = record(dispatcher_0=("a", 3), dispatcher_1=("a", 3), dispatcher_2=("a", 3), projector=("b", 3))
    seen = standing(
        running={"dispatcher-0": 3, "dispatcher-1": 3},
        resting=["dispatcher-2"] if is_ending else [],
        ending=["dispatcher-2"] if is_ending else [],
        peers={"b": ROLES},
    )
    decision = decide(held, seen)
    assert decision.release == (frozenset() if is_ending else {"dispatcher-2"})
    assert not decision.reclaim


def test_surplus_whose_heir_has_gone_meanwhile_is_claimed_anew() -> None:
    held = record(dispatcher_0=("a", 3), dispatcher_1=("a", 3), dispatcher_2=("a", 3), projector=("a", 3))
    running = {role: 3 for role in ROLES if role != "dispatcher-2"}
    decision = decide(held, standing(running=running, peers={"b": ROLES}, gone=["b"]))
    assert decision.reclaim == {"dispatcher-2"}
    assert not decision.surplus


@given(
    st.sets(st.sampled_from("abcde"), min_size=1),
    st.dictionaries(st.sampled_from(ROLES), st.sampled_from("abcdez"), max_size=len(ROLES)),
)
def test_processes_that_see_the_same_agree_on_who_comes_first(
    living: set[str], owners: dict[str, str]
) -> None:
    seen = Assignment(9, {role: Holding(owner, 3) for role, owner in owners.items()})
    gone = frozenset(owners.values()) - living
    firsts: dict[str, list[str]] = {}
    for process in sorted(living):
        running = {role: 3 for role, owner in owners.items() if owner == process}
        peers = dict.fromkeys(living - {process}, ROLES)
        decision = decide(seen, standing(process=process, running=running, peers=peers, gone=gone))
        assert not decision.stop
        assert not decision.reclaim
        for role, rank in decision.orphans.items():
            assert 0 <= rank < len(living)
            if rank == 0:
                firsts.setdefault(role, []).append(process)
    orphans = [role for role in ROLES if owners.get(role) not in living]
    assert {role: len(names) for role, names in firsts.items()} == dict.fromkeys(orphans, 1)
    before = [sum(owner == name for owner in owners.values()) for name in sorted(living)]
    after = [
        count + sum(names == [name] for names in firsts.values())
        for name, count in zip(sorted(living), before, strict=True)
    ]
    assert max(after) - min(after) <= max(1, max(before) - min(before))
