"""Repetition or new value, known residuals or a guess."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.protocols.arrival.delay_forecast import DelayForecast
from ohmesh.protocols.arrival.residual_grid import CELLS, cells_of

ONE = np.ones(1)


def forecast(again: float = 0.0, last_ms: float = 120.0, *, is_known: bool = True) -> DelayForecast:
    """New delays lie between 100 and 300 ms: half in a cell near 100, half near 300."""
    mass = np.zeros((1, CELLS), np.float32)
    mass[0, cells_of(1.0)] = mass[0, cells_of(200.0)] = 0.5
    return DelayForecast(
        centre_ms=100 * ONE,
        spread_ms=10 * ONE,
        unit_ms=ONE,
        cumulated=np.cumsum(mass, axis=1),
        is_known=np.array([is_known]),
        last_ms=last_ms * ONE,
        again=again * ONE,
    )


def quantile(of: DelayForecast, share: float) -> float:
    return float(of.quantile_ms(np.array([share]))[0])


def test_without_repetitions_the_quantile_is_that_of_new_values() -> None:
    assert quantile(forecast(), 0.4) == pytest.approx(101, abs=0.3)
    assert quantile(forecast(), 0.9) == pytest.approx(300, rel=0.1)


def test_a_likely_repetition_draws_the_quantile_to_the_last_value() -> None:
    held = forecast(again=0.9)
    assert [quantile(held, share) for share in (0.2, 0.5, 0.94)] == [120, 120, 120]
    assert quantile(held, 0.97) == pytest.approx(300, rel=0.1)


def test_the_last_value_itself_lies_within_and_not_below() -> None:
    held = forecast(again=0.9)
    assert held.share(120 * ONE)[0] - held.share(120 * ONE, below=True)[0] == pytest.approx(0.9)


def test_after_one_value_the_rest_is_guessed_as_tcp_does() -> None:
    guess = forecast(last_ms=100.0, is_known=False)
    assert quantile(guess, 0.95) == pytest.approx(300)
    assert quantile(guess, 0.5) == pytest.approx(100)
    assert guess.share(300 * ONE)[0] == pytest.approx(0.95)


def test_before_the_first_value_the_prior_stands_for_any_share() -> None:
    prior = forecast(last_ms=0.0, is_known=False)
    assert [quantile(prior, share) for share in (0.01, 0.5, 0.995)] == [100, 100, 100]
    assert (prior.share(100 * ONE)[0], prior.share(99.9 * ONE)[0]) == (1, 0)


@given(st.floats(0, 0.99), st.floats(0, 400), st.floats(0.01, 0.99), st.floats(0, 0.9))
def test_quantiles_rise_and_hold_their_share(
    again: float, last_ms: float, share: float, further: float
) -> None:
    one = forecast(again if last_ms else 0.0, last_ms)
    value = quantile(one, share)
    assert value <= quantile(one, share + (0.99 - share) * further) + 1e-6
    assert one.share(np.array([value + 1e-3]))[0] >= share - 1e-3
