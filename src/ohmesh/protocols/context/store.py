"""Contexts of the agents of one process: contents once by name, and for each agent the number of its version.

    column   bytes of an agent
    head     4   the version that it holds: a number into the list of versions that are in use; 0 for none
    good     4   the last one that was verified, which `restore` goes back to
    content  shared: agents with the same context cost one copy of it together

Setting moves an agent forward only: who holds a version that the new one did not come from is told how far it has
diverged, and stays what it was. Merging makes one of both; restoring is a move back, on purpose.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ohmesh.errors import InvalidArgument
from ohmesh.model.context import (
    ContextVersion,
    decode_content,
    encode_content,
    hash_content,
    mark_of,
    version_of,
)
from ohmesh.protocols.context.history import ContextHistory, Divergence
from ohmesh.protocols.context.merge import EntryConflict, merge

Index = NDArray[np.intp]
Numbers = NDArray[np.uint32]


@dataclass(frozen=True, slots=True, eq=False)
class Moved:
    """Of the places that were meant, in their order: `is_moved` those that hold the wanted version now. divergences:
    of the versions that the others hold."""

    is_moved: NDArray[np.bool_]
    divergences: Mapping[bytes, Divergence]


RECENT = 8  # contents that nobody holds any more are kept of so many versions: merges look at what was before


class ContextStore:
    """Of `count` agents, by their places 0 to count - 1."""

    def __init__(self, count: int) -> None:
        self.history = ContextHistory()
        self.head: Numbers = np.zeros(count, np.uint32)
        self.good: Numbers = np.zeros(count, np.uint32)
        self._names: list[bytes] = [b""]
        self._numbers: dict[bytes, int] = {b"": 0}
        self._marks = np.zeros(1, np.uint64)
        self._contents: dict[bytes, bytes] = {}

    @property
    def nbytes(self) -> int:
        """Of columns and contents."""
        return int(self.head.nbytes + self.good.nbytes) + sum(map(len, self._contents.values()))

    def learn(self, version: ContextVersion, content: bytes | None = None) -> bytes:
        """Its name. Raises InvalidArgument: a content that is another one than the version names."""
        if content is not None:
            if hash_content(content) != version.content:
                raise InvalidArgument("The content of a context is not the one that its version names.")
            self._contents[version.content] = content
        return self.history.add(version)

    def take(self, history: Iterable[ContextVersion], contents: Iterable[bytes]) -> None:
        """What another store told: `history.versions()` of it and contents of some of them."""
        self.history.add_all(history)
        self._contents.update((hash_content(content), content) for content in contents)

    def names(self) -> list[bytes]:
        """Of versions, in the order of the numbers in the columns."""
        return list(self._names)

    def holds(self, version: bytes) -> bool:
        """Whether the version is known together with its content."""
        found = self.history.get(version)
        return not version or (found is not None and found.content in self._contents)

    def content_of(self, version: bytes) -> bytes | None:
        found = self.history.get(version)
        return None if found is None else self._contents.get(found.content)

    def marks(self, at: Index) -> NDArray[np.uint64]:
        """Of their heads, for heartbeats."""
        found: NDArray[np.uint64] = self._marks[self.head[at]]
        return found

    def heads(self, at: Index) -> dict[bytes, Index]:
        """The versions that these agents hold, and for each the places within `at`."""
        return self._grouped(self.head[at])

    def known_good(self, at: Index) -> dict[bytes, Index]:
        return self._grouped(self.good[at])

    def in_use(self) -> list[bytes]:
        numbers = np.unique(np.concatenate((self.head, self.good)))
        return [self._names[number] for number in numbers.tolist() if number]

    # Moves

    def advance(self, at: Index, version: bytes) -> Moved:
        """Whose context `version` came from, holds it now. Raises InvalidArgument: its content is not here."""
        self._check(version)
        is_moved = np.zeros(len(at), bool)
        divergences = {}
        for held, places in self.heads(at).items():
            if self.history.is_ancestor(held, version):
                is_moved[places] = True
            else:
                divergences[held] = self._divergence(held, version)
        self.head[at[is_moved]] = self._number(version)
        return Moved(is_moved, divergences)

    def put(self, at: Index, version: bytes) -> None:
        """Whatever they held: a restore, a sync, a thaw. Raises InvalidArgument: its content is not here."""
        self._check(version)
        self.head[at] = self._number(version)

    def approve(self, at: Index, version: bytes) -> None:
        """It is their known good one. Raises InvalidArgument: its content is not here."""
        self._check(version)
        self.good[at] = self._number(version)

    def verify(self, at: Index, version: bytes) -> NDArray[np.bool_]:
        """Who holds exactly this; for those it is known good from now on."""
        number = self._numbers.get(version)
        if number is None:
            return np.zeros(len(at), bool)
        is_right: NDArray[np.bool_] = self.head[at] == number
        self.good[at[is_right]] = number
        return is_right

    def write(self, at: Index, entries: Mapping[str, bytes], *, is_change: bool) -> None:
        """Put entries into what each holds, or instead of it, as a version that comes from nothing. Whose content is
        not here stays as it is."""
        for held, places in self.heads(at).items():
            if not self.holds(held):
                continue
            before = self._entries(held) if is_change and held else {}
            content = encode_content({**before, **entries})
            version = version_of(content, *((held,) if is_change and held else ()))
            self.head[at[places]] = self._number(self.learn(version, content))

    def merge_into(self, at: Index, version: bytes) -> tuple[Moved, dict[bytes, tuple[EntryConflict, ...]]]:
        """Who has diverged from `version` holds a version of both now; conflicts by the version that they hold. Raises
        InvalidArgument: its content is not here."""
        moved = self.advance(at, version)
        is_moved = moved.is_moved
        conflicts = {}
        for held, places in self.heads(at[~is_moved]).items():
            where = np.flatnonzero(~is_moved)[places]
            joined, refused = self._merged(held, version)
            if refused:
                conflicts[held] = refused
            else:
                self.head[at[where]] = self._number(joined)
                is_moved[where] = True
        left = {held: moved.divergences[held] for held in conflicts}
        return Moved(is_moved, left), conflicts

    def release(self, keep: Iterable[bytes] = ()) -> None:
        """Let go of contents and numbers of versions that nobody holds any more, and of history beyond its bound."""
        kept = {*self.in_use(), *keep}
        self.history.prune(kept)
        recent = self.history.newest(RECENT)
        contents = {
            found.content for name in (*kept, *recent) if (found := self.history.get(name)) is not None
        }
        self._contents = {name: data for name, data in self._contents.items() if name in contents}
        names = [b"", *sorted(kept - {b""})]
        numbers = {name: number for number, name in enumerate(names)}
        fresh = np.array([numbers.get(name, 0) for name in self._names], np.uint32)
        self.head, self.good = fresh[self.head], fresh[self.good]
        self._names, self._numbers = names, numbers
        self._marks = np.array([mark_of(name) for name in names], np.uint64)

    def _merged(self, held: bytes, version: bytes) -> tuple[bytes, tuple[EntryConflict, ...]]:
        ways = self._divergence(held, version)
        if not ways.theirs:
            return held, ()
        base = self.content_of(ways.ancestor)
        found = merge(
            None if base is None else decode_content(base), self._entries(held), self._entries(version)
        )
        if found.conflicts:
            return b"", found.conflicts
        content = encode_content(found.entries)
        return self.learn(version_of(content, held, version), content), ()

    def _divergence(self, held: bytes, version: bytes) -> Divergence:
        if held not in self.history:
            return Divergence(b"", 1, len(self.history.ancestors(version)))
        return self.history.divergence(held, version)

    def _entries(self, version: bytes) -> dict[str, bytes]:
        content = self.content_of(version)
        if content is None:
            raise InvalidArgument(f"The content of context {version.hex()[:16]} is not here.")
        return decode_content(content)

    def _check(self, version: bytes) -> None:
        if not self.holds(version):
            raise InvalidArgument(f"The content of context {version.hex()[:16]} is not here.")

    def _number(self, version: bytes) -> int:
        number = self._numbers.get(version)
        if number is None:
            number = self._numbers[version] = len(self._names)
            self._names.append(version)
            self._marks = np.append(self._marks, np.uint64(mark_of(version)))
        return number

    def _grouped(self, numbers: Numbers) -> dict[bytes, Index]:
        values, inverse = np.unique(numbers, return_inverse=True)
        return {
            self._names[number]: np.flatnonzero(inverse == place)
            for place, number in enumerate(values.tolist())
        }
