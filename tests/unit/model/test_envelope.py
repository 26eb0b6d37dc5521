"""Envelopes on the wire: arrays of what is encoded already, ids of items, and where a value stands."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import InvalidArgument
from ohmesh.model.envelope import item_id, join, parts_of, place_of, slots_of, split

VALUES = st.lists(st.recursive(st.none() | st.integers(-5, 5) | st.text(max_size=3), st.lists, max_leaves=4))


@given(VALUES)
def test_what_is_joined_is_an_array_and_splits_again(values: list[object]) -> None:
    encoded = [msgspec.msgpack.encode(value) for value in values]
    array = join(encoded, len(encoded))
    assert msgspec.msgpack.decode(array) == values
    assert split(array) == encoded
    assert split(msgspec.msgpack.encode(values)) == encoded, "also as an encoder writes it"


@pytest.mark.parametrize("data", [b"", b"\x01", b"\xdd\x00\x00\x00\x02\x01", b"\x91\xc1"])
def test_what_is_no_array_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidArgument):
        split(data)


def test_the_id_of_an_item_tells_its_envelope_and_its_place() -> None:
    assert parts_of(item_id("01M8", 255)) == ("01M8", 255)
    assert parts_of("a.b.3") == ("a.b", 3)
    for other in ("01M8", "01M8.", "01M8.x", "01M8.-1", "01M8.007", "01M8.1234567", "01M8.\u0663"):
        assert parts_of(other) is None


@given(st.integers(1, 20), st.sets(st.integers(0, 19)))
def test_values_stand_in_the_order_of_the_items_that_did_not_come_out(items: int, opened: set[int]) -> None:
    contained = [index for index in range(items) if index not in opened]
    assert [place_of(index, items, opened) for index in contained] == list(range(len(contained)))
    assert all(place_of(index, items, opened) is None for index in (*opened, -1, items))


def test_more_items_take_more_slots() -> None:
    assert [slots_of(items) for items in (0, 1, 31, 32, 256)] == [1, 1, 1, 2, 9]
