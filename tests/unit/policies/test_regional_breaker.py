"""Breakers of clusters, sectors and the mesh: thresholds from both sides, probes, quotas, hands, and a slow twin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from numpy.typing import NDArray

from ohmesh.errors import InvalidArgument
from ohmesh.model.fleet_message import Scope
from ohmesh.model.topology import Topology
from ohmesh.policies.breaker import BreakerState
from ohmesh.policies.region_breakers import (
    CLOSED,
    HALF_OPEN,
    OPEN,
    STATES,
    RegionBreakers,
    RegionConfig,
    Transition,
)
from ohmesh.policies.regional_breaker import RegionalBreaker, RegionalConfig, RegionalEvent

FLEET = Topology(sectors=20, clusters=3, agents=4)
MINUTE = 60_000


def rows(*numbers: int) -> NDArray[np.int64]:
    return np.array(numbers, np.int64)


def breaker_of() -> RegionalBreaker:
    return RegionalBreaker(FLEET)


def fail_sector(breaker: RegionalBreaker, sector: int, count: int, now_ms: int) -> list[RegionalEvent]:
    """So many failures in a sector, spread over its agents."""
    first = sector * FLEET.sector_size
    return breaker.failed(first + np.arange(count) % FLEET.sector_size, now_ms)


def told(events: list[RegionalEvent]) -> list[tuple[str, str]]:
    return [(event.target, event.after) for event in events]


def test_a_cluster_opens_at_its_sixth_failure() -> None:
    breaker = breaker_of()
    for number in range(5):
        assert breaker.failed(rows(16 + number % 4), 100 * number) == []
    assert breaker.failed(rows(17), 600) == [
        RegionalEvent(Scope.CLUSTER, "s001.c01", BreakerState.CLOSED, BreakerState.OPEN, 600, 6)
    ]
    assert breaker.admit(rows(15, 16, 19, 20)).tolist() == [True, False, False, True]


@pytest.mark.parametrize(("sixth_ms", "opens"), [(59_999, True), (60_000, False)])
def test_the_window_slides(sixth_ms: int, opens: bool) -> None:
    breaker = breaker_of()
    breaker.failed(rows(0), 0)
    breaker.failed(rows(0, 1, 2, 3), 30_000)
    assert bool(breaker.failed(rows(1), sixth_ms)) is opens


@pytest.mark.parametrize(("count", "opened"), [(50, []), (51, [("s003", "OPEN")])])
def test_a_sector_opens_at_its_fifty_first_failure(count: int, opened: list[tuple[str, str]]) -> None:
    events = fail_sector(breaker_of(), 3, count, 1_000)
    assert [each for each in told(events) if "." not in each[0]] == opened


@pytest.mark.parametrize(("sectors", "state"), [(10, BreakerState.CLOSED), (11, BreakerState.OPEN)])
def test_the_mesh_opens_when_eleven_sectors_are_open(sectors: int, state: BreakerState) -> None:
    breaker = breaker_of()
    for sector in range(sectors):
        fail_sector(breaker, sector, 51, 1_000)
    assert breaker.mesh is state
    assert breaker.admit(rows(FLEET.size - 1)).tolist() == [state is BreakerState.CLOSED]


def open_mesh() -> RegionalBreaker:
    breaker = breaker_of()
    for sector in range(11):
        fail_sector(breaker, sector, 51, 0)
    return breaker


def test_the_mesh_closes_when_no_sector_is_open_any_more() -> None:
    breaker = open_mesh()
    assert breaker.due_probes(30_000).sectors.tolist() == list(range(11))
    for sector in range(10):
        assert told(breaker.sector_probed(sector, is_healthy=True, now_ms=30_001)) == [
            (f"s{sector:03}", "HALF_OPEN")
        ]
    assert told(breaker.sector_probed(10, is_healthy=True, now_ms=30_002)) == [
        ("s010", "HALF_OPEN"),
        ("", "CLOSED"),
    ]


def test_who_closes_the_mesh_by_hand_is_overruled_by_a_further_sector_only() -> None:
    breaker = open_mesh()
    (event,) = breaker.set_mesh(BreakerState.CLOSED, 1_000)
    assert (event.scope, event.before, event.by_hand, event.failures) == (
        Scope.ALL,
        BreakerState.OPEN,
        True,
        11,
    )
    fail_sector(breaker, 15, 50, 1_001)
    assert breaker.mesh is BreakerState.CLOSED
    assert ("", "OPEN") in told(fail_sector(breaker, 15, 1, 1_002))


def test_a_mesh_that_was_opened_by_hand_is_closed_by_hand() -> None:
    breaker = breaker_of()
    assert told(breaker.set_mesh(BreakerState.OPEN, 0)) == [("", "OPEN")]
    assert breaker.set_mesh(BreakerState.OPEN, 1) == []
    breaker.look(10 * MINUTE)
    assert breaker.mesh is BreakerState.OPEN
    assert told(breaker.set_mesh(BreakerState.CLOSED, 10 * MINUTE)) == [("", "CLOSED")]
    with pytest.raises(InvalidArgument, match="open or closed"):
        breaker.set_mesh(BreakerState.HALF_OPEN, 10 * MINUTE)


def test_sectors_and_clusters_open_and_close_by_hand() -> None:
    breaker = breaker_of()
    assert told(breaker.set_sector(2, is_open=True, now_ms=5)) == [("s002", "OPEN")]
    assert breaker.set_sector(2, is_open=True, now_ms=6) == []
    assert told(breaker.set_cluster(0, is_open=True, now_ms=6)) == [("s000.c00", "OPEN")]
    assert breaker.admit(rows(0, 4, 24)).tolist() == [False, True, False]
    assert breaker.next_ms() == 30_005
    breaker.set_sector(2, is_open=False, now_ms=7)
    breaker.set_cluster(0, is_open=False, now_ms=7)
    assert breaker.admit(rows(0, 24)).all()
    assert breaker.next_ms() is None


def opened(at_ms: int = 0, config: RegionConfig | None = None) -> RegionBreakers:
    breakers = RegionBreakers(3, config or RegionConfig(failures=6, quota=4, half_open_failures=2))
    breakers.failed(np.array([1] * 6), at_ms)
    return breakers


def half_open(at_ms: int = 30_000) -> RegionBreakers:
    breakers = opened()
    breakers.due_probes(30_000)
    breakers.probed(1, is_healthy=True, now_ms=at_ms)
    return breakers


def test_a_probe_is_due_after_thirty_seconds_once() -> None:
    breakers = opened(1_000)
    assert breakers.due_probes(30_999).tolist() == []
    assert breakers.due_probes(31_000).tolist() == [1]
    assert breakers.due_probes(31_001).tolist() == []
    assert breakers.next_ms() == 91_000  # should its answer never come


def test_it_wakes_for_the_first_of_a_probe_and_the_end_of_a_watch() -> None:
    breakers = half_open()
    assert breakers.next_ms() == 90_000
    breakers.failed(np.array([0] * 6), 40_000)
    assert breakers.next_ms() == 70_000
    breakers.failed(np.array([2] * 6), 35_000)
    assert breakers.next_ms() == 65_000


def test_failures_while_it_is_open_set_no_timer_anew() -> None:
    breakers = opened()
    assert breakers.failed(np.array([1] * 20), 29_000) == []
    assert breakers.due_probes(30_000).tolist() == [1]


def test_after_a_probe_that_failed_the_next_is_due_sixty_seconds_later() -> None:
    breakers = opened()
    breakers.due_probes(30_000)
    assert breakers.probed(1, is_healthy=False, now_ms=30_500) == []
    assert breakers.due_probes(90_499).tolist() == []
    assert breakers.due_probes(90_500).tolist() == [1]


def test_an_answer_that_no_probe_waits_for_changes_nothing() -> None:
    breakers = opened()
    assert breakers.probed(1, is_healthy=True, now_ms=10) == []
    breakers.due_probes(30_000)
    breakers.probed(1, is_healthy=False, now_ms=30_001)
    assert breakers.probed(1, is_healthy=True, now_ms=30_002) == []
    assert breakers.probed(0, is_healthy=True, now_ms=30_002) == []
    assert breakers.state.tolist() == [CLOSED, OPEN, CLOSED]


def test_half_open_lets_its_quota_through_and_closes_after_a_minute() -> None:
    breakers = half_open()
    assert breakers.admit(np.array([1, 0, 1, 1, 2])).tolist() == [True] * 5
    assert breakers.admit(np.array([1, 1])).tolist() == [True, False]
    assert breakers.failed(np.array([1]), 40_000) == []
    assert breakers.look(89_999) == []
    assert breakers.look(90_000) == [Transition(1, BreakerState.HALF_OPEN, BreakerState.CLOSED, 90_000, 1)]
    assert breakers.admit(np.array([1] * 9)).all()
    assert breakers.failed(np.array([1] * 5), 90_001) == []  # what was before is forgotten


def test_failures_in_half_open_open_it_again_for_sixty_seconds() -> None:
    breakers = half_open()
    breakers.failed(np.array([1]), 31_000)
    assert breakers.failed(np.array([1]), 32_000) == [
        Transition(1, BreakerState.HALF_OPEN, BreakerState.OPEN, 32_000, 2)
    ]
    assert breakers.due_probes(91_999).tolist() == []
    assert breakers.due_probes(92_000).tolist() == [1]


def test_a_second_half_open_has_a_quota_of_its_own() -> None:
    breakers = half_open()
    breakers.admit(np.array([1] * 4))
    breakers.failed(np.array([1, 1]), 31_000)
    breakers.due_probes(91_000)
    breakers.probed(1, is_healthy=True, now_ms=91_000)
    assert breakers.admit(np.array([1] * 5)).tolist() == [True] * 4 + [False]
    assert breakers.failed(np.array([1]), 91_001) == []


def test_a_target_needs_its_cluster_and_its_sector() -> None:
    breaker = breaker_of()
    breaker.set_sector(0, is_open=True, now_ms=0)
    breaker.due_probes(30_000)
    breaker.sector_probed(0, is_healthy=True, now_ms=30_000)
    breaker.set_cluster(1, is_open=True, now_ms=30_000)
    admitted = breaker.admit(np.repeat(np.arange(12), 20))
    assert admitted.reshape(12, 20).sum(axis=1).tolist() == [20] * 4 + [0] * 4 + [20, 0, 0, 0]


def test_a_fleet_that_fails_as_a_whole_opens_everything_in_one_call() -> None:
    breaker = RegionalBreaker(Topology())
    events = breaker.failed(np.repeat(np.arange(30_000), 2), 0)
    assert len(events) == 1_000 + 100 + 1
    assert not breaker.admit(np.arange(30_000)).any()


@pytest.mark.parametrize("name", ["failures", "quota", "half_open_failures", "window_ms", "probe_ms"])
def test_a_bound_below_one_is_refused(name: str) -> None:
    values: dict[str, Any] = {"failures": 1, "quota": 1, "half_open_failures": 1, name: 0}
    with pytest.raises(InvalidArgument, match=name):
        RegionConfig(**values)
    with pytest.raises(InvalidArgument, match="open_sectors"):
        RegionalConfig(open_sectors=0)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4), st.integers(0, 40_000)), max_size=30))
def test_it_opens_when_the_window_holds_enough_and_only_then(steps: list[tuple[int, int, int]]) -> None:
    breakers = RegionBreakers(3, RegionConfig(failures=6, quota=1, half_open_failures=1))
    times: list[list[int]] = [[], [], []]
    now_ms = 0
    for region, count, step_ms in steps:
        now_ms += step_ms
        is_open = breakers.state[region] == OPEN
        times[region] += [now_ms] * count
        within = sum(at_ms > now_ms - MINUTE for at_ms in times[region])
        transitions = breakers.failed(np.full(count, region), now_ms)
        assert bool(transitions) == (not is_open and within >= 6)


class BreakersMachine(RuleBasedStateMachine):
    """Against a twin that is one region after the other, in plain Python."""

    CONFIG = RegionConfig(
        failures=3, quota=2, half_open_failures=2, window_ms=100, probe_ms=50, reprobe_ms=80, watch_ms=70
    )

    def __init__(self) -> None:
        super().__init__()
        self.breakers = RegionBreakers(2, self.CONFIG)
        self.twins = [Twin(self.CONFIG) for _ in range(2)]
        self.now_ms = 0

    @rule(step_ms=st.sampled_from([0, 1, 30, 49, 70, 100]))
    def wait(self, step_ms: int) -> None:
        self.now_ms += step_ms
        self.breakers.look(self.now_ms)
        probes = self.breakers.due_probes(self.now_ms).tolist()
        assert probes == [place for place, twin in enumerate(self.twins) if twin.look(self.now_ms)]

    @rule(regions=st.lists(st.integers(0, 1), max_size=4))
    def fail(self, regions: list[int]) -> None:
        transitions = self.breakers.failed(np.array(regions, np.intp), self.now_ms)
        assert len({each.region for each in transitions}) == len(transitions)
        for place, twin in enumerate(self.twins):
            twin.failed(regions.count(place), self.now_ms)

    @rule(region=st.integers(0, 1), is_healthy=st.booleans())
    def probed(self, region: int, is_healthy: bool) -> None:
        self.breakers.probed(region, is_healthy=is_healthy, now_ms=self.now_ms)
        self.twins[region].probed(is_healthy, self.now_ms)

    @rule(regions=st.lists(st.integers(0, 1), max_size=5))
    def send(self, regions: list[int]) -> None:
        admitted = self.breakers.admit(np.array(regions, np.intp)).tolist()
        assert admitted == [self.twins[region].admit() for region in regions]

    @invariant()
    def they_agree(self) -> None:
        assert [STATES[code] for code in self.breakers.state] == [STATES[twin.state] for twin in self.twins]


class Twin:
    def __init__(self, config: RegionConfig) -> None:
        self.config = config
        self.state = CLOSED
        self.times: list[int] = []
        self.since = self.probe = self.sent = self.bad = 0
        self.probing = False

    def look(self, now_ms: int) -> bool:
        if self.state == HALF_OPEN and now_ms - self.since >= self.config.watch_ms:
            self.state, self.times = CLOSED, []
        if self.state == OPEN and self.probe <= now_ms:
            self.probe, self.probing = now_ms + self.config.reprobe_ms, True
            return True
        return False

    def failed(self, count: int, now_ms: int) -> None:
        if self.state == CLOSED:
            self.times += [now_ms] * count
            within = [at_ms for at_ms in self.times if at_ms > now_ms - self.config.window_ms]
            if count and len(within) >= self.config.failures:
                self.opens(now_ms + self.config.probe_ms)
        elif self.state == HALF_OPEN:
            self.bad += count
            if self.bad >= self.config.half_open_failures:
                self.opens(now_ms + self.config.reprobe_ms)

    def opens(self, probe_ms: int) -> None:
        self.state, self.probe, self.probing = OPEN, probe_ms, False

    def probed(self, is_healthy: bool, now_ms: int) -> None:
        if self.state != OPEN or not self.probing:
            return
        self.probing = False
        if is_healthy:
            self.state, self.since, self.sent, self.bad = HALF_OPEN, now_ms, 0, 0
        else:
            self.probe = now_ms + self.config.reprobe_ms

    def admit(self) -> bool:
        if self.state != HALF_OPEN:
            return self.state == CLOSED
        self.sent += 1
        return self.sent <= self.config.quota


TestBreakersMachine = BreakersMachine.TestCase
TestBreakersMachine.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
