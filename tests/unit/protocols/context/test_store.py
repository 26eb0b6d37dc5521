"""Contexts of many agents: moves forward, verifying, merging, restoring, and what it costs."""

from __future__ import annotations

import numpy as np
import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.model.context import decode_content, encode_content, mark_of, version_of
from ohmesh.protocols.context.store import ContextStore

EVERY = np.arange(4)


def learnt(store: ContextStore, entries: dict[str, bytes], *parents: bytes) -> bytes:
    content = encode_content(entries)
    return store.learn(version_of(content, *parents), content)


def test_agents_with_the_same_context_cost_one_copy_of_it_and_eight_bytes_each() -> None:
    store = ContextStore(30_000)
    version = learnt(store, {"policy": b"x" * 100_000})
    store.advance(np.arange(30_000), version)
    assert (store.marks(np.arange(30_000)) == mark_of(version)).all()
    assert store.nbytes <= 8 * 30_000 + 101_000


def test_who_came_from_another_version_stays_and_is_told_how_far_it_is() -> None:
    store = ContextStore(4)
    first = learnt(store, {"a": b"1"})
    left = learnt(store, {"a": b"2"}, first)
    further = learnt(store, {"a": b"3"}, left)
    right = learnt(store, {"a": b"4"}, first)
    store.put(np.array([0]), first)
    store.put(np.array([1]), further)
    moved = store.advance(EVERY, right)
    assert moved.is_moved.tolist() == [True, False, True, True]
    assert moved.divergences[further] == (first, 2, 1)
    assert list(store.heads(np.array([1]))) == [further]


def test_who_is_merely_behind_moves_forward_over_several_versions() -> None:
    store = ContextStore(4)
    first = learnt(store, {"a": b"1"})
    second = learnt(store, {"a": b"2"}, first)
    third = learnt(store, {"a": b"3"}, second)
    store.put(EVERY, first)
    assert store.advance(EVERY, third).is_moved.all()


def test_what_was_verified_is_known_good_and_another_hash_is_not() -> None:
    store = ContextStore(4)
    first = learnt(store, {"a": b"1"})
    second = learnt(store, {"a": b"2"}, first)
    store.put(EVERY, first)
    store.put(np.array([3]), second)
    assert store.verify(EVERY, first).tolist() == [True, True, True, False]
    assert {name: places.tolist() for name, places in store.known_good(EVERY).items()} == {
        first: [0, 1, 2],
        b"": [3],
    }


def test_a_merge_holds_what_both_changed() -> None:
    store = ContextStore(4)
    base = learnt(store, {"a": b"1", "b": b"1"})
    ours = learnt(store, {"a": b"2", "b": b"1"}, base)
    theirs = learnt(store, {"a": b"1", "b": b"2"}, base)
    store.put(EVERY, ours)
    store.put(np.array([3]), theirs)
    moved, conflicts = store.merge_into(EVERY, theirs)
    assert moved.is_moved.all()
    assert not conflicts
    heads = store.heads(EVERY)
    assert heads[theirs].tolist() == [3]
    joined = next(name for name in heads if name != theirs)
    content = store.content_of(joined)
    assert content is not None
    assert decode_content(content) == {"a": b"2", "b": b"2"}
    assert store.history.is_ancestor(ours, joined)
    assert store.history.is_ancestor(theirs, joined)


def test_a_merge_in_conflict_names_the_entry_and_changes_nothing() -> None:
    store = ContextStore(1)
    base = learnt(store, {"a": b"1"})
    ours, theirs = learnt(store, {"a": b"2"}, base), learnt(store, {"a": b"3"}, base)
    store.put(np.array([0]), ours)
    moved, conflicts = store.merge_into(np.array([0]), theirs)
    assert not moved.is_moved.any()
    assert [one.key for one in conflicts[ours]] == ["a"]
    assert list(store.heads(np.array([0]))) == [ours]


def test_merging_what_is_older_changes_nothing() -> None:
    store = ContextStore(1)
    base = learnt(store, {"a": b"1"})
    newer = learnt(store, {"a": b"2"}, base)
    store.put(np.array([0]), newer)
    moved, _ = store.merge_into(np.array([0]), base)
    assert moved.is_moved.all()
    assert list(store.heads(np.array([0]))) == [newer]


def test_contents_that_nobody_holds_are_let_go_and_the_columns_mean_the_same() -> None:
    store = ContextStore(2)
    names = [learnt(store, {"a": b"first"})]
    for place in range(20):
        names.append(learnt(store, {"a": str(place).encode()}, names[-1]))
        store.put(np.array([0]), names[-1])
    store.verify(np.array([0]), names[-1])
    before = store.marks(np.arange(2)).tolist()
    store.release()
    assert store.marks(np.arange(2)).tolist() == before
    assert store.holds(names[-1])
    assert not store.holds(names[1])
    with pytest.raises(InvalidArgument, match="is not here"):
        store.put(np.array([1]), names[1])


def test_a_content_that_is_another_one_is_refused() -> None:
    version = version_of(encode_content({"a": b"1"}))
    with pytest.raises(InvalidArgument, match="not the one"):
        ContextStore(1).learn(version, encode_content({"a": b"2"}))
