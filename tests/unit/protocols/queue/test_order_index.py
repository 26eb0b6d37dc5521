"""Numbers in their order, in pieces: what comes out is sorted, whatever came in where."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.protocols.queue.order_index import OrderIndex


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 60)), max_size=150), st.integers(0, 61))
def test_it_is_what_a_sorted_set_says(changes: list[tuple[bool, int]], bound: int) -> None:
    index, expected = OrderIndex(piece=4), set[int]()
    for is_added, number in changes:
        if is_added and number not in expected:
            index.add(number)
            expected.add(number)
        elif not is_added and number in expected:
            index.remove(number)
            expected.remove(number)
        elif not is_added and expected:
            with pytest.raises(ValueError, match=f"{number} is not in the index"):
                index.remove(number)
    assert list(index) == sorted(expected)
    assert len(index) == len(expected)
    below = [number for number in sorted(expected, reverse=True) if number < bound]
    assert list(index.below(bound)) == below
