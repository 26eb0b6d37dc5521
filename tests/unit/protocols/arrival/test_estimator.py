"""The learnt arrival model: prior, shrinkage, shocks, calibration, and whatever absurd it is told."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import InvalidArgument
from ohmesh.protocols.arrival import prior
from ohmesh.protocols.arrival.calibration import CalibrationConfig
from ohmesh.protocols.arrival.estimator import ArrivalEstimator, EstimatorConfig, Observed
from tests.unit.protocols.arrival.fleet_delays import (
    CLASSES,
    EDGE,
    HUMAN,
    PERSISTENT,
    SERVERLESS,
    heavy_tailed,
    new_fleet,
    observe_frames,
)

ALL = np.arange(40)


def test_without_samples_a_lead_is_the_prior() -> None:
    estimator = ArrivalEstimator(3, CLASSES)
    estimator.enrol([0, 1], [EDGE, HUMAN])
    estimator.enrol([2], [PERSISTENT], prior_ms=[prior.lead_ms(200.0, 40.0, 0.25)])
    for hit_rate in (0.5, 0.95, 0.995):
        assert estimator.lead_ms([0, 1, 2], hit_rate).tolist() == [10, 60_000, 230]


def test_heavier_work_scales_the_lead_as_the_prior_does() -> None:
    estimator = ArrivalEstimator(1, CLASSES)
    estimator.enrol([0], [EDGE])
    scale = prior.work_scale(prior.processing_ms(10.0, 2, 10), 10.0)
    assert estimator.lead_ms([0], 0.95, scale).tolist() == [40]


def test_samples_of_heavier_work_teach_what_work_at_rest_takes() -> None:
    heavy, light, rng = new_fleet(), new_fleet(), random.Random(1)
    for _ in range(30):
        delays_ms = heavy_tailed(rng, 40)
        light.observe(ALL, delays_ms)
        heavy.observe(ALL, delays_ms * 3, 3.0)
    assert heavy.lead_ms(ALL, 0.95).tolist() == pytest.approx(light.lead_ms(ALL, 0.95).tolist(), rel=1e-5)


def test_the_promised_hit_rate_holds() -> None:
    estimator, rng = new_fleet(), random.Random(2)
    observe_frames(estimator, 40, rng)
    assert observe_frames(estimator, 150, rng) == pytest.approx(0.95, abs=0.012)


def test_the_promised_hit_rate_holds_again_after_the_world_has_shifted() -> None:
    estimator, rng = new_fleet(), random.Random(3)
    observe_frames(estimator, 60, rng)
    assert observe_frames(estimator, 2, rng, factor=3.0) < 0.9
    observe_frames(estimator, 40, rng, factor=3.0)
    assert observe_frames(estimator, 150, rng, factor=3.0) == pytest.approx(0.95, abs=0.015)


def test_a_probability_is_as_often_true_as_it_says() -> None:
    estimator, rng = new_fleet(), random.Random(4)
    observe_frames(estimator, 60, rng)
    promised, kept = 0.0, 0
    for _ in range(150):
        budgets = np.array([rng.uniform(50, 400) for _ in ALL])
        promised += estimator.probability_within(ALL, budgets).sum()
        delays_ms = heavy_tailed(rng, 40)
        kept += int((delays_ms <= budgets).sum())
        estimator.observe(ALL, delays_ms)
    assert kept / (150 * 40) == pytest.approx(promised / (150 * 40), abs=0.015)


def test_a_probability_is_the_inverse_of_a_lead() -> None:
    estimator = new_fleet()
    observe_frames(estimator, 40, random.Random(5))
    for hit_rate in (0.5, 0.9, 0.95, 0.98):
        leads = estimator.lead_ms(ALL, hit_rate)
        assert estimator.probability_within(ALL, leads + 1e-6).tolist() == pytest.approx(
            [hit_rate] * 40, abs=0.01
        )


def test_an_agent_with_few_samples_has_the_tail_of_its_neighbours() -> None:
    estimator, rng = new_fleet(41), random.Random(6)
    for _ in range(60):
        estimator.observe(ALL, heavy_tailed(rng, 40))
    estimator.observe([40, 40, 40], [100.0, 101.0, 102.0])
    assert estimator.lead_ms([40], 0.95)[0] > 150


def test_an_agent_with_many_samples_has_its_own_tail() -> None:
    config = EstimatorConfig(own_share=0.97)
    estimator, rng = new_fleet(config=config), random.Random(7)
    for _ in range(100):
        delays_ms = heavy_tailed(rng, 40)
        delays_ms[0] = 100 + rng.random()
        estimator.observe(ALL, delays_ms)
    assert estimator.lead_ms([0], 0.9)[0] < 105
    assert estimator.lead_ms([30], 0.9)[0] > 150


def test_a_newcomer_is_expected_as_newcomers_before_it_were() -> None:
    estimator = new_fleet()
    others = ALL[1:]
    estimator.observe(others, np.full(39, 200.0))
    assert estimator.lead_ms([0], 0.5)[0] == pytest.approx(200, rel=0.15)


def test_a_shock_of_the_neighbourhood_is_answered_within_one_frame_and_passes() -> None:
    estimator, rng = new_fleet(), random.Random(8)
    observe_frames(estimator, 60, rng)
    calm = estimator.lead_ms(ALL, 0.95)
    estimator.observe(ALL[:7], 5_000 + heavy_tailed(rng, 40)[:7])
    shocked = estimator.lead_ms(ALL, 0.95)
    assert (shocked[7:10] > 1_000).all()
    assert (shocked[10:] < calm[10:] * 1.5).all()
    for _ in range(3):
        estimator.observe(ALL[:10], heavy_tailed(rng, 40)[:10])
    assert (estimator.lead_ms(ALL, 0.95)[7:10] < 1_000).all()


def test_a_repeated_value_is_expected_again_and_teaches_nothing() -> None:
    estimator, told_once, rng = new_fleet(), new_fleet(), random.Random(9)
    for _ in range(30):
        delays_ms = heavy_tailed(rng, 40)
        told_once.observe(ALL, delays_ms)
        for _ in range(5):
            estimator.observe(ALL, delays_ms)
    assert (estimator.pools[0].counts == told_once.pools[0].counts).all()
    estimator.observe(ALL, delays_ms + 1)
    assert estimator.lead_ms(ALL, 0.9).tolist() == pytest.approx((delays_ms + 1).tolist(), rel=1e-5)
    assert estimator.agents.samples.tolist() == [31] * 40


def test_many_rows_are_asked_as_one_by_one() -> None:
    estimator = new_fleet()
    observe_frames(estimator, 20, random.Random(10))
    together = estimator.lead_ms(ALL, 0.95)
    assert together.tolist() == [float(estimator.lead_ms([row], 0.95)[0]) for row in ALL]


def test_a_frame_is_learnt_as_its_samples_one_by_one() -> None:
    together, alone, rng = new_fleet(), new_fleet(), random.Random(11)
    for _ in range(20):
        delays_ms = heavy_tailed(rng, 40)
        together.observe(ALL, delays_ms)
        for row in ALL:
            alone.observe([row], delays_ms[row : row + 1])
    for name, column in together.agents.columns().items():
        assert column.tolist() == alone.agents.columns()[name].tolist(), name


def test_samples_of_one_agent_in_a_frame_are_taken_in_their_order() -> None:
    together, alone = new_fleet(), new_fleet()
    delays_ms = [90.0, 100.0, 110.0, 95.0]
    assert together.observe([3, 3, 5, 3], delays_ms) == Observed(4, 0)
    for row, delay_ms in zip([3, 3, 5, 3], delays_ms, strict=True):
        alone.observe([row], [delay_ms])
    assert together.agents.centre_ms.tolist() == alone.agents.centre_ms.tolist()


def test_of_too_many_samples_of_one_agent_the_latest_are_taken() -> None:
    estimator = new_fleet(config=EstimatorConfig(max_samples_of_one=3))
    assert estimator.observe([0] * 5, [1.0, 2.0, 70.0, 80.0, 90.0]) == Observed(3, 2)
    assert estimator.agents.centre_ms[0] == 80


@pytest.mark.parametrize(
    ("delay_ms", "scale"),
    [(float("nan"), 1.0), (float("inf"), 1.0), (-1.0, 1.0), (1.0, 0.0), (1.0, float("nan")), (1.0, -2.0)],
)
def test_what_cannot_be_a_delay_is_refused(delay_ms: float, scale: float) -> None:
    estimator = new_fleet()
    assert estimator.observe([0, 1], [delay_ms, 80.0], [scale, 1.0]) == Observed(1, 1)
    assert estimator.agents.samples[:2].tolist() == [0, 1]


def test_what_can_hardly_be_a_delay_is_clipped() -> None:
    estimator = new_fleet()
    assert estimator.observe([0, 1], [0.0, 1e300]) == Observed(2, 0)
    assert estimator.agents.last_ms[:2].tolist() == pytest.approx([1e-3, 86_400_000])


@given(
    st.lists(
        st.tuples(
            st.integers(0, 11),
            st.floats(allow_nan=True, allow_infinity=True) | st.floats(0, 1e4),
            st.floats(1e-300, 1e300) | st.just(1.0),
        ),
        max_size=60,
    ),
    st.floats(0.001, 0.999),
)
def test_whatever_is_observed_every_lead_is_a_time(samples: list[Any], hit_rate: float) -> None:
    estimator = new_fleet(12)
    for start in range(0, len(samples), 7):
        frame = samples[start : start + 7]
        estimator.observe(*(np.array(column) for column in zip(*frame, strict=True)))
    rows = np.arange(12)
    leads = estimator.lead_ms(rows, hit_rate)
    assert (np.isfinite(leads) & (leads >= 0)).all()
    within = estimator.probability_within(rows, np.array([0.0, 1e-9, 50, 1e5, 1e300, np.inf] * 2))
    assert ((within >= 0) & (within <= 1)).all()


def test_leads_rise_with_the_hit_rate() -> None:
    estimator = new_fleet()
    observe_frames(estimator, 30, random.Random(12))
    leads = [estimator.lead_ms(ALL, hit_rate) for hit_rate in (0.1, 0.5, 0.8, 0.95, 0.99, 0.999)]
    assert (np.diff(leads, axis=0) >= -1e-6).all()


def test_merged_estimators_know_what_both_knew() -> None:
    one, other, rng = new_fleet(), new_fleet(), random.Random(13)
    for _ in range(40):
        delays_ms = heavy_tailed(rng, 40)
        one.observe(ALL[:20], delays_ms[:20])
        other.observe(ALL[20:], delays_ms[20:])
    known = one.lead_ms(ALL[:20], 0.95), other.lead_ms(ALL[20:], 0.95)
    one.merge(other)
    assert one.lead_ms(ALL, 0.95).tolist() == pytest.approx(np.concatenate(known).tolist(), rel=0.2)
    with pytest.raises(InvalidArgument):
        one.merge(new_fleet(41))


def test_an_empty_estimator_that_is_merged_into_says_what_the_other_says() -> None:
    learnt, empty = new_fleet(), new_fleet()
    observe_frames(learnt, 40, random.Random(16))
    empty.merge(learnt)
    assert empty.calibration.asked.tolist() == learnt.calibration.asked.tolist()
    assert empty.lead_ms(ALL, 0.95).tolist() == pytest.approx(learnt.lead_ms(ALL, 0.95).tolist(), rel=0.01)


def test_who_joins_at_a_row_inherits_nothing() -> None:
    estimator = new_fleet()
    observe_frames(estimator, 30, random.Random(14))
    estimator.enrol([0], [HUMAN], neighbourhoods=[[3]])
    assert estimator.lead_ms([0], 0.95).tolist() == [60_000]


@pytest.mark.parametrize(
    "arguments",
    [
        {"class_codes": 6},
        {"class_codes": -1},
        {"class_codes": EDGE, "neighbourhoods": ()},
        {"class_codes": EDGE, "neighbourhoods": [[0, 0]]},
        {"class_codes": EDGE, "neighbourhoods": [[4]]},
        {"class_codes": EDGE, "neighbourhoods": [[-1]]},
        {"class_codes": EDGE, "neighbourhoods": [[0]], "prior_ms": 0.0},
        {"class_codes": EDGE, "neighbourhoods": [[0]], "prior_ms": float("nan")},
    ],
)
def test_who_cannot_be_placed_is_not_enrolled(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        new_fleet().enrol([0], **({"neighbourhoods": [[0]]} | arguments))


@pytest.mark.parametrize("hit_rate", [0.0, 1.0, -0.1, float("nan")])
def test_a_hit_rate_that_cannot_be_kept_is_refused(hit_rate: float) -> None:
    with pytest.raises(InvalidArgument):
        new_fleet().lead_ms([0], hit_rate)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_a_scale_that_is_none_is_refused(scale: float) -> None:
    with pytest.raises(InvalidArgument):
        new_fleet().lead_ms([0], 0.95, scale)


@pytest.mark.parametrize(
    "settings",
    [
        {"window": 0},
        {"window": 256},
        {"own_share": 0.99},
        {"memories": (0.0,)},
        {"least_rate": 0.0},
        {"max_samples_of_one": 0},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        EstimatorConfig(**settings)


def test_calibration_can_be_switched_off() -> None:
    config = EstimatorConfig(calibration=CalibrationConfig(rate=0.0))
    estimator = new_fleet(config=config)
    observe_frames(estimator, 30, random.Random(15))
    assert estimator.calibration.to_ask(0.95)[SERVERLESS] == pytest.approx(0.95)
