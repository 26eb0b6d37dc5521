"""When each target is asked: order, slices, and who is skipped with which times."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import InvalidArgument
from ohmesh.model.agent_class import STANDARD_CLASSES
from ohmesh.protocols.arrival import prior
from ohmesh.protocols.arrival.schedule import Schedule, ScheduleConfig, plan_releases
from ohmesh.protocols.arrival.target_state import Delivery, SkipReason

NOW = 1_700_000_000_000.0
T = NOW + 500
LATE, LONG = SkipReason.INSUFFICIENT_LEAD_TIME, SkipReason.LEAD_ABOVE_LIMIT


def releases(schedule: Schedule) -> list[tuple[float, list[int]]]:
    """Each slice: when, and who."""
    parts = zip(schedule.slices_ms.tolist(), schedule.bounds[:-1], schedule.bounds[1:], strict=True)
    return [(at_ms - NOW, sorted(schedule.order[begin:end].tolist())) for at_ms, begin, end in parts]


def test_each_leaves_at_t_minus_its_lead_the_longest_lead_first() -> None:
    schedule = plan_releases(np.array([40.0, 225.0, 10.0, 500.0]), T, NOW)
    assert releases(schedule) == [(0, [3]), (275, [1]), (460, [0]), (490, [2])]
    assert schedule.lead_ms.tolist() == [500, 225, 40, 10]
    assert set(schedule.deliveries.tolist()) == {Delivery.LEAD}
    assert len(schedule.skipped) == 0


def test_those_of_one_bucket_leave_together_with_the_earliest_of_them() -> None:
    leads = np.array([100.0, 95.0, 91.0, 90.0, 89.0])
    ten = plan_releases(leads, T, NOW, config=ScheduleConfig(bucket_ms=10))
    assert releases(ten) == [(400, [0, 1, 2]), (410, [3, 4])]
    fine = plan_releases(leads, T, NOW, config=ScheduleConfig(bucket_ms=0.25))
    assert releases(fine) == [(400, [0]), (405, [1]), (409, [2]), (410, [3]), (411, [4])]


@pytest.mark.parametrize(
    ("lead_ms", "left_ms", "limit_ms", "reason"),
    [
        (500.0, 500.0, 1_000.0, None),  # now is not past
        (500.001, 500.0, 1_000.0, LATE),
        (60_000.0, 500.0, 1_000.0, LATE),  # a person
        (1_000.0, 5_000.0, 1_000.0, None),
        (1_000.001, 5_000.0, 1_000.0, LONG),
        (60_000.0, 120_000.0, np.inf, None),  # the operation allows it
        (np.inf, 5_000.0, np.inf, LATE),
        (0.0, 0.0, 1_000.0, None),
        (0.0, -1.0, 1_000.0, LATE),
    ],
)
def test_who_is_skipped_is_told_what_was_needed_and_what_was_there(
    lead_ms: float, left_ms: float, limit_ms: float, reason: SkipReason | None
) -> None:
    config = ScheduleConfig(max_lead_ms=limit_ms)
    skipped = plan_releases(np.array([lead_ms]), NOW + left_ms, NOW, config=config).skipped
    told = list(zip(skipped.reasons, skipped.needed_ms, skipped.available_ms, strict=True))
    assert told == ([] if reason is None else [(reason, lead_ms, left_ms)])


def test_who_waits_by_itself_is_asked_at_once_but_needs_its_lead_all_the_same() -> None:
    schedule = plan_releases(
        np.array([40.0, 40.0, 900.0, 60.0]), T, NOW, may_hold=np.array([True, False, True, False])
    )
    assert releases(schedule) == [(0, [0]), (440, [3]), (460, [1])]
    assert schedule.deliveries.tolist() == [Delivery.HOLD, Delivery.LEAD, Delivery.LEAD]
    assert schedule.skipped.places.tolist() == [2]


def test_of_a_fleet_as_it_is_meant_to_be_only_people_are_too_slow_for_a_window_of_half_a_second() -> None:
    base_ms = np.repeat([one.base_ms for one in STANDARD_CLASSES], [one.share for one in STANDARD_CLASSES])
    leads = prior.lead_ms(prior.processing_ms(base_ms, 0.0, 0.0), np.full(30_000, 40.0), 0.25)
    schedule = plan_releases(leads, T, NOW)
    assert [at_ms for at_ms, _ in releases(schedule)] == [270, 320, 370, 420, 460]  # C, E, D, B, A
    assert len(schedule.order) / 30_000 == 28 / 30
    assert schedule.skipped.places.tolist() == list(range(28_000, 30_000))
    assert set(schedule.skipped.needed_ms.tolist()) == {60_030}


def test_nobody_is_a_schedule_too() -> None:
    schedule = plan_releases(np.zeros(0), T, NOW)
    assert releases(schedule) == []
    assert schedule.bounds.tolist() == [0]
    assert len(plan_releases(np.array([9_999.0]), T, NOW).order) == 0


@pytest.mark.parametrize("wrong", [-1.0, float("nan")])
def test_a_lead_that_is_none_is_refused(wrong: float) -> None:
    with pytest.raises(InvalidArgument, match="lead time"):
        plan_releases(np.array([10.0, wrong]), T, NOW)


@pytest.mark.parametrize(
    "wrong",
    [
        {"bucket_ms": 0},
        {"bucket_ms": 10.1},
        {"max_lead_ms": 0},
        {"tolerance_ms": -1},
        {"bucket_ms": float("nan")},
    ],
)
def test_a_config_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match=next(iter(wrong))):
        ScheduleConfig(**wrong)


@given(
    st.lists(st.floats(0, 200_000), max_size=60),
    st.floats(0, 200_000),
    st.sampled_from([0.05, 1.0, 10.0]),
    st.data(),
)
def test_every_target_is_released_once_or_skipped_and_never_late(
    leads: list[float], left_ms: float, bucket_ms: float, data: st.DataObject
) -> None:
    lead_ms = np.array(leads)
    holds = np.array(data.draw(st.lists(st.booleans(), min_size=len(leads), max_size=len(leads))), bool)
    config = ScheduleConfig(bucket_ms=bucket_ms, max_lead_ms=np.inf)
    schedule = plan_releases(lead_ms, NOW + left_ms, NOW, config=config, may_hold=holds)
    assert sorted([*schedule.order, *schedule.skipped.places]) == list(range(len(leads)))
    at_ms = np.repeat(schedule.slices_ms, np.diff(schedule.bounds))
    assert (np.diff(schedule.slices_ms) > 0).all()
    assert (at_ms >= NOW).all()
    meant_ms = np.where(holds, left_ms, lead_ms)[schedule.order]
    early_ms = (NOW + left_ms - meant_ms) - at_ms
    assert (early_ms >= -0.001).all()
    assert (early_ms <= bucket_ms + 0.001).all()
