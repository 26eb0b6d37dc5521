"""On an excerpt of real delays (tests/data): the promised hit rate holds, for less than the quantiles of others."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.arrival import Trace, read_trace, replay, score
from benchmarks.arrival_forecasters import AdaptiveConformal, Ohmesh, RollingQuantile

SEATTLE = Path(__file__).resolve().parents[3] / "data" / "seattle_18_devices.npz"


@pytest.fixture(scope="module")
def trace() -> Trace:
    return read_trace(SEATTLE, drop_repeats=True)


@pytest.fixture(scope="module")
def ours(trace: Trace) -> dict[str, float]:
    return score(*replay(Ohmesh(trace.nodes), trace), trace)


def test_the_excerpt_is_what_it_says(trace: Trace) -> None:
    assert (trace.nodes, len(trace.slices), int(trace.is_scored.sum())) == (18, 344, 8_196)


def test_the_promised_hit_rate_holds_on_real_delays(ours: dict[str, float]) -> None:
    assert ours["hit_rate"] == pytest.approx(0.95, abs=0.005)


@pytest.mark.parametrize("length", [20, 50])
def test_rolling_quantiles_promise_too_much_and_cost_more(
    trace: Trace, ours: dict[str, float], length: int
) -> None:
    theirs = score(*replay(RollingQuantile(trace.nodes**2, length), trace), trace)
    assert theirs["hit_rate"] < 0.925
    assert ours["pinball_95"] < 0.92 * theirs["pinball_95"]


def test_adaptive_conformal_costs_more(trace: Trace, ours: dict[str, float]) -> None:
    theirs = score(*replay(AdaptiveConformal(trace.nodes**2), trace), trace)
    assert ours["pinball_95"] < 0.92 * theirs["pinball_95"]


def test_a_platform_that_repeats_its_values_is_seen_through(trace: Trace) -> None:
    repeating = read_trace(SEATTLE, drop_repeats=False)
    ours = score(*replay(Ohmesh(repeating.nodes), repeating), repeating)
    rolling = score(*replay(RollingQuantile(repeating.nodes**2, 20), repeating), repeating)
    assert ours["hit_rate"] == pytest.approx(0.95, abs=0.01)
    assert ours["pinball_95"] < 0.6 * rolling["pinball_95"]
