"""Ids: 26 characters, rising, unique, readable as the time of their making."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from ohmesh.model.identity import IdSource, encode_base32

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@given(st.integers(0, 2**50 - 1))
def test_base32_is_crockfords_and_can_be_read_back(value: int) -> None:
    value_read = 0
    for character in encode_base32(value, 10):
        value_read = value_read * 32 + ALPHABET.index(character)
    assert value_read == value


def test_ids_rise_and_are_unique_although_the_clock_stands_or_steps_back() -> None:
    rng = random.Random(7)
    times = iter([1_700_000_000_000, 1_700_000_000_000, 1_600_000_000_000, 1_700_000_000_005])
    source = IdSource(lambda: next(times), rng.getrandbits)
    ids = []
    for _ in range(4):
        ids += [source.next() for _ in range(5_000)]
        if len(ids) < 20_000:
            source.refresh()
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    assert {len(each) for each in ids} == {26}


def test_an_id_begins_with_the_time_of_its_making() -> None:
    source = IdSource(lambda: 1_750_000_000_123, random.Random(1).getrandbits)
    assert source.next()[:10] == encode_base32(1_750_000_000_123, 10)


def test_a_counter_that_runs_over_takes_a_new_time_stamp() -> None:
    source = IdSource(lambda: 5, lambda count: (1 << 30) - 3 if count == 20 else 1)
    first, second, third = (source.next() for _ in range(3))
    assert first < second < third
    assert first[:10] == second[:10] < third[:10]


def test_two_sources_do_not_make_the_same_ids() -> None:
    sources = [IdSource(lambda: 5, random.Random(seed).getrandbits) for seed in range(2)]
    ids = [[source.next() for _ in range(1_000)] for source in sources]
    assert not set(ids[0]) & set(ids[1])
