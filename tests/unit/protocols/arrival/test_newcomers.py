"""How far priors held for the newcomers before."""

from __future__ import annotations

import numpy as np
import pytest

from ohmesh.protocols.arrival.newcomers import RatioMeans

FIRST = np.array([0])


def taught(ratio: float, count: int) -> RatioMeans:
    means = RatioMeans(2)
    means.learn(np.zeros(count, np.intp), np.full(count, ratio))
    return means


def test_without_newcomers_the_prior_stands() -> None:
    assert RatioMeans(2).shrunk(FIRST).tolist() == [0]


def test_few_are_believed_half_and_many_wholly() -> None:
    assert np.exp(taught(4.0, 3).shrunk(FIRST))[0] == pytest.approx(2)
    assert np.exp(taught(4.0, 900).shrunk(FIRST))[0] == pytest.approx(4, rel=0.01)


def test_few_are_shrunk_towards_their_class() -> None:
    assert np.exp(taught(1.0, 3).shrunk(FIRST, np.array([np.log(4.0)])))[0] == pytest.approx(2)


def test_one_absurd_ratio_is_cut() -> None:
    assert taught(1e300, 1).shrunk(FIRST)[0] < np.log(10)


def test_newer_ones_replace_older_ones() -> None:
    means = taught(4.0, 1_000)
    for _ in range(50):
        means.learn(np.zeros(100, np.intp), np.ones(100))
    assert np.exp(means.shrunk(FIRST))[0] < 1.1


def test_merged_means_weigh_by_newcomers() -> None:
    means = taught(1.0, 100)
    means.merge(taught(4.0, 300))
    assert means.total[0] / means.weight[0] == pytest.approx(0.75 * np.log(4.0))
