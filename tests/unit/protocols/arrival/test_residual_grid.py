"""Cells of residuals, and the two ways through a cumulated row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.protocols.arrival.residual_grid import CELLS, EDGES, cells_of, quantiles, shares_below

WEIGHTS = st.lists(st.integers(0, 20), min_size=CELLS, max_size=CELLS).filter(any)


def cumulated(weights: list[int]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    mass = np.cumsum(np.array([weights], np.float32), axis=1)
    return np.asarray(mass / mass[:, -1:], np.float32)


def test_a_residual_on_an_edge_lies_below_it() -> None:
    assert cells_of(EDGES).tolist() == list(range(CELLS - 1))
    assert cells_of([-1e12, 0.0, 1e-9, 1e12]).tolist() == [0, 16, 17, CELLS - 1]


def test_cells_are_narrow_near_zero_and_in_equal_ratios_far_from_it() -> None:
    above = EDGES[EDGES > 0]
    assert above[0] < 0.3
    assert (above[21:] / above[20:-1]).tolist() == pytest.approx([np.exp(0.25)] * len(above[21:]), rel=1e-3)


@given(WEIGHTS, st.floats(0.001, 0.999))
def test_a_quantile_is_the_inverse_of_a_share(weights: list[int], share: float) -> None:
    row = cumulated(weights)
    residual = quantiles(row, np.array([share]))
    assert shares_below(row, residual)[0] == pytest.approx(share, abs=1e-4)


@given(WEIGHTS, st.floats(-1e5, 1e5), st.floats(0, 1e5))
def test_shares_rise_from_nothing_to_all(weights: list[int], residual: float, further: float) -> None:
    row = cumulated(weights)
    near, far = (shares_below(row, np.array([one]))[0] for one in (residual, residual + further))
    assert 0 <= near <= far <= 1
    assert shares_below(row, np.array([1e12]))[0] == pytest.approx(1)
