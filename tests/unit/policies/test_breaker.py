"""The circuit breaker, transition by transition."""

from __future__ import annotations

from typing import Any

import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.policies.breaker import Breaker, BreakerConfig, BreakerEvent, BreakerState

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN


def open_breaker(at_ms: int = 1_000) -> Breaker:
    breaker = Breaker("node")
    for _ in range(5):
        breaker.failed(at_ms)
    return breaker


def half_open_breaker() -> Breaker:
    breaker = open_breaker(0)
    breaker.look(60_000)
    return breaker


def test_it_begins_closed_and_admits() -> None:
    breaker = Breaker("node")
    assert breaker.state is CLOSED
    assert breaker.admits()
    assert breaker.begin() == 0


def test_five_failures_in_a_row_open_it_and_the_event_counts_them() -> None:
    breaker = Breaker("node")
    breaker.succeeded(1)
    assert [breaker.failed(now_ms) for now_ms in (2, 3, 4, 5)] == [[], [], [], []]
    assert breaker.failed(6) == [BreakerEvent("node", CLOSED, OPEN, 6, 5, 5, 1)]
    assert not breaker.admits()


def test_a_success_between_failures_begins_the_count_anew() -> None:
    breaker = Breaker("node")
    for _ in range(4):
        breaker.failed(1)
    breaker.succeeded(1)
    for _ in range(4):
        assert breaker.failed(1) == []
    assert breaker.state is CLOSED
    assert breaker.failed(1) != []


def test_it_is_half_open_sixty_seconds_after_it_opened_and_not_before() -> None:
    breaker = open_breaker(1_000)
    assert breaker.retry_after_ms(1_000) == 60_000
    assert breaker.look(60_999) == []
    assert breaker.state is OPEN
    (event,) = breaker.look(61_000)
    assert (event.before, event.after, event.at_ms) == (OPEN, HALF_OPEN, 61_000)
    assert breaker.look(61_001) == []


def test_half_open_lets_three_trials_through_at_a_time() -> None:
    breaker = half_open_breaker()
    for _ in range(3):
        assert breaker.admits()
        trial = breaker.begin()
        assert trial
    assert not breaker.admits()
    breaker.abandoned(trial=trial)
    assert breaker.admits()


def test_a_trial_that_succeeds_closes_it() -> None:
    breaker = half_open_breaker()
    trial = breaker.begin()
    (event,) = breaker.succeeded(60_010, trial=trial)
    assert (event.before, event.after, event.consecutive_failures) == (HALF_OPEN, CLOSED, 0)
    assert breaker.admits()
    assert [breaker.failed(60_011) for _ in range(4)] == [[], [], [], []]


def test_a_trial_that_fails_opens_it_for_its_whole_time() -> None:
    breaker = half_open_breaker()
    trial = breaker.begin()
    (event,) = breaker.failed(60_010, trial=trial)
    assert (event.before, event.after) == (HALF_OPEN, OPEN)
    assert breaker.look(120_009) == []
    assert breaker.look(120_010) != []


@pytest.mark.parametrize("end", ["abandoned", "succeeded", "failed"])
def test_a_trial_of_a_former_half_open_is_no_verdict_and_frees_no_place(end: str) -> None:
    breaker = half_open_breaker()
    stale, failing = breaker.begin(), breaker.begin()
    breaker.failed(60_010, trial=failing)
    breaker.look(120_010)
    for _ in range(3):
        assert breaker.begin() not in {0, stale}
    if end == "abandoned":
        breaker.abandoned(trial=stale)
    elif end == "succeeded":
        assert breaker.succeeded(120_011, trial=stale) == []
    else:
        assert breaker.failed(120_011, trial=stale) == []
    assert breaker.state is HALF_OPEN
    assert not breaker.admits()


def test_what_was_sent_before_it_opened_changes_nothing_afterwards() -> None:
    breaker = open_breaker(0)
    assert breaker.succeeded(10) == breaker.failed(11) == []
    assert breaker.state is OPEN
    breaker.look(60_000)
    assert breaker.succeeded(60_001) == breaker.failed(60_002) == []
    assert breaker.state is HALF_OPEN
    assert (breaker.total_failures, breaker.total_successes) == (7, 2)


@pytest.mark.parametrize("wrong", [{"failures": 0}, {"open_ms": 0}, {"trials": -1}])
def test_a_bound_below_one_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match=next(iter(wrong))):
        BreakerConfig(**wrong)
