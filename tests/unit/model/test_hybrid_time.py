"""Hybrid stamps: packed, unpacked, compared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import InvalidArgument
from ohmesh.model.hybrid_time import MAX_COUNTER, MAX_PHYSICAL_MS, pack_stamp, physical_ms, unpack_stamp

PARTS = st.tuples(st.integers(0, MAX_PHYSICAL_MS), st.integers(0, MAX_COUNTER))


@given(PARTS, PARTS)
def test_stamps_compare_as_their_parts_do(one: tuple[int, int], other: tuple[int, int]) -> None:
    assert (pack_stamp(*one) < pack_stamp(*other)) == (one < other)
    assert unpack_stamp(pack_stamp(*one)) == one
    assert physical_ms(pack_stamp(*one)) == one[0]


def test_the_layout_is_that_of_the_page() -> None:
    assert pack_stamp(1_770_000_000_000, 3) == 1_770_000_000_000 * 65_536 + 3
    assert pack_stamp(MAX_PHYSICAL_MS, MAX_COUNTER) == 2**63 - 1


@pytest.mark.parametrize("parts", [(-1, 0), (0, -1), (MAX_PHYSICAL_MS + 1, 0), (0, MAX_COUNTER + 1)])
def test_what_does_not_fit_is_refused(parts: tuple[int, int]) -> None:
    with pytest.raises(InvalidArgument, match="does not fit"):
        pack_stamp(*parts)


@pytest.mark.parametrize("stamp", [-1, 2**63])
def test_what_is_no_stamp_is_refused(stamp: int) -> None:
    with pytest.raises(InvalidArgument, match="not a stamp"):
        unpack_stamp(stamp)
