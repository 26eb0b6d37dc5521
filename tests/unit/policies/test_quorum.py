"""The quorum of three states: every published vector, the boundaries from both sides, what is recommended."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import InvalidArgument
from ohmesh.policies.quorum import QuorumConfig, QuorumDecision, Recommendation, decide_quorum

PROCEED, WAIT = QuorumDecision.PROCEED, QuorumDecision.WAIT
RESOLVE, RETRY = QuorumDecision.RESOLVE_CONFLICTS, QuorumDecision.RETRY
COUNT = st.integers(0, 40_000)


@pytest.mark.parametrize(
    ("ready", "conflict", "transit", "decision", "confidence"),
    [
        (95, 5, 0, PROCEED, 0.925),
        (97, 1, 2, PROCEED, 0.965),
        (100, 0, 0, PROCEED, 1.0),
        (94, 0, 6, RETRY, None),
        (90, 5, 5, RETRY, None),
        (80, 0, 20, WAIT, None),
        (85, 10, 5, RESOLVE, None),
        (0, 0, 0, WAIT, 0.0),
    ],
)
def test_the_published_vectors(
    ready: int, conflict: int, transit: int, decision: QuorumDecision, confidence: float | None
) -> None:
    result = decide_quorum(ready, conflict, transit)
    assert result.decision is decision
    if confidence is not None:
        assert result.confidence == confidence


@pytest.mark.parametrize(
    ("ready", "conflict", "transit", "decision"),
    [
        (28_500, 0, 1_500, PROCEED),
        (28_499, 0, 1_501, RETRY),
        (28_499, 1_501, 0, RESOLVE),
        (28_499, 1_500, 1, RETRY),
        (27_000, 0, 3_000, RETRY),
        (26_999, 0, 3_001, WAIT),
        (25_499, 1_501, 3_000, RESOLVE),
        (25_500, 1_500, 3_000, RETRY),
        (0, 26_999, 3_001, WAIT),  # while many are silent, conflicts are not counted up
        (0, 27_000, 3_000, RESOLVE),
        (0, 0, 1, WAIT),
        (0, 1, 0, RESOLVE),
        (1, 0, 0, PROCEED),
        (19, 0, 1, PROCEED),
        (18, 1, 0, RESOLVE),
    ],
)
def test_every_boundary_from_both_sides(
    ready: int, conflict: int, transit: int, decision: QuorumDecision
) -> None:
    assert decide_quorum(ready, conflict, transit).decision is decision


@pytest.mark.parametrize(
    ("counts", "recommended"),
    [
        ((95, 5, 0), ()),
        ((0, 0, 0), ()),
        ((80, 0, 20), (Recommendation.EXTEND_WINDOW,)),
        ((70, 10, 20), (Recommendation.EXTEND_WINDOW, Recommendation.RESOLVE_CONFLICTS)),
        ((90, 10, 0), (Recommendation.RESOLVE_CONFLICTS,)),
        ((85, 10, 5), (Recommendation.RESOLVE_CONFLICTS, Recommendation.RETRY_WITH_NEW_LEADS)),
        ((94, 0, 6), (Recommendation.RETRY_WITH_NEW_LEADS, Recommendation.EXTEND_WINDOW)),
    ],
)
def test_what_is_recommended(counts: tuple[int, int, int], recommended: tuple[Recommendation, ...]) -> None:
    assert decide_quorum(*counts).recommendations == recommended


@given(COUNT, COUNT, COUNT)
def test_missing_is_what_has_to_be_ready_more_and_not_one_more(
    ready: int, conflict: int, transit: int
) -> None:
    result = decide_quorum(ready, conflict, transit)
    asked = ready + conflict + transit
    assert 0 <= result.confidence <= 1
    assert (result.missing == 0) == (result.decision is PROCEED or not asked)
    if result.missing:
        reached = ready + result.missing
        assert decide_quorum(reached, 0, asked - reached).decision is PROCEED
        assert decide_quorum(reached - 1, 0, asked - reached + 1).decision is not PROCEED


@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 100), st.integers(2, 300))
def test_a_larger_fleet_of_the_same_rates_decides_the_same(
    ready: int, conflict: int, transit: int, times: int
) -> None:
    small = decide_quorum(ready, conflict, transit)
    large = decide_quorum(ready * times, conflict * times, transit * times)
    assert large.decision is small.decision


def test_rates_of_ones_own() -> None:
    config = QuorumConfig(ready=0.5, transit=0.0, conflict=0.0)
    assert decide_quorum(1, 1, 0, config).decision is PROCEED
    assert decide_quorum(1, 1, 1, config).decision is WAIT
    assert decide_quorum(1, 2, 0, config).decision is RESOLVE


@pytest.mark.parametrize("wrong", [{"ready": 0}, {"ready": 1.1}, {"transit": 1}, {"conflict": -0.1}])
def test_rates_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match="make no quorum"):
        QuorumConfig(**wrong)


def test_a_number_below_zero_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="below zero"):
        decide_quorum(1, -1, 0)
