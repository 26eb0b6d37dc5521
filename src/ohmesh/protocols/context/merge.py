"""Two contexts into one, entry by entry, by what each changed since their common ancestor (a three-way merge).

    base  ours  theirs   merged
     x     x      x        x
     x     y      x        y        only we changed it
     x     x      y        y        only they changed it
     x     y      y        y        both, alike
     x     y      z        conflict, named by its key

An entry that is missing is a value like any other: removing it is a change. Merging is symmetric: with the sides
exchanged the result is the same, and so are the keys in conflict.

Where the ancestor is not known nobody can say who changed what: then whatever differs is a conflict.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ohmesh.model.context import Entries


class EntryConflict(NamedTuple):
    """None: removed, or never there."""

    key: str
    base: bytes | None
    ours: bytes | None
    theirs: bytes | None


class Merged(NamedTuple):
    """entries: without those in conflict."""

    entries: dict[str, bytes]
    conflicts: tuple[EntryConflict, ...]


def merge(base: Entries | None, ours: Entries, theirs: Entries) -> Merged:
    """base: None where the common ancestor is not known."""
    entries: dict[str, bytes] = {}
    conflicts = []
    known = base or {}
    for key in sorted({*known, *ours, *theirs}):
        before, mine, other = known.get(key), ours.get(key), theirs.get(key)
        if mine == other or (base is not None and other == before):
            chosen = mine
        elif base is not None and mine == before:
            chosen = other
        else:
            conflicts.append(EntryConflict(key, before, mine, other))
            continue
        if chosen is not None:
            entries[key] = chosen
    return Merged(entries, tuple(conflicts))


def changed(entries: Entries, put: Entries, removed: tuple[str, ...] = ()) -> dict[str, bytes]:
    """`entries` with a patch applied; removing what is not there is no error."""
    return {key: value for key, value in {**entries, **put}.items() if key not in removed}


def difference(before: Entries, after: Entries) -> tuple[Mapping[str, bytes], tuple[str, ...]]:
    """The patch (put, removed) that makes `after` of `before`."""
    put = {key: value for key, value in after.items() if before.get(key) != value}
    return put, tuple(sorted(before.keys() - after.keys()))
