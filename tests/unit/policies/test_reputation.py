"""Reputation: its steps, its bounds, and who is drawn."""

from __future__ import annotations

import numpy as np
import pytest

from ohmesh.policies.reputation import Regard, after, draw_weights, regard


def steps(start: float, successes: int = 0, failures: int = 0, timeouts: int = 0) -> float:
    columns = (np.array([count]) for count in (successes, failures, timeouts))
    return float(after(np.array([start]), *columns)[0])


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (steps(1.0, failures=1), 0.95),
        (steps(1.0, timeouts=1), 0.97),
        (steps(0.5, successes=1), 0.51),
        (steps(1.0, successes=5), 1.0),
        (steps(0.02, failures=1), 0.0),
    ],
)
def test_it_moves_by_what_happened_within_its_bounds(found: float, wanted: float) -> None:
    assert found == pytest.approx(wanted)


def test_ten_failures_are_the_bound_of_probation_and_fifteen_that_of_quarantine() -> None:
    failures = np.array([10, 11, 14, 15])
    none = np.zeros(4, np.int64)
    found = after(np.ones(4), none, failures, none)
    assert regard(found).tolist() == [Regard.TRUSTED, Regard.PROBATION, Regard.PROBATION, Regard.QUARANTINE]


def test_who_is_on_probation_is_drawn_less_and_who_is_in_quarantine_never() -> None:
    assert draw_weights(np.array([1.0, 0.5, 0.4, 0.2])).tolist() == [1.0, 0.5, 0.2, 0.0]
