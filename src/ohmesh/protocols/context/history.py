"""The versions of a context that somebody knows: a graph whose edges lead from a version to its parents.

Two versions have *diverged* where neither came from the other. How far is counted in versions since their common
ancestor; of several common ancestors the one with the longest past is taken, and of equals the one with the lesser
name, so that everybody who knows the same versions finds the same one.

Invariants: a version that was added is never changed; a parent may be unknown (history is bounded, the oldest go
first), never a child of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ohmesh.errors import InvalidArgument
from ohmesh.model.context import ContextVersion

MAX_VERSIONS = 1_000


class Divergence(NamedTuple):
    """ancestor: b"" where none is known. ours, theirs: versions since then, on each side."""

    ancestor: bytes
    ours: int
    theirs: int

    @property
    def depth(self) -> int:
        """The longer of the two ways."""
        return max(self.ours, self.theirs)

    @property
    def is_diverged(self) -> bool:
        """Neither side came from the other."""
        return bool(self.ours and self.theirs)


class ContextHistory:
    """At most `limit` versions are known."""

    def __init__(self, versions: Iterable[ContextVersion] = (), *, limit: int = MAX_VERSIONS) -> None:
        self._parents: dict[bytes, ContextVersion] = {}
        self._heights: dict[bytes, int] = {}
        self._limit = limit
        self.add_all(versions)

    def __contains__(self, version: bytes) -> bool:
        return version in self._parents

    def __len__(self) -> int:
        return len(self._parents)

    def find(self, prefix: bytes) -> bytes:
        """The one version whose name begins so; b"" where there is none, or more than one."""
        found = [name for name in self._parents if name.startswith(prefix)] if prefix else []
        return found[0] if len(found) == 1 else b""

    def get(self, version: bytes) -> ContextVersion | None:
        return self._parents.get(version)

    def add(self, version: ContextVersion) -> bytes:
        """Its name. Adding it again changes nothing."""
        name = version.hash
        if name not in self._parents:
            self._parents[name] = version
            self._heights[name] = 1 + max((self._heights.get(one, 0) for one in version.parents), default=0)
        return name

    def add_all(self, versions: Iterable[ContextVersion]) -> None:
        """In any order; heights are those of parents before children."""
        new = {version.hash: version for version in versions if version.hash not in self._parents}
        for name in _parents_first(new):
            self.add(new[name])

    def ancestors(self, version: bytes) -> set[bytes]:
        """All that are known, itself among them; empty for no version."""
        found: set[bytes] = set()
        waiting = [version] if version in self._parents else []
        while waiting:
            name = waiting.pop()
            if name in found:
                continue
            found.add(name)
            waiting += [one for one in self._parents[name].parents if one in self._parents]
        return found

    def is_ancestor(self, older: bytes, newer: bytes) -> bool:
        """Whether `newer` came from `older`, or is it. No context at all (b"") is older than everything."""
        return not older or older in self.ancestors(newer)

    def divergence(self, ours: bytes, theirs: bytes) -> Divergence:
        """Raises InvalidArgument: a version that is not known."""
        for name in (ours, theirs):
            if name and name not in self._parents:
                raise InvalidArgument(f"Context {name.hex()[:16]} is not known here.")
        mine, others = self.ancestors(ours), self.ancestors(theirs)
        shared = mine & others
        ancestor = min(shared, key=lambda name: (-self._heights[name], name), default=b"")
        return Divergence(ancestor, len(mine - others), len(others - mine))

    def missing(self, have: Iterable[bytes], want: bytes) -> list[ContextVersion]:
        """What somebody who holds the versions `have` lacks of `want` and its past, parents first."""
        known: set[bytes] = set()
        for name in have:
            known |= self.ancestors(name)
        lacking = {name: self._parents[name] for name in self.ancestors(want) - known}
        return [lacking[name] for name in _parents_first(lacking)]

    def lineage(self, version: bytes, limit: int) -> list[ContextVersion]:
        """It and the nearest of its past, parents first, `limit` in all."""
        names = sorted(self.ancestors(version), key=lambda name: (-self._heights[name], name))[:limit]
        kept = {name: self._parents[name] for name in names}
        return [kept[name] for name in _parents_first(kept)]

    def newest(self, count: int) -> list[bytes]:
        """Names of those with the longest past."""
        return sorted(self._heights, key=lambda name: (-self._heights[name], name))[:count]

    def prune(self, keep: Iterable[bytes]) -> None:
        """Down to the limit: the oldest go, those of `keep` stay."""
        surplus = len(self._parents) - self._limit
        if surplus <= 0:
            return
        kept = set(keep)
        oldest = sorted(self._parents.keys() - kept, key=lambda name: (self._heights[name], name))
        for name in oldest[:surplus]:
            del self._parents[name], self._heights[name]

    def versions(self) -> list[ContextVersion]:
        """Parents first."""
        return [self._parents[name] for name in _parents_first(self._parents)]


def _parents_first(versions: dict[bytes, ContextVersion]) -> Iterator[bytes]:
    """Kahn (1962); equals by name."""
    children: dict[bytes, list[bytes]] = {}
    waits_for = {}
    for name, version in versions.items():
        held = [one for one in version.parents if one in versions]
        waits_for[name] = len(held)
        for one in held:
            children.setdefault(one, []).append(name)
    ready = sorted((name for name, count in waits_for.items() if not count), reverse=True)
    while ready:
        name = ready.pop()
        yield name
        for child in sorted(children.get(name, ()), reverse=True):
            waits_for[child] -= 1
            if not waits_for[child]:
                ready.append(child)
