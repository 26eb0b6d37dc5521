"""Quorums, against a twin that counts every set of voters by hand."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import InvalidArgument
from ohmesh.protocols.consensus.raft.configuration import (
    Configuration,
    Verdict,
    decode_configuration,
    encode_configuration,
)

MEMBERS = ("a", "b", "c", "d", "e")
some = st.sets(st.sampled_from(MEMBERS)).map(lambda each: tuple(sorted(each)))
configurations = st.builds(Configuration, some.filter(bool), some, some)


def is_majority(members: set[str], voters: tuple[str, ...]) -> bool:
    return not voters or 2 * len(members & set(voters)) > len(voters)


@given(configurations, st.dictionaries(st.sampled_from(MEMBERS), st.booleans()))
def test_an_election_is_open_as_long_as_it_can_still_go_either_way(
    configuration: Configuration, votes: dict[str, bool]
) -> None:
    silent = [each for each in MEMBERS if each not in votes]
    ends = set()
    for answers in itertools.product((True, False), repeat=len(silent)):
        all_votes = {**votes, **dict(zip(silent, answers, strict=True))}
        granted = {each for each, vote in all_votes.items() if vote}
        ends.add(is_majority(granted, configuration.voters) and is_majority(granted, configuration.outgoing))
    verdict = configuration.verdict(votes)
    assert verdict is (Verdict.OPEN if len(ends) == 2 else Verdict.WON if True in ends else Verdict.LOST)


@given(configurations, st.dictionaries(st.sampled_from(MEMBERS), st.integers(1, 9)))
def test_the_agreed_index_is_the_highest_that_a_majority_of_each_set_has(
    configuration: Configuration, match: dict[str, int]
) -> None:
    held = [
        index
        for index in range(10)
        if all(
            is_majority({each for each in MEMBERS if match.get(each, 0) >= index}, voters)
            for voters in (configuration.voters, configuration.outgoing)
        )
    ]
    assert configuration.agreed_index(match) == max(held)


@given(some.filter(bool), some.filter(bool))
def test_the_joint_configuration_needs_both_and_the_settled_one_the_new(
    before: tuple[str, ...], after: tuple[str, ...]
) -> None:
    joint = Configuration(before).towards(after, ())
    assert joint.is_joint
    assert joint.settled() == Configuration(after)
    assert set(joint.everybody) == {*before, *after}
    assert decode_configuration(encode_configuration(joint)) == joint


def test_a_group_without_voters_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="without voters"):
        Configuration(("a",)).towards((), ("b",))


def test_a_member_is_voter_or_learner() -> None:
    with pytest.raises(InvalidArgument, match="b cannot be voter and learner"):
        Configuration(("a",)).towards(("a", "b"), ("b",))
