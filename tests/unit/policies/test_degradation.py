"""Modes of a mesh: their boundaries, what each forbids, and that they do not flutter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import InvalidArgument
from ohmesh.model.priority import Priority
from ohmesh.policies.degradation import (
    RULES,
    Measure,
    Mode,
    ModeKeeper,
    Permission,
    Work,
    WorkRequest,
    healthy_sectors,
    mode_of,
    rule_on,
)

FULL, LIGHT, MODERATE, SEVERE, EMERGENCY = Mode
ALLOW, QUEUE, ASK, REFUSE = Permission


@pytest.mark.parametrize(
    ("active", "total", "mode"),
    [
        (0, 0, FULL),
        (30_000, 30_000, FULL),
        (28_500, 30_000, FULL),
        (28_499, 30_000, LIGHT),
        (285, 300, FULL),
        (24_000, 30_000, LIGHT),
        (23_999, 30_000, MODERATE),
        (18_000, 30_000, MODERATE),
        (17_999, 30_000, SEVERE),
        (9_000, 30_000, SEVERE),
        (8_999, 30_000, EMERGENCY),
        (0, 1, EMERGENCY),
    ],
)
def test_the_mode_follows_from_the_active_rate(active: int, total: int, mode: Mode) -> None:
    assert mode_of(active, total) is mode


def test_a_sector_is_healthy_at_the_rate_that_makes_a_mesh_full() -> None:
    assert healthy_sectors(np.array([285, 284, 0, 0]), np.array([300, 300, 300, 0])).tolist() == [
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize("counts", [(2, 1), (-1, 1)])
def test_counts_that_cannot_be_are_refused(counts: tuple[int, int]) -> None:
    with pytest.raises(InvalidArgument, match="cannot be active"):
        mode_of(*counts)


def request(  # one keyword for each thing that a case is about
    work: Work = Work.NORMAL, priority: Priority = Priority.CRITICAL, targets: int = 1, **flags: bool
) -> WorkRequest:
    return WorkRequest(work=work, priority=priority, targets=targets, **flags)


BACKGROUND = request(Work.BACKGROUND)


def mesh_wide(priority: Priority, targets: int, *, is_approved: bool = False) -> WorkRequest:
    return request(
        priority=priority, targets=targets, is_mesh_wide=True, can_wait=False, is_approved=is_approved
    )


@pytest.mark.parametrize(
    ("asked", "permissions"),  # in FULL, LIGHT, MODERATE, SEVERE, EMERGENCY
    [
        (request(Work.READ, Priority.LOW, 30_000, is_automatic=True), [ALLOW] * 5),
        (request(Work.REPAIR, Priority.LOW, 30_000), [ALLOW] * 5),
        (request(Work.REPAIR, Priority.LOW, is_automatic=True), [ALLOW] * 4 + [QUEUE]),
        (BACKGROUND, [ALLOW] + [QUEUE] * 4),
        (request(Work.BACKGROUND, can_wait=False), [ALLOW] + [REFUSE] * 4),
        (request(priority=Priority.LOW), [ALLOW, ALLOW, QUEUE, QUEUE, QUEUE]),
        (request(priority=Priority.NORMAL), [ALLOW, ALLOW, QUEUE, QUEUE, QUEUE]),
        (request(priority=Priority.HIGH), [ALLOW, ALLOW, ALLOW, QUEUE, QUEUE]),
        (request(priority=Priority.HIGH, can_wait=False), [ALLOW, ALLOW, ALLOW, REFUSE, REFUSE]),
        (request(), [ALLOW] * 5),
        (request(is_automatic=True), [ALLOW] * 4 + [QUEUE]),
        (request(is_automatic=True, can_wait=False), [ALLOW] * 4 + [REFUSE]),
        (request(targets=1_000), [ALLOW] * 5),
        (request(targets=1_001), [ALLOW, ALLOW, REFUSE, REFUSE, REFUSE]),
        (mesh_wide(Priority.CRITICAL, 30_000), [ALLOW, ALLOW, REFUSE, ASK, ASK]),
        (mesh_wide(Priority.CRITICAL, 900), [ALLOW, ALLOW, ALLOW, ASK, ASK]),
        (mesh_wide(Priority.CRITICAL, 30_000, is_approved=True), [ALLOW] * 5),
        (
            mesh_wide(Priority.HIGH, 9, is_approved=True),
            [ALLOW, ALLOW, ALLOW, REFUSE, REFUSE],
        ),
    ],
)
def test_what_each_mode_allows(asked: WorkRequest, permissions: list[Permission]) -> None:
    assert [rule_on(mode, asked).permission for mode in Mode] == permissions


def test_a_ruling_that_is_no_yes_says_why() -> None:
    for mode in Mode:
        for asked in (BACKGROUND, request(targets=9_999), request(priority=Priority.LOW, can_wait=False)):
            ruling = rule_on(mode, asked)
            assert (ruling.permission is ALLOW) == (ruling.why == "")
            assert ruling.permission is ALLOW or ruling.why.startswith(mode.name)


def test_from_moderate_on_only_healthy_sectors_are_used() -> None:
    assert [rule_on(mode, request()).healthy_sectors_only for mode in Mode] == [
        False,
        False,
        True,
        True,
        True,
    ]


def test_retries_wait_longer_the_worse_it_is() -> None:
    assert [RULES[mode].retry_factor for mode in Mode] == [1, 2, 4, 8, 8]


def test_a_worse_mode_holds_at_once_and_brings_the_measures_of_all_that_were_entered() -> None:
    keeper = ModeKeeper()
    assert keeper.observe(100, 100, 0) is None
    change = keeper.observe(10, 100, 5)
    assert change is not None
    assert (change.before, change.after, change.active, change.total, change.at_ms) == (
        FULL,
        EMERGENCY,
        10,
        100,
        5,
    )
    assert change.measures == (Measure.PREPARE_TO_STOP, Measure.PRESERVE_STATE, Measure.ALERT_OPERATORS)
    assert keeper.observe(10, 100, 6) is None


def test_a_better_mode_holds_once_the_rate_allowed_it_for_ten_seconds() -> None:
    keeper = ModeKeeper()
    keeper.observe(90, 100, 0)
    assert keeper.observe(97, 100, 1_000) is None
    assert keeper.observe(97, 100, 10_999) is None
    change = keeper.observe(97, 100, 11_000)
    assert change is not None
    assert (change.before, change.after, change.measures) == (LIGHT, FULL, ())


def test_a_break_begins_the_ten_seconds_anew() -> None:
    keeper = ModeKeeper()
    keeper.observe(90, 100, 0)
    keeper.observe(97, 100, 1_000)
    keeper.observe(94, 100, 9_000)
    assert keeper.observe(97, 100, 11_000) is None
    assert keeper.observe(97, 100, 20_999) is None
    assert keeper.observe(97, 100, 21_000) is not None


def test_it_climbs_to_the_best_mode_that_was_allowed_all_the_time() -> None:
    keeper = ModeKeeper()
    keeper.observe(10, 100, 0)
    keeper.observe(65, 100, 1_000)  # moderate
    keeper.observe(85, 100, 6_000)  # light
    change = keeper.observe(85, 100, 11_000)
    assert change is not None
    assert change.after is MODERATE
    change = keeper.observe(85, 100, 16_000)
    assert change is not None
    assert change.after is LIGHT


def test_a_fleet_that_hovers_around_a_boundary_does_not_switch_with_every_count() -> None:
    keeper = ModeKeeper()
    changes = [keeper.observe(95 - second % 2, 100, 1_000 * second) for second in range(600)]
    assert [change.after for change in changes if change] == [LIGHT]


def test_without_settling_the_mode_is_that_of_the_rate() -> None:
    keeper = ModeKeeper(settle_ms=0)
    for active in (10, 97, 50, 81, 100):
        keeper.observe(active, 100, 0)
        assert keeper.mode is mode_of(active, 100)
    with pytest.raises(InvalidArgument, match="settle_ms"):
        ModeKeeper(settle_ms=-1)


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 12_000)), max_size=30))
def test_the_mode_is_never_better_than_the_rate_allows(counts: list[tuple[int, int]]) -> None:
    keeper, now_ms = ModeKeeper(), 0
    for active, step_ms in counts:
        now_ms += step_ms
        before = keeper.mode
        change = keeper.observe(active, 100, now_ms)
        assert keeper.mode >= mode_of(active, 100)
        assert (change is None) == (keeper.mode is before)


REQUESTS = st.builds(
    WorkRequest,
    work=st.sampled_from(Work),
    priority=st.sampled_from(Priority),
    targets=st.sampled_from([1, 1_000, 1_001]),
    is_mesh_wide=st.booleans(),
    can_wait=st.booleans(),
    is_automatic=st.booleans(),
    is_approved=st.booleans(),
)


@given(st.sampled_from(Mode), REQUESTS)
def test_what_a_mode_does_not_allow_no_worse_one_does(mode: Mode, asked: WorkRequest) -> None:
    if rule_on(mode, asked).permission is not ALLOW:
        assert all(rule_on(worse, asked).permission is not ALLOW for worse in Mode if worse > mode)
