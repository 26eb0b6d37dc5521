"""In what order a reader hears items that come late, twice, anew or not at all."""

from __future__ import annotations

from collections.abc import Iterable

from ohmesh.model.message import StreamItems
from ohmesh.protocols.stream.order import ITEM_OVERHEAD_BYTES, ItemOrder, Ready


def items(lease: int, first: int, *values: bytes, attempt: int = 1) -> StreamItems:
    return StreamItems("task", attempt, lease, first, list(values))


def popped(order: ItemOrder) -> list[bytes]:
    found = []
    while (ready := order.pop()) is not None:
        found.append(ready.value)
    return found


def told(readies: Iterable[Ready]) -> list[tuple[int, int, bytes]]:
    return [(ready.attempt, ready.number, ready.value) for ready in readies]


def test_items_out_of_order_and_twice_are_given_in_order_and_once() -> None:
    order = ItemOrder()
    order.take(items(7, 1, b"b", b"c"))
    assert popped(order) == []
    assert order.is_missing
    order.take(items(7, 0, b"a", b"b"))
    order.take(items(7, 0, b"a"))
    assert popped(order) == [b"a", b"b", b"c"]
    assert not order.is_missing


def test_a_later_lease_begins_anew_and_an_earlier_one_is_heard_no_more() -> None:
    order = ItemOrder()
    order.take(items(7, 0, b"a", b"b"))
    assert popped(order) == [b"a", b"b"]
    order.take(items(8, 0, b"A", attempt=2))
    order.take(items(7, 2, b"c"))
    assert order.pop() == Ready(2, 0, b"A")
    assert order.pop() is None


def test_the_end_fills_what_is_missing() -> None:
    order = ItemOrder()
    order.take(items(7, 0, b"a"))
    order.take(items(7, 2, b"c"))
    assert popped(order) == [b"a"]
    assert told(order.finish([b"a", b"b", b"c"], 1)) == [(1, 1, b"b"), (1, 2, b"c")]


def test_a_reader_that_heard_nothing_has_all_from_the_end() -> None:
    assert told(ItemOrder().finish([b"a", b"b"], 3)) == [(3, 0, b"a"), (3, 1, b"b")]


def test_the_end_of_another_attempt_begins_anew() -> None:
    order = ItemOrder()
    order.take(items(7, 0, b"a"))
    assert popped(order) == [b"a"]
    assert told(order.finish([b"a", b"b"], 2)) == [(2, 0, b"a"), (2, 1, b"b")]


def test_the_end_of_a_repeated_attempt_that_yielded_otherwise_begins_anew() -> None:
    order = ItemOrder()
    order.take(items(7, 0, b"a"))
    assert popped(order) == [b"a"]
    assert told(order.finish([b"A", b"b"], 1)) == [(1, 0, b"A"), (1, 1, b"b")]


def test_a_reader_that_comes_back_goes_on_behind_what_it_has() -> None:
    order = ItemOrder(after=(1, 0))
    order.take(items(7, 0, b"a", b"b"))
    assert popped(order) == [b"b"]
    assert told(ItemOrder(after=(1, 0)).finish([b"a", b"b"], 1)) == [(1, 1, b"b")]
    assert told(ItemOrder(after=(1, 0)).finish([b"a"], 2)) == [(2, 0, b"a")]


def test_what_does_not_fit_is_missing_later_and_the_next_one_always_fits() -> None:
    order = ItemOrder(buffer_bytes=2 * (ITEM_OVERHEAD_BYTES + 1))
    order.take(items(7, 0, b"a", b"b", b"c", b"d"))
    assert popped(order) == [b"a", b"b"]
    assert order.is_missing
    assert order.next == 2
    order.take(items(7, 2, bytes(1000), b"d"))
    assert popped(order) == [bytes(1000)]
