"""Network coordinates: how well they predict, how soon they follow a change, and what they do not learn from."""

from __future__ import annotations

import math
import random
import statistics

import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.protocols.membership.coordinates import Coordinate, Vivaldi

PEERS = 8


class Net:
    """Members in cities on a plane, each with a way of its own to the net; round trips are noisy."""

    def __init__(self, count: int, rng: random.Random) -> None:
        self.rng = rng
        cities = [(rng.uniform(0, 150), rng.uniform(0, 80)) for _ in range(6)]
        self.homes = [rng.choice(cities) for _ in range(count)]
        self.ways_ms = [rng.uniform(0.5, 10) for _ in range(count)]
        self.members = [Vivaldi() for _ in range(count)]

    def rtt_ms(self, one: int, other: int) -> float:
        return math.dist(self.homes[one], self.homes[other]) + self.ways_ms[one] + self.ways_ms[other]

    def round(self) -> None:
        for one, member in enumerate(self.members):
            other = self.rng.randrange(len(self.members) - 1)
            other += other >= one
            noisy_ms = self.rtt_ms(one, other) * self.rng.uniform(1.0, 1.1)
            member.learn(self.members[other].coordinate, noisy_ms, self.rng.random)

    def median_error(self, of: int | None = None) -> float:
        pairs = [(one, other) for one in range(len(self.members)) for other in range(one)]
        if of is not None:
            pairs = [pair for pair in pairs if of in pair]
        return statistics.median(
            abs(self.members[one].coordinate.rtt_ms(self.members[other].coordinate) - true_ms) / true_ms
            for one, other in pairs
            if (true_ms := self.rtt_ms(one, other))
        )


def test_after_a_few_round_trips_the_time_between_any_two_is_known() -> None:
    net = Net(60, random.Random(1))
    for _ in range(80):
        net.round()
    assert net.median_error() < 0.1


def test_a_member_that_moves_is_found_again() -> None:
    net = Net(40, random.Random(2))
    for _ in range(80):
        net.round()
    net.homes[5] = (400.0, 300.0)
    moved = net.median_error(5)
    for _ in range(60):
        net.round()
    assert net.median_error(5) < 0.12 < moved


def test_two_in_one_place_part() -> None:
    one, other = Vivaldi(), Vivaldi()
    one.learn(other.coordinate, 50.0, random.Random(3).random)
    assert math.dist(one.coordinate.place, other.coordinate.place) > 1.0


@pytest.mark.parametrize(
    ("other", "rtt_ms"),
    [
        (Coordinate((math.nan, 0.0, 0.0)), 10.0),
        (Coordinate((0.0, 0.0)), 10.0),
        (Coordinate((0.0, 0.0, 0.0), -1.0), 10.0),
        (Coordinate((0.0, 0.0, 0.0)), -1.0),
        (Coordinate((0.0, 0.0, 0.0)), math.inf),
        (Coordinate((0.0, 0.0, 0.0)), 11_000.0),
    ],
)
def test_what_cannot_be_is_not_learnt_from(other: Coordinate, rtt_ms: float) -> None:
    member = Vivaldi()
    with pytest.raises(InvalidArgument, match="not to be learnt from"):
        member.learn(other, rtt_ms, random.Random(4).random)
    assert member.coordinate == Coordinate((0.0, 0.0, 0.0))
