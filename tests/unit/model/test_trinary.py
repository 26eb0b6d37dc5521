"""The algebra of READY, TRANSIT and CONFLICT."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import InvalidArgument
from ohmesh.model.trinary import Trinary, consensus

STATES = st.sampled_from(Trinary)


@given(STATES, STATES, STATES)
def test_and_is_the_least_and_or_the_greatest(a: Trinary, b: Trinary, c: Trinary) -> None:
    assert a & b & c is Trinary(min(a, b, c))
    assert a | b | c is Trinary(max(a, b, c))
    assert a & (a | b) is a


@pytest.mark.parametrize(
    ("states", "weights", "found"),
    [
        ([], None, Trinary.TRANSIT),
        ([1, 1, -1], None, Trinary.READY),
        ([1, -1], None, Trinary.TRANSIT),
        ([1, -1], [1.0, 3.0], Trinary.CONFLICT),
        ([0, 0, 1], None, Trinary.READY),
    ],
)
def test_consensus_is_the_sign_of_the_weighted_mean(
    states: list[int], weights: list[float] | None, found: Trinary
) -> None:
    assert consensus(states, weights) is found


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0]])
def test_weights_that_do_not_fit_are_refused(weights: list[float]) -> None:
    with pytest.raises(InvalidArgument, match="as many weights"):
        consensus([1, 1], weights)
