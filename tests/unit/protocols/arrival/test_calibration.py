"""A wanted hit rate is kept whatever the forecast does."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import InvalidArgument
from ohmesh.protocols.arrival.calibration import LEVELS, Calibration, CalibrationConfig

FRAME = 100


def hits_under(calibration: Calibration, distort: float, frames: int, rng: random.Random) -> float:
    """The hit rate at 0.95 of a forecast that says share u where the truth is u ** distort, learning frame by frame."""
    hits = 0
    codes = np.zeros(FRAME, np.uint8)
    for _ in range(frames):
        asked = calibration.to_ask(0.95)[0]
        shares = np.array([rng.random() ** distort for _ in range(FRAME)])
        hits += int((shares <= asked).sum())
        calibration.learn(codes, shares)
    return hits / (frames * FRAME)


@pytest.mark.parametrize("distort", [0.3, 1.0, 3.0])
def test_the_hit_rate_comes_to_what_is_wanted(distort: float) -> None:
    rng = random.Random(1)
    calibration = Calibration(1, CalibrationConfig())
    hits_under(calibration, distort, 100, rng)
    assert hits_under(calibration, distort, 200, rng) == pytest.approx(0.95, abs=0.005)


def test_the_hit_rate_holds_when_the_world_shifts() -> None:
    rng = random.Random(2)
    calibration = Calibration(1, CalibrationConfig())
    hits_under(calibration, 1.0, 100, rng)
    shifted = hits_under(Calibration(1, CalibrationConfig(rate=0.0)), 0.3, 200, rng)
    assert shifted < 0.9
    assert hits_under(calibration, 0.3, 200, rng) == pytest.approx(0.95, abs=0.01)


def test_a_class_that_was_not_heard_of_is_asked_for_what_is_wanted() -> None:
    calibration = Calibration(2, CalibrationConfig())
    hits_under(calibration, 3.0, 50, random.Random(3))
    assert calibration.to_ask(0.95)[1] == pytest.approx(0.95)
    assert calibration.to_ask(0.95)[0] < 0.9


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.floats(0.01, 0.995))
def test_a_promise_is_the_inverse_of_what_is_asked(shares: list[float], hit_rate: float) -> None:
    calibration = Calibration(1, CalibrationConfig())
    for share in shares:
        calibration.learn(np.zeros(50, np.uint8), np.full(50, share))
    asked = calibration.to_ask(hit_rate)
    assert 0 < asked[0] < 1
    assert calibration.to_promise(np.zeros(1, np.uint8), asked)[0] >= hit_rate - 1e-9


def test_what_is_asked_stays_in_bounds_under_endless_misses_and_hits() -> None:
    for share in (0.0, 1.0):
        calibration = Calibration(1, CalibrationConfig())
        for _ in range(500):
            calibration.learn(np.zeros(1_000, np.uint8), np.full(1_000, share))
        assert (calibration.asked[0] >= LEVELS / 2).all()
        assert (calibration.asked[0] < 1).all()


def test_merged_calibrations_weigh_by_samples() -> None:
    heard, unheard = Calibration(1, CalibrationConfig()), Calibration(1, CalibrationConfig())
    hits_under(heard, 3.0, 50, random.Random(4))
    unheard.merge(heard)
    assert unheard.asked.tolist() == heard.asked.tolist()


@pytest.mark.parametrize("given_", [{"rate": -0.1}, {"rate": 1.1}, {"samples": 0.0}, {"rate": float("nan")}])
def test_settings_that_make_no_sense_are_refused(given_: dict[str, float]) -> None:
    with pytest.raises(InvalidArgument):
        CalibrationConfig(**given_)
