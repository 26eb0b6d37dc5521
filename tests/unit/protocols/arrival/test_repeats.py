"""Values that are told again."""

from __future__ import annotations

import numpy as np
import pytest

from ohmesh.protocols.arrival.repeats import LONGEST_RUN, Repeats


def timer(period: int, rounds: int) -> Repeats:
    """Of class 1, a probe that measures each `period` slices and is repeated in between."""
    repeats = Repeats(2)
    codes = np.ones(100, np.uint8)
    for _ in range(rounds):
        for run in range(period):
            repeats.learn(codes, np.full(100, run, np.uint8), np.full(100, run < period - 1))
    return repeats


def test_a_probe_on_a_timer_is_due_after_its_period() -> None:
    runs = np.arange(5, dtype=np.uint8)
    chances = timer(5, 20).chances(np.ones(5, np.uint8), runs)
    assert (chances[:4] > 0.95).all()
    assert chances[4] == 0


def test_a_class_that_never_repeats_is_not_expected_to() -> None:
    assert timer(5, 20).chances(np.zeros(1, np.uint8), np.array([LONGEST_RUN], np.uint8)).tolist() == [0]


def test_a_new_habit_replaces_the_old_one() -> None:
    repeats = timer(5, 20)
    for _ in range(300):
        repeats.learn(np.ones(100, np.uint8), np.zeros(100, np.uint8), np.zeros(100, bool))
    assert repeats.chances(np.ones(1, np.uint8), np.zeros(1, np.uint8))[0] < 0.01


def test_chances_stay_below_one() -> None:
    repeats = Repeats(1)
    for _ in range(200):
        repeats.learn(np.zeros(1_000, np.uint8), np.zeros(1_000, np.uint8), np.ones(1_000, bool))
    assert repeats.chances(np.zeros(1, np.uint8), np.zeros(1, np.uint8))[0] < 1


def test_merged_counts_keep_the_chances() -> None:
    one, runs = timer(5, 20), np.arange(5, dtype=np.uint8)
    before = one.chances(np.ones(5, np.uint8), runs)
    one.merge(timer(5, 20))
    assert one.chances(np.ones(5, np.uint8), runs).tolist() == pytest.approx(before.tolist(), abs=0.02)
