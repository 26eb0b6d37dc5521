"""Ids of forgotten tasks: none is missed, and in columns of a snapshot they are the same."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import LogCorrupt
from ohmesh.protocols.queue.forgotten import ForgottenIds
from ohmesh.protocols.queue.snapshot_form import to_bytes

ids = st.lists(st.text("abc01.", min_size=1, max_size=12), unique=True, max_size=60)


def filled(names: list[str]) -> ForgottenIds:
    """Five end at a time, at 0, 10, 20 ms and so on."""
    forgotten = ForgottenIds()
    for at, group in groupby(enumerate(names), key=lambda pair: pair[0] // 5):
        batch = [name for _, name in group]
        forgotten.extend(batch, [10 * at] * len(batch))
    return forgotten


def packed(numbers: Iterable[int]) -> bytes:
    return to_bytes(array("Q", numbers))


def columns(forgotten: ForgottenIds) -> tuple[bytes, bytes]:
    digests, ended_ms = forgotten.frozen()
    return packed(digests), packed(ended_ms)


@given(ids, st.integers(0, 60))
def test_those_that_were_not_dropped_are_remembered(names: list[str], dropped: int) -> None:
    forgotten, dropped = filled(names), min(dropped, len(names))
    last_ms = forgotten.drop(dropped)
    assert last_ms == (10 * ((dropped - 1) // 5) if dropped else 0)
    assert [name for name in names if name in forgotten] == names[dropped:]
    assert len(forgotten) == len(names) - dropped
    assert "another" not in forgotten


@given(ids, st.integers(-5, 130), st.integers(0, 70))
def test_how_many_of_the_oldest_had_ended_by_then(names: list[str], until_ms: int, most: int) -> None:
    ended = [10 * (place // 5) for place in range(len(names))]
    assert filled(names).count_up_to(until_ms, most) == sum(at <= until_ms for at in ended[:most])


@given(ids)
def test_columns_hold_them(names: list[str]) -> None:
    restored = ForgottenIds()
    restored.restore(*columns(filled(names)))
    assert all(name in restored for name in names)
    assert columns(restored) == columns(filled(names))


@given(ids, ids, st.integers(0, 70))
def test_frozen_ones_are_as_they_were_whatever_comes_and_goes(
    names: list[str], later: list[str], count: int
) -> None:
    forgotten = filled(names)
    frozen, before = forgotten.frozen(), columns(forgotten)
    forgotten.extend(later, range(len(later)))
    forgotten.drop(min(count, len(forgotten)))
    assert tuple(map(packed, frozen)) == before


def test_tasks_may_have_ended_far_from_each_other() -> None:
    forgotten = ForgottenIds()
    ended = [5, 1 << 33, 7, (1 << 33) + 2, 1 << 40]
    forgotten.extend(list("abcde"), ended)
    assert [forgotten.drop(1) for _ in ended] == ended


def test_columns_that_were_cut_are_refused() -> None:
    digests, ended = columns(filled(["a", "b"]))
    with pytest.raises(LogCorrupt, match="15 bytes are no column"):
        ForgottenIds().restore(digests[:-1], ended[:-1])
    with pytest.raises(LogCorrupt, match="16 bytes of digests are said to have ended at 8 bytes"):
        ForgottenIds().restore(digests, ended[:-8])


def test_more_than_are_remembered_cannot_be_dropped() -> None:
    with pytest.raises(LogCorrupt, match="moved over 3 ids, 2 are remembered"):
        filled(["a", "b"]).drop(3)


def test_who_is_never_asked_keeps_times_only() -> None:
    forgotten = filled(["a", "b"])
    forgotten.keep_count_only()
    forgotten.extend(["c"], [70])
    assert not any(name in forgotten for name in "abc")
    assert len(forgotten) == 3
    assert forgotten.drop(3) == 70


def test_names_that_differ_a_little_are_told_apart() -> None:
    """Numbered names, as people make them: among a hundred thousand no two have one digest."""
    names = [f"order-2026-{number:06d}" for number in range(100_000)]
    forgotten = ForgottenIds()
    forgotten.extend(names[::2], [0] * 50_000)
    assert not any(name in forgotten for name in names[1::2])
