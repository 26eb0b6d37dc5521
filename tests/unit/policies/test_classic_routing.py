"""The formula of the policy `classic`, with numbers worked out by hand."""

from __future__ import annotations

import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.policies.classic_routing import Candidate, ranked, score, smoothed_latency_ms


def test_the_average_moves_by_three_tenths_from_a_hundred() -> None:
    average: float | None = None
    found = []
    for sample_ms in (42.5, 15.0, 12.0):
        average = smoothed_latency_ms(average, sample_ms)
        found.append(average)
    assert found == pytest.approx([82.75, 62.425, 47.2975])


@pytest.mark.parametrize(
    ("candidate", "points"),
    [
        (Candidate("unknown", False), -100.0),
        (Candidate("specialist", True), 900.0),
        (Candidate("busy", True, 42.5, 3), 807.5),
        (Candidate("quick", False, 0.0, 0), 0.0),
        (Candidate("slow", True, 1_200.0, 0), -200.0),
    ],
)
def test_the_score_is_the_formula(candidate: Candidate, points: float) -> None:
    assert score(candidate) == pytest.approx(points)


def names(*candidates: Candidate) -> list[str]:
    return [one.node for one in ranked(candidates)]


def test_the_best_is_first_and_the_dead_are_left_out() -> None:
    assert names(
        Candidate("other", False, 10.0),
        Candidate("dead", True, 1.0, is_alive=False),
        Candidate("full", True, 50.0, 4),
        Candidate("free", True, 200.0),
    ) == ["free", "full", "other"]


def test_a_specialist_that_is_slow_enough_comes_after_others() -> None:
    assert names(Candidate("specialist", True, 1_051.0), Candidate("other", False, 50.0)) == [
        "other",
        "specialist",
    ]


def test_ties_go_to_the_first() -> None:
    assert names(Candidate("b", True), Candidate("a", True), Candidate("c", True)) == ["b", "a", "c"]


def test_no_candidate_is_no_error() -> None:
    assert names() == []


def test_a_latency_below_zero_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"-0\.1 ms"):
        smoothed_latency_ms(None, -0.1)
