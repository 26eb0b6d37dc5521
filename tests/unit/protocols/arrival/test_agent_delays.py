"""The usual delay of an agent."""

from __future__ import annotations

import random
import statistics

import numpy as np
import pytest

from ohmesh.protocols.arrival.agent_delays import EMPTY, AgentDelays
from ohmesh.protocols.arrival.residual_grid import cells_of

ROW = np.array([0])
UNIT = np.array([0.5])


def fed(*delays_ms: float, window: int = 4) -> AgentDelays:
    agents = AgentDelays(1, window=window, least_rate=0.02)
    for delay_ms in delays_ms:
        value = np.array([delay_ms])
        agents.learn(ROW, value, cells_of((value - agents.centre_ms) / UNIT), UNIT)
    return agents


@pytest.mark.parametrize(
    ("delays_ms", "centre_ms", "spread_ms"),
    [
        ([50.0], 50, 0),
        ([5_000.0, 50.0], 50, 4_950),
        ([5_000.0, 50.0, 60.0], 60, 10),
        ([50.0, 60.0, 5_000.0], 60, 10),
        ([60.0, 5_000.0, 50.0], 60, 10),
        ([60.0, 70.0, 20.0], 60, 10),
    ],
)
def test_one_bad_first_value_is_not_believed_for_long(
    delays_ms: list[float], centre_ms: float, spread_ms: float
) -> None:
    agents = fed(*delays_ms)
    assert (agents.centre_ms[0], agents.spread_ms[0]) == (centre_ms, spread_ms)


def test_the_centre_stays_near_the_median_of_heavy_tails() -> None:
    rng = random.Random(5)
    delays_ms = [rng.lognormvariate(4, 1) + 5_000 * (rng.random() < 0.03) for _ in range(400)]
    assert fed(*delays_ms).centre_ms[0] == pytest.approx(statistics.median(delays_ms), rel=0.25)


def test_the_centre_follows_a_shift() -> None:
    rng = random.Random(6)
    before = [100 + rng.random() * 20 for _ in range(100)]
    after = [300 + rng.random() * 20 for _ in range(300)]
    assert fed(*before, *after).centre_ms[0] == pytest.approx(310, abs=10)


def test_a_repeated_value_teaches_nothing_and_is_counted() -> None:
    agents = fed(50.0, 60.0, 70.0, 70.0, 70.0)
    assert (agents.samples[0], agents.run[0], agents.centre_ms[0]) == (3, 2, 60)
    assert fed(50.0, 60.0, 70.0, 70.0, 80.0).run[0] == 0


def test_a_run_is_counted_to_its_bound() -> None:
    assert fed(*[50.0] * 200).run[0] == 63


def test_the_window_is_a_ring_of_the_latest_residuals() -> None:
    agents = fed(50.0, 51.0, 52.0)
    assert (agents.window[0] == EMPTY).all()
    counts, held = fed(*(50.0 + step for step in range(9))).windows(ROW)
    assert (counts.sum(), held[0]) == (4, 4)


def test_what_is_forgotten_is_as_new() -> None:
    agents = fed(50.0, 60.0, 70.0, 90.0)
    agents.forget(ROW)
    assert (agents.samples[0], agents.last_ms[0], agents.centre_ms[0]) == (0, 0, 0)
    assert (agents.window == EMPTY).all()
