"""A set of 64-bit words: what was added and not removed is in it, however crowded its tables are."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.protocols.queue.word_set import SPREAD_SHIFT, WordSet

# Few places and few tables, so that runs of probes wrap and collide.
crowded = st.builds(
    lambda home, table, low: (home << 8 | table) << SPREAD_SHIFT | low,
    st.integers(0, 30),
    st.integers(0, 1),
    st.integers(1, 3),
)


@given(st.lists(st.tuples(st.booleans(), crowded), max_size=200))
def test_it_is_what_a_counter_says(changes: list[tuple[bool, int]]) -> None:
    words, expected = WordSet(), Counter[int]()
    for is_added, word in changes:
        if is_added:
            words.add(word)
            expected[word] += 1
        elif expected[word]:
            words.remove(word)
            expected[word] -= 1
        else:
            with pytest.raises(KeyError):
                words.remove(word)
    assert len(words) == expected.total()
    for word in {word for _, word in changes}:
        assert (word in words) == (expected[word] > 0)
        alike = [each for each in expected.elements() if each >> SPREAD_SHIFT == word >> SPREAD_SHIFT]
        assert sorted(words.alike(word >> SPREAD_SHIFT)) == sorted(alike)


def test_what_has_grown_shrinks_again() -> None:
    rng, words = random.Random(1), WordSet()
    numbers = [rng.getrandbits(64) | 1 for _ in range(10_000)]
    for number in numbers:
        words.add(number)
    grown = words.places()
    assert grown < 4 * len(numbers)
    for number in numbers:
        words.remove(number)
    assert len(words) == 0
    assert words.places() < grown / 10
