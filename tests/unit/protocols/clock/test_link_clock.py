"""A link's clock against clocks whose truth is known: skew, drift, jitter, spikes, lopsided ways, steps, restarts."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from ohmesh.model.fleet_message import ClockEcho
from ohmesh.protocols.clock.link_clock import Hearing, LinkClock, LinkClockConfig
from ohmesh.protocols.clock.mesh_line import MeshLine, MeshReading, root_line

SECOND_US = 1_000_000
EPOCH_US = 1_770_000_000 * SECOND_US
Delay = Callable[[random.Random], float]


def loopback(rng: random.Random) -> float:
    """Log-normal around 60 microseconds, one in a hundred delayed by a busy machine."""
    delay_us = rng.lognormvariate(4.1, 0.5)
    return delay_us + (rng.uniform(2_000, 40_000) if rng.random() < 0.01 else 0)


def wide_area(rng: random.Random) -> float:
    """20 ms and a heavy tail."""
    return 20_000 + rng.lognormvariate(7.0, 1.0) + (rng.uniform(0, 300_000) if rng.random() < 0.03 else 0)


def slow_way(rng: random.Random) -> float:
    return 45_000 + rng.expovariate(1 / 2_000)


@dataclass
class Link:
    """`true_us` is the time of neither side. Local and mesh clocks run at their own paces from it."""

    rng: random.Random
    there: Delay = loopback
    back: Delay = loopback
    skew_us: int = 50_000
    drift: float = 50e-6
    local_pace: float = 1.0
    true_us: float = 0.0
    incarnation: int = 1
    era: int = 1
    parent_error_us: int = 0
    clock: LinkClock = field(default_factory=LinkClock)
    _mesh_us: float = float(EPOCH_US)
    _at_us: float = 0.0

    def local(self, true_us: float) -> int:
        return int(true_us * self.local_pace) + 77

    def mesh(self, true_us: float) -> float:
        return self._mesh_us + self.skew_us + (true_us - self._at_us) * (1 + self.drift)

    def change_drift(self, drift: float) -> None:
        self._mesh_us, self._at_us = self.mesh(self.true_us) - self.skew_us, self.true_us
        self.drift = drift

    def exchange(self) -> tuple[ClockEcho, int]:
        """One probe and its answer; time passes meanwhile."""
        sent = self.local(self.true_us)
        self.clock.probe(sent)
        received = self.true_us + self.there(self.rng)
        answered = received + self.rng.uniform(5, 50)
        self.true_us = answered + self.back(self.rng)
        echo = ClockEcho(
            sent,
            int(self.mesh(received)),
            int(self.mesh(answered)),
            self.incarnation,
            self.era,
            self.parent_error_us,
        )
        return echo, self.local(self.true_us)

    def ask(self) -> Hearing:
        return self.clock.hear(*self.exchange())

    def until_due(self) -> None:
        due = self.clock.due_us()
        if due is not None:
            self.true_us = max(self.true_us, due / self.local_pace)

    def reading(self, true_us: float | None = None) -> MeshReading:
        reading = self.clock.mesh_time(self.local(self.true_us if true_us is None else true_us))
        assert reading is not None
        return reading

    def error_us(self, true_us: float | None = None) -> float:
        at = self.true_us if true_us is None else true_us
        return self.reading(at).time_us - self.mesh(at)


def run(link: Link, exchanges: int) -> tuple[int, int, list[float]]:
    """How many readings, how many of them outside of their bounds, and the errors from the sixth exchange on.

    Mesh time is read nine times between two exchanges, the last time just before the next one."""
    readings = outside = 0
    errors = []
    for number in range(exchanges):
        link.until_due()
        link.ask()
        due = link.clock.due_us()
        assert due is not None
        span = due / link.local_pace - link.true_us
        for part in range(1, 10):
            at = link.true_us + span * part / 9
            error = link.error_us(at)
            readings += 1
            outside += abs(error) > link.reading(at).error_us
            if number >= 5:
                errors.append(abs(error))
    return readings, outside, errors


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("skew_us", [-50_000, 50_000])
@pytest.mark.parametrize("drift", [-50e-6, 50e-6])
def test_on_a_quick_link_the_error_is_below_a_millisecond_after_six_exchanges(
    seed: int, skew_us: int, drift: float
) -> None:
    link = Link(random.Random(seed), skew_us=skew_us, drift=drift)
    readings, outside, errors = run(link, 60)
    assert outside <= readings // 100
    assert max(errors) < 1_000
    assert max(errors[-100:]) < 200


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(
    ("there", "back"), [(wide_area, wide_area), (slow_way, loopback), (loopback, slow_way)]
)
def test_the_truth_lies_within_the_bound_on_slow_and_lopsided_links(
    seed: int, there: Delay, back: Delay
) -> None:
    link = Link(random.Random(seed), there, back)
    readings, outside, _ = run(link, 100)
    assert outside <= readings // 100


def test_a_quick_trip_narrows_what_slow_ones_leave_open() -> None:
    link = Link(random.Random(1), slow_way, loopback)
    run(link, 20)
    wide_us = link.reading().error_us
    link.there = loopback
    link.ask()
    assert wide_us > 20_000
    assert link.reading().error_us < 500
    link.there = slow_way
    link.ask()
    assert link.reading().error_us < 1_000


@pytest.mark.parametrize("seed", range(6))
def test_a_drift_that_wanders_is_followed(seed: int) -> None:
    link = Link(random.Random(seed))
    readings = outside = 0
    for _ in range(40):
        link.change_drift(link.drift + link.rng.uniform(-1e-6, 1e-6))
        some, wrong, errors = run(link, 5)
        readings, outside = readings + some, outside + wrong
        assert max(errors, default=0) < 1_000
    assert outside <= readings // 100


def test_the_bound_grows_with_age_and_the_drift_that_is_possible() -> None:
    link = Link(random.Random(2))
    run(link, 1)
    first = [link.reading(link.true_us + age * SECOND_US).error_us for age in (0, 10, 100)]
    assert first[0] < first[1] < first[2]
    assert first[2] - first[0] == pytest.approx(
        100 * 200, rel=0.01
    )  # 200 microseconds a second, nothing known
    run(link, 60)
    later = [link.reading(link.true_us + age * SECOND_US).error_us for age in (0, 100)]
    assert later[1] - later[0] < 100 * 10


def test_a_step_of_a_clock_is_noticed_by_the_next_exchange() -> None:
    link = Link(random.Random(3))
    run(link, 30)
    link.skew_us += 30_000
    assert link.ask() is Hearing.ANEW
    assert abs(link.error_us()) <= link.reading().error_us
    _, outside, errors = run(link, 20)
    assert outside == 0
    assert max(errors) < 1_000


def test_a_change_of_pace_gives_up_what_is_older_and_no_more() -> None:
    link = Link(random.Random(4))
    run(link, 40)
    link.change_drift(link.drift - 60e-6)
    readings, outside, errors = run(link, 40)
    assert outside <= readings // 100
    assert max(errors) < 1_000
    assert max(errors[-50:]) < 200


def test_echoes_that_come_late_in_another_order_or_twice_harm_nothing() -> None:
    link = Link(random.Random(5))
    run(link, 10)
    held = []
    for _ in range(3):
        held.append(link.exchange()[0])
        link.true_us += SECOND_US
    for echo in reversed(held):
        assert link.clock.hear(echo, link.local(link.true_us)) is Hearing.TAKEN
        assert abs(link.error_us()) <= link.reading().error_us
    before = link.clock.line
    for echo in held:
        assert link.clock.hear(echo, link.local(link.true_us)) is Hearing.STRANGE
    assert link.clock.line == before


@pytest.mark.parametrize("echo", [ClockEcho(77, 10, 9, 1), ClockEcho(77, 0, 5_000, 1)])
def test_an_answer_before_its_question_is_not_believed(echo: ClockEcho) -> None:
    clock = LinkClock()
    clock.probe(77)
    assert clock.hear(echo, 177) is Hearing.IMPOSSIBLE
    assert clock.mesh_time(177) is None


def test_two_samples_of_one_moment_that_contradict_each_other_show_a_step() -> None:
    clock = LinkClock()
    clock.probe(0)
    clock.probe(10)
    assert clock.hear(ClockEcho(10, 1_050, 1_050, 1), 90) is Hearing.ANEW
    assert clock.hear(ClockEcho(0, 5_050, 5_050, 1), 100) is Hearing.ANEW
    assert clock.mesh_time(100) == pytest.approx((5_100, 53), abs=1)


def test_an_echo_of_no_probe_is_not_believed() -> None:
    clock = LinkClock(LinkClockConfig(unanswered=2))
    for sent in (1, 2, 3):
        clock.probe(sent)
    assert clock.hear(ClockEcho(1, 5, 6, 1), 10) is Hearing.STRANGE
    assert clock.hear(ClockEcho(4, 5, 6, 1), 10) is Hearing.STRANGE
    assert clock.hear(ClockEcho(2, 5, 6, 1), 10) is Hearing.ANEW


def test_another_life_of_the_other_side_begins_anew_and_its_earlier_one_is_not_heard() -> None:
    link = Link(random.Random(6))
    run(link, 20)
    late, at = link.exchange()
    link.incarnation, link.skew_us = 2, 40_000
    assert link.ask() is Hearing.ANEW
    assert link.clock.hear(late, at) is Hearing.STRANGE
    assert abs(link.error_us()) <= link.reading().error_us
    due = link.clock.due_us()
    assert due is not None
    assert due - link.local(link.true_us) <= LinkClockConfig().burst_interval_us


def test_a_new_side_is_measured_in_a_burst_and_then_seldom() -> None:
    link = Link(random.Random(7))
    assert link.clock.due_us() is None
    asked = []
    for _ in range(8):
        link.until_due()
        asked.append(link.true_us)
        link.ask()
    spans = [round((later - one) / 1000) for one, later in itertools.pairwise(asked)]
    assert spans == [50, 50, 50, 50, 50, 5_000, 5_000]
    assert link.clock.trip_us == pytest.approx(120, abs=80)


def test_below_a_parent_the_errors_add_up_and_still_hold() -> None:
    rng = random.Random(8)
    upper = Link(rng)
    run(upper, 10)
    lower = Link(rng, local_pace=1 + 30e-6)
    lower.true_us = upper.true_us
    for _ in range(30):
        lower.until_due()
        upper.true_us = lower.true_us
        sent = lower.local(lower.true_us)
        lower.clock.probe(sent)
        received = lower.true_us + loopback(rng)
        answer = upper.reading(received)
        lower.true_us = received + loopback(rng)
        echo = ClockEcho(sent, answer.time_us, answer.time_us, 1, 1, answer.error_us)
        lower.clock.hear(echo, lower.local(lower.true_us))
        assert lower.reading().error_us > answer.error_us
        assert abs(lower.reading().time_us - upper.mesh(lower.true_us)) <= lower.reading().error_us


def test_a_successor_goes_on_with_mesh_time_and_nobody_jumps_beyond_the_bounds() -> None:
    """Two processes follow one orchestrator; one takes over, the other follows it from then on."""
    rng = random.Random(9)
    heir, other = Link(rng), Link(rng, local_pace=1 - 40e-6)
    for link in (heir, other):
        run(link, 30)
    now = max(heir.true_us, other.true_us)
    heir.true_us = other.true_us = now
    before, bound = heir.reading(), heir.reading().error_us
    assert heir.clock.line is not None
    root = heir.clock.line.as_root(heir.local(now))
    assert root.read(heir.local(now)) == (before.time_us, 0)
    last = other.reading()
    for exchange in range(40):
        other.until_due()
        sent, received = other.local(other.true_us), other.true_us + loopback(rng)
        other.clock.probe(sent)
        answer = root.read(heir.local(received)).time_us
        other.true_us = received + loopback(rng)
        at = other.local(other.true_us)
        expected = other.clock.mesh_time(at)
        assert expected is not None
        heard = other.clock.hear(ClockEcho(sent, answer, answer, 1, era=2), at)
        assert heard is (Hearing.TAKEN if exchange else Hearing.ANEW)
        last = other.reading()
        jump = abs(last.time_us - expected.time_us)
        assert jump <= expected.error_us + last.error_us + (bound if exchange == 0 else 0)
        assert abs(last.time_us - root.read(heir.local(other.true_us)).time_us) <= last.error_us
    # The old clock, had it lived, is still near: the heir goes on at the pace that it had measured.
    elapsed_s = (other.true_us - now) / SECOND_US
    assert abs(last.time_us - other.mesh(other.true_us)) < 500 + 3 * elapsed_s


def test_the_first_orchestrator_begins_at_its_wall_clock() -> None:
    line = root_line(5, EPOCH_US)
    assert line.read(5 + SECOND_US) == (EPOCH_US + SECOND_US, 0)


@pytest.mark.parametrize("drift", [-200e-6, 0.0, 200e-6])
@pytest.mark.parametrize("ahead_us", [-SECOND_US, 0, 1, 3_600 * SECOND_US])
def test_the_local_time_of_a_mesh_time_is_the_inverse(drift: float, ahead_us: int) -> None:
    line = MeshLine(1_000, EPOCH_US, drift)
    assert line.read(line.local_time(EPOCH_US + ahead_us)).time_us == pytest.approx(
        EPOCH_US + ahead_us, abs=1
    )
