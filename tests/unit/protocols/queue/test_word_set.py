"""A set of 64-bit words: what was added and not removed is in it, however much they are alike."""

from __future__ import annotations

from collections import Counter

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
