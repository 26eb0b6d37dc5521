"""Histograms that forget by samples."""

from __future__ import annotations

import numpy as np
import pytest

from ohmesh.protocols.arrival.fading_histograms import FadingHistograms


def taught(*frames: tuple[int, int, int], memories: tuple[float, ...] = (4.0, 1_000.0)) -> FadingHistograms:
    """Frames of (key, cell, how many)."""
    pool = FadingHistograms(3, memories, strength=3.0)
    for key, cell, count in frames:
        pool.learn(np.full(count, key), np.full(count, cell))
    return pool


def test_few_samples_weigh_less_than_one() -> None:
    pool = taught((1, 20, 3), memories=(1_000.0,))
    assert pool.mixture[1, 20] == pytest.approx(0.5, abs=0.001)
    assert pool.mixture[1].sum() == pytest.approx(0.5, abs=0.001)
    assert not pool.mixture[0].any()


def test_many_samples_weigh_nearly_one() -> None:
    assert taught((1, 20, 10_000), memories=(1_000.0,)).mixture[1, 20] == pytest.approx(1, abs=0.01)


def test_a_frame_counts_as_if_its_samples_had_come_one_by_one() -> None:
    together, alone = taught((0, 20, 100)), taught(*[(0, 20, 1)] * 100)
    assert together.counts.sum(axis=(1, 2)).tolist() == pytest.approx(
        alone.counts.sum(axis=(1, 2)).tolist(), rel=0.15
    )


def test_the_short_memory_turns_to_a_shock_at_once_and_back_again() -> None:
    pool = taught((0, 20, 500), (0, 60, 15))
    shocked = pool.mixture[0, 60]
    pool.learn(np.zeros(15, np.intp), np.full(15, 20))
    assert shocked > 0.25
    assert pool.mixture[0, 60] < shocked / 10


def test_a_frame_of_nobody_changes_nothing() -> None:
    pool = taught((0, 20, 5))
    before = pool.mixture.copy()
    pool.learn(np.empty(0, np.intp), np.empty(0, np.intp))
    assert (pool.mixture == before).all()


def test_merged_histograms_hold_what_both_saw_and_no_more_than_the_memory() -> None:
    pool = taught((0, 20, 30), memories=(100.0,))
    pool.merge(taught((0, 30, 30), (1, 40, 5_000), memories=(100.0,)))
    assert pool.mixture[0, 20] == pytest.approx(pool.mixture[0, 30])
    assert pool.counts[0, 1].sum() == pytest.approx(100)
