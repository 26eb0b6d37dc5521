"""Averages by gossip: how fast, and that no mass is lost whatever messages are."""

from __future__ import annotations

import math
import os
import random

import numpy as np
import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.protocols.consensus.gossip.averaging import Averaging

FACTOR = 1 / (2 * math.sqrt(math.e))
SIZES = [1000, 30_000] if os.environ.get("OHMESH_SOAK") else [1000]


def members(count: int, rng: random.Random) -> list[Averaging]:
    return [Averaging(np.array([rng.random(), float(at == 0)]), life=1) for at in range(count)]


def exchange(group: list[Averaging], one: int, other: int, rng: random.Random, loss: float = 0.0) -> None:
    """An offer and its answer, each of which may get lost."""
    if group[one].is_busy_with(str(other)):
        return
    offer = group[one].offer(str(other), 0.0)
    if rng.random() < loss:
        return
    share = group[other].answer(str(one), offer)
    if rng.random() >= loss:
        group[one].take(share)


def spread(group: list[Averaging]) -> float:
    return float(np.var([each.values[0] for each in group]))


@pytest.mark.parametrize("count", SIZES)
def test_the_variance_falls_by_the_factor_of_the_paper_each_cycle(count: int) -> None:
    rng = random.Random(1)
    group = members(count, rng)
    mean = np.mean([each.values[0] for each in group])
    first = before = spread(group)
    for _ in range(10):
        for one in range(count):
            other = rng.randrange(count - 1)
            exchange(group, one, other + (other >= one), rng)
        before = spread(group)
    assert (before / first) ** 0.1 == pytest.approx(FACTOR, rel=0.03)
    assert np.mean([each.values[0] for each in group]) == pytest.approx(mean, abs=1e-12)


def test_how_many_there_are_is_an_average_too() -> None:
    rng = random.Random(2)
    group = members(300, rng)
    for _ in range(25):
        for one in range(300):
            other = rng.randrange(299)
            exchange(group, one, other + (other >= one), rng)
    assert [round(1 / each.values[1]) for each in group] == [300] * 300


def test_lost_answers_are_asked_for_and_the_sum_is_what_it_was() -> None:
    rng = random.Random(3)
    group = members(200, rng)
    total = sum(each.values[0] for each in group)
    for cycle in range(40):
        for one in range(200):
            other = rng.randrange(199)
            exchange(group, one, other + (other >= one), rng, loss=0.25)
        for one, each in enumerate(group):
            for peer, offer in each.due((cycle + 1) * 1000.0):
                if rng.random() >= 0.25:
                    each.take(group[int(peer)].answer(str(one), offer))
    while any(each.open for each in group):
        for one, each in enumerate(group):
            for peer, offer in each.due(1e9 + rng.random() * 1e9):
                each.take(group[int(peer)].answer(str(one), offer))
    assert sum(each.values[0] for each in group) == pytest.approx(total, abs=1e-9)
    assert max(abs(each.values[0] - total / 200) for each in group) < 1e-3 * total / 200
    assert not any(each.lost for each in group)


def test_the_same_offer_again_gets_the_same_answer_and_the_same_answer_again_changes_nothing() -> None:
    one, other = Averaging(np.array([0.0]), life=1), Averaging(np.array([8.0]), life=1)
    offer = one.offer("other", 0.0)
    share = other.answer("one", offer)
    assert other.answer("one", offer) == share
    one.take(share)
    one.take(share)
    assert (one.values[0], other.values[0]) == (4.0, 4.0)


def test_an_offer_of_a_former_life_changes_nothing() -> None:
    old, new, other = (Averaging(np.array([at]), life=life) for at, life in ((0.0, 1), (2.0, 2), (8.0, 1)))
    late = old.offer("other", 0.0)
    new.take(other.answer("one", new.offer("other", 0.0)))
    other.answer("one", late)
    assert (new.values[0], other.values[0]) == (5.0, 5.0)


def test_a_peer_that_never_answers_is_given_up() -> None:
    one = Averaging(np.array([1.0]), life=1, tries=3)
    one.offer("gone", 0.0)
    repeated = [len(one.due(at * 1000.0)) for at in range(1, 5)]
    assert repeated == [1, 1, 0, 0]
    assert (one.open, one.lost) == (0, 1)


def test_others_that_average_something_else_are_refused() -> None:
    one, other = Averaging(np.array([1.0]), life=1), Averaging(np.array([1.0, 2.0]), life=1)
    with pytest.raises(InvalidArgument, match="averages 1 values, and here are 2"):
        other.answer("one", one.offer("other", 0.0))
