"""Sizes of committees: f = floor((n - 1) / 3), quorum ceil((n + f + 1) / 2)."""

from __future__ import annotations

import math

import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.protocols.consensus.pbft.settings import PbftSettings, check_members, faults_of, quorum_of


@pytest.mark.parametrize("members", range(4, 17))
def test_two_quorums_share_an_honest_member_and_the_honest_are_one(members: int) -> None:
    faults, quorum = faults_of(members), quorum_of(members)
    assert quorum == math.ceil((members + faults + 1) / 2)
    assert 2 * quorum - members > faults
    assert members - faults >= quorum


@pytest.mark.parametrize(
    "members", [("a", "b", "c"), tuple(str(at) for at in range(17)), ("a", "a", "b", "c")]
)
def test_a_committee_has_4_to_16_different_members(members: tuple[str, ...]) -> None:
    with pytest.raises(InvalidArgument, match="cannot agree by PBFT"):
        check_members(members)


def test_a_window_holds_two_checkpoints() -> None:
    with pytest.raises(InvalidArgument, match="does not fit a window of 16"):
        PbftSettings(checkpoint=16, window=16)
