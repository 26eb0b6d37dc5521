"""The one sleeper: what is due, when to wake, what is too late after the process stood still."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import Backpressure, InvalidArgument
from ohmesh.protocols.arrival.release import Due, Sleeper
from ohmesh.protocols.arrival.schedule import Schedule, ScheduleConfig, plan_releases
from ohmesh.protocols.arrival.target_state import SkipReason

NOW = 1_000.0


def schedule_of(*leads: float, target_ms: float = NOW + 500, hold: tuple[int, ...] = ()) -> Schedule:
    may_hold = np.isin(np.arange(len(leads)), hold)
    return plan_releases(np.array(leads), target_ms, NOW, may_hold=may_hold)


def next_ms(sleeper: Sleeper) -> float | None:
    return sleeper.wake_ms


def shown(due: list[Due]) -> list[tuple[str, list[int], list[int], list[int]]]:
    return [(d.operation, d.lead.tolist(), d.hold.tolist(), d.expired.places.tolist()) for d in due]


def test_it_wakes_for_each_slice_and_names_it_once() -> None:
    sleeper = Sleeper()
    sleeper.add("a", schedule_of(100, 40, 40, 300, hold=(3,)))
    assert sleeper.wake_ms == 1_000
    assert shown(sleeper.due(1_000)) == [("a", [], [3], [])]
    assert sleeper.wake_ms == 1_400
    assert sleeper.due(1_399.9) == []
    assert shown(sleeper.due(1_400)) == [("a", [0], [], [])]
    assert shown(sleeper.due(1_460)) == [("a", [1, 2], [], [])]
    assert not sleeper
    assert next_ms(sleeper) is None


def test_slices_that_were_missed_are_one_and_operations_come_in_the_order_of_their_time() -> None:
    sleeper = Sleeper()
    sleeper.add("late", schedule_of(30))
    sleeper.add("early", schedule_of(90, 60, 10))
    assert shown(sleeper.due(1_475)) == [("early", [0, 1], [], []), ("late", [0], [], [])]
    assert sleeper.wake_ms == 1_490


def test_who_would_be_ready_past_the_window_is_not_asked_any_more() -> None:
    """T is 1500 and the window 500, so a lead of 300 suffices until 1700."""
    sleeper = Sleeper()
    sleeper.add("a", schedule_of(300, 310, 20, hold=(2,)))
    (due,) = sleeper.due(1_700)
    assert (due.lead.tolist(), due.hold.tolist()) == ([0], [2])
    assert due.expired.places.tolist() == [1]
    assert due.expired.needed_ms.tolist() == [310]
    assert due.expired.available_ms.tolist() == [-200]
    assert due.expired.reasons.tolist() == [SkipReason.INSUFFICIENT_LEAD_TIME]


def test_without_any_tolerance_it_is_asked_until_t_minus_its_lead() -> None:
    strict = ScheduleConfig(tolerance_ms=0)
    for now_ms, expired in ((1_200, []), (1_200.5, [0])):
        sleeper = Sleeper()
        sleeper.add("a", plan_releases(np.array([300.0]), NOW + 500, NOW, config=strict))
        (due,) = sleeper.due(now_ms)
        assert due.expired.places.tolist() == expired


def test_what_is_cancelled_is_not_released_and_its_name_is_free() -> None:
    sleeper = Sleeper()
    sleeper.add("a", schedule_of(400, 200, 100))
    sleeper.due(1_100)
    assert sleeper.cancel("a").tolist() == [1, 2]
    assert sleeper.wake_ms is None
    assert sleeper.cancel("a").tolist() == []
    sleeper.add("a", schedule_of(50, target_ms=NOW + 700))
    assert sleeper.due(1_600) == []
    assert shown(sleeper.due(1_650)) == [("a", [0], [], [])]


def test_nobody_to_release_leaves_nothing_behind() -> None:
    sleeper = Sleeper()
    sleeper.add("a", schedule_of())
    assert not sleeper
    assert next_ms(sleeper) is None


def test_two_of_one_name_and_too_many_are_refused() -> None:
    sleeper = Sleeper(operations=2)
    sleeper.add("a", schedule_of(10))
    with pytest.raises(InvalidArgument, match="a is being released already"):
        sleeper.add("a", schedule_of(20))
    sleeper.add("b", schedule_of(10))
    with pytest.raises(Backpressure) as refused:
        sleeper.add("c", schedule_of(10))
    assert refused.value.retry_after_ms > 0


@given(
    st.lists(st.lists(st.floats(0, 480), max_size=12), min_size=1, max_size=5),
    st.lists(st.floats(0, 400), max_size=12),
    st.sampled_from([1.0, 10.0]),
)
def test_whatever_the_wakings_are_each_is_named_once_never_before_its_time(
    operations: list[list[float]], steps: list[float], bucket_ms: float
) -> None:
    sleeper = Sleeper()
    config = ScheduleConfig(bucket_ms=bucket_ms, tolerance_ms=50)
    for number, leads in enumerate(operations):
        sleeper.add(str(number), plan_releases(np.array(leads), NOW + 500, NOW, config=config))
    named: list[tuple[str, int]] = []
    for now_ms in [*np.cumsum([NOW, *steps]), NOW + 10_000]:
        for due in sleeper.due(now_ms):
            leads_ms = np.array(operations[int(due.operation)])
            assert (NOW + 500 - leads_ms[due.lead] <= now_ms + bucket_ms + 0.001).all()
            assert (now_ms + leads_ms[due.lead] <= NOW + 550.001).all()
            named += [(due.operation, place) for place in [*due.lead, *due.expired.places]]
        assert sleeper.wake_ms is None or sleeper.wake_ms > now_ms
    wanted = [(str(number), place) for number, leads in enumerate(operations) for place in range(len(leads))]
    assert sorted(named) == wanted
