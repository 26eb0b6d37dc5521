"""A set of 64-bit words: what was added and not removed is in it, however much they are alike."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.protocols.queue.word_set import SPREAD_SHIFT, WordSet

# Few of its arrays, and many words of one upper half.
crowded = st.builds(
    lambda high, number, low: (high << 10 | number) << SPREAD_SHIFT | low,
    st.integers(0, 10),
    st.integers(0, 1),
    st.integers(0, 3),
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


@given(st.lists(st.integers(0, (1 << 64) - 1), max_size=40), st.lists(st.integers(0, 1 << 45), max_size=40))
def test_many_added_at_once_are_the_same_as_one_by_one(present: list[int], added: list[int]) -> None:
    at_once, singly = WordSet(), WordSet()
    for one in (at_once, singly):
        one.update(present)
    singly.update(added)
    assert len(list(at_once.update_sorted(np.array(added, np.uint64)))) > 1, "others have their turn"
    assert len(at_once) == len(singly)
    for word in (*present, *added):
        assert at_once.alike(word >> SPREAD_SHIFT) == singly.alike(word >> SPREAD_SHIFT)
