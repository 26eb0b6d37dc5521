"""Three-way merging, entry by entry."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.protocols.context.merge import changed, difference, merge

entries = st.dictionaries(st.sampled_from("abcd"), st.sampled_from([b"1", b"2", b"3"]))


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "merged", "conflicts"),
    [
        ({"k": b"1"}, {"k": b"1"}, {"k": b"1"}, {"k": b"1"}, []),
        ({"k": b"1"}, {"k": b"2"}, {"k": b"1"}, {"k": b"2"}, []),
        ({"k": b"1"}, {"k": b"1"}, {"k": b"2"}, {"k": b"2"}, []),
        ({"k": b"1"}, {"k": b"2"}, {"k": b"2"}, {"k": b"2"}, []),
        ({"k": b"1"}, {"k": b"2"}, {"k": b"3"}, {}, ["k"]),
        ({"k": b"1"}, {}, {"k": b"1"}, {}, []),
        ({"k": b"1"}, {}, {"k": b"2"}, {}, ["k"]),
        ({}, {"k": b"1"}, {"l": b"1"}, {"k": b"1", "l": b"1"}, []),
        (None, {"k": b"1", "m": b"1"}, {"m": b"1"}, {"m": b"1"}, ["k"]),
    ],
)
def test_an_entry_is_that_of_who_changed_it(
    base: dict[str, bytes] | None,
    ours: dict[str, bytes],
    theirs: dict[str, bytes],
    merged: dict[str, bytes],
    conflicts: list[str],
) -> None:
    found = merge(base, ours, theirs)
    assert found.entries == merged
    assert [conflict.key for conflict in found.conflicts] == conflicts


@given(base=st.none() | entries, ours=entries, theirs=entries)
def test_a_merge_is_the_same_from_both_sides(
    base: dict[str, bytes] | None, ours: dict[str, bytes], theirs: dict[str, bytes]
) -> None:
    there, back = merge(base, ours, theirs), merge(base, theirs, ours)
    assert there.entries == back.entries
    assert [one.key for one in there.conflicts] == [one.key for one in back.conflicts]


@given(base=entries, theirs=entries)
def test_who_changed_nothing_gets_what_the_other_has(
    base: dict[str, bytes], theirs: dict[str, bytes]
) -> None:
    assert merge(base, base, theirs) == (theirs, ())


@given(before=entries, after=entries)
def test_a_difference_is_a_patch(before: dict[str, bytes], after: dict[str, bytes]) -> None:
    assert changed(before, *difference(before, after)) == after
