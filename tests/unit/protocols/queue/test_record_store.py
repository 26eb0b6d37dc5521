"""Records by slot: each is what was put there last, and what is dropped gives its room back."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from ohmesh.protocols.queue.record_store import BLOCK_BYTES, RecordStore


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.sampled_from([0, 60, 9_000, 20_000, 90_000])))
)
def test_it_is_what_a_dict_says(changes: list[tuple[bool, int, int]]) -> None:
    store, expected = RecordStore(), dict[int, bytes]()
    free: list[int] = []
    for number, (is_put, choice, size) in enumerate(changes):
        if is_put:
            slot = free.pop() if free else len(expected) + 1
            expected[slot] = bytes([number % 256]) * size
            store.put(slot, expected[slot])
        elif expected:
            slot = sorted(expected)[choice % len(expected)]
            store.drop(slot)
            del expected[slot]
            free.append(slot)
        assert {slot: bytes(store.get(slot)) for slot in expected} == expected
    assert store.used_bytes == sum(len(record) + 8 for record in expected.values())
    assert store.held_bytes >= store.used_bytes


def test_what_is_held_stays_near_what_is_used() -> None:
    rng, store = random.Random(1), RecordStore()
    for slot in range(1, 20_001):
        store.put(slot, b"x" * 100)
    slots = list(range(1, 20_001))
    rng.shuffle(slots)
    for slot in slots[:18_000]:
        store.drop(slot)
    assert store.held_bytes < 3 * store.used_bytes + 8 * BLOCK_BYTES
    assert all(store.get(slot) == b"x" * 100 for slot in slots[18_000:])


def test_where_the_oldest_go_first_nothing_is_moved() -> None:
    store = RecordStore()
    for slot in range(1, 10_001):
        store.put(slot, b"x" * 100)
    for slot in range(1, 9_000):
        store.drop(slot)
    assert store.moves == 0
    assert store.held_bytes < store.used_bytes + 2 * BLOCK_BYTES


def test_a_large_record_stands_apart_and_takes_its_room_along() -> None:
    store = RecordStore()
    store.put(1, b"small")
    store.put(2, b"x" * 500_000)
    assert store.held_bytes == BLOCK_BYTES + 500_008
    store.drop(2)
    assert store.held_bytes == BLOCK_BYTES
    assert store.get(1) == b"small"
