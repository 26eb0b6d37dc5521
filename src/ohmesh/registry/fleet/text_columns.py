"""Texts of every agent, asked whether they are what a selector wants. A text is compared once, however many have it.

Each kind of column answers `matching(wanted)` and `present()` with a mask of all rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ohmesh.errors import InvalidArgument
from ohmesh.model.topology import Topology, parse_place
from ohmesh.registry.fleet.columns import Bits, Mask
from ohmesh.registry.fleet.view import context_text
from ohmesh.registry.fleet.words import WordTable
from ohmesh.registry.selector.literals import glob_pattern
from ohmesh.registry.selector.tree import Glob, Value


class Wanted:
    """Values of a test: any of `exact`, or of `patterns`."""

    def __init__(self, values: Sequence[Value]) -> None:
        self.exact = frozenset(value for value in values if isinstance(value, str))
        self.globs = tuple(value.pattern for value in values if isinstance(value, Glob))
        self._patterns = [glob_pattern(pattern).fullmatch for pattern in self.globs]

    def passes(self, text: str) -> bool:
        return text in self.exact or any(matches(text) for matches in self._patterns)

    def table(self, texts: Sequence[str]) -> Mask:
        """Of each text."""
        return np.fromiter(map(self.passes, texts), np.bool_, len(texts))


class TextColumn(Protocol):
    def matching(self, wanted: Wanted) -> Mask:
        """Whose text, or one of whose texts, is wanted."""

    def present(self) -> Mask:
        """Who has a text that is not empty."""


@dataclass(frozen=True, slots=True)
class FewTexts:
    """codes: of each row, its place in `texts`."""

    codes: npt.NDArray[np.integer]
    texts: Sequence[str]

    def matching(self, wanted: Wanted) -> Mask:
        found: Mask = wanted.table(self.texts)[self.codes]
        return found

    def present(self) -> Mask:
        found: Mask = np.array([bool(text) for text in self.texts])[self.codes]
        return found


@dataclass(frozen=True, slots=True)
class ManyTexts:
    """Words of a WordTable: without a pattern they are looked up."""

    codes: npt.NDArray[np.uint32]
    words: WordTable

    def matching(self, wanted: Wanted) -> Mask:
        if wanted.globs:
            return FewTexts(self.codes, self.words.texts).matching(wanted)
        codes = [code for code in map(self.words.find, wanted.exact) if code is not None]
        return np.isin(self.codes, np.array(codes, np.uint32))

    def present(self) -> Mask:
        found: Mask = self.codes != 0
        return found


@dataclass(frozen=True, slots=True)
class AnyOf:
    """A row has a text in each of `columns`."""

    columns: Sequence[TextColumn]

    def matching(self, wanted: Wanted) -> Mask:
        found: Mask = np.logical_or.reduce([column.matching(wanted) for column in self.columns])
        return found

    def present(self) -> Mask:
        found: Mask = np.logical_or.reduce([column.present() for column in self.columns])
        return found


@dataclass(frozen=True, slots=True)
class Held:
    """Texts that a row has or has not, any number of them; `holders` says who has one."""

    size: int
    texts: Sequence[str]
    holders: Callable[[str], Mask]

    def matching(self, wanted: Wanted) -> Mask:
        return self._any([text for text in self.texts if wanted.passes(text)])

    def present(self) -> Mask:
        return self._any(self.texts)

    def _any(self, texts: Sequence[str]) -> Mask:
        found = np.zeros(self.size, np.bool_)
        for text in texts:
            found |= self.holders(text)
        return found


@dataclass(frozen=True, slots=True)
class SparseTexts:
    """Few rows have one, no two the same; the others have the empty text."""

    size: int
    rows: Mapping[str, int]

    def matching(self, wanted: Wanted) -> Mask:
        found = np.full(self.size, wanted.passes(""))
        if wanted.globs or "" in wanted.exact:
            found[list(self.rows.values())] = wanted.table(tuple(self.rows))
        else:
            found[[self.rows[text] for text in wanted.exact if text in self.rows]] = True
        return found

    def present(self) -> Mask:
        found = np.zeros(self.size, np.bool_)
        found[list(self.rows.values())] = True
        return found


@dataclass(frozen=True, slots=True)
class ContextTexts:
    """Hashes as hexadecimal digits."""

    hashes: Bits

    def matching(self, wanted: Wanted) -> Mask:
        distinct, places = np.unique(self.hashes, return_inverse=True)
        return FewTexts(places, [context_text(one) for one in distinct.tolist()]).matching(wanted)

    def present(self) -> Mask:
        found: Mask = self.hashes != 0
        return found


@dataclass(frozen=True, slots=True)
class PlaceTexts:
    """Ids, as their places give them. A pattern is run once over the text of each sector, then over that of each
    cluster for each state in which sectors left it, then so over numbers: never over the ids of all agents."""

    topology: Topology

    def matching(self, wanted: Wanted) -> Mask:
        shape = self.topology
        found = np.zeros((shape.sectors, shape.clusters, shape.agents), np.bool_)
        for pattern in wanted.globs:
            found |= self._matching_pattern(_GlobStates(pattern))
        flat = found.reshape(-1)
        for text in wanted.exact:
            try:
                place = parse_place(text)
                if str(place) == text:
                    flat[shape.row(place)] = True
            except InvalidArgument:
                continue  # no agent has it
        return flat

    def present(self) -> Mask:
        return np.ones(self.topology.size, np.bool_)

    def _matching_pattern(self, glob: _GlobStates) -> Mask:
        sectors, clusters, numbers = (
            [f"{letter}{number:0{width}}{end}" for number in range(count)]
            for letter, width, end, count in (
                ("s", 3, ".", self.topology.sectors),
                ("c", 2, ".", self.topology.clusters),
                ("a", 2, "", self.topology.agents),
            )
        )

        @cache
        def after_cluster(states: int) -> Mask:
            return np.array([glob.accepts(glob.run(states, text)) for text in numbers])

        @cache
        def after_sector(states: int) -> Mask:
            return np.stack([after_cluster(glob.run(states, text)) for text in clusters])

        return np.stack([after_sector(glob.run(glob.start, text)) for text in sectors])


class _GlobStates:
    """A pattern with * and ? as an automaton; a set of its states is one integer, a bit for each place in it."""

    def __init__(self, pattern: str) -> None:
        pattern = re.sub(r"\*+", "*", pattern)
        self._end = 1 << len(pattern)
        self._stars = sum(1 << place for place, one in enumerate(pattern) if one == "*")
        self._any = sum(1 << place for place, one in enumerate(pattern) if one == "?")
        self._literals: dict[str, int] = {}
        for place, one in enumerate(pattern):
            if one not in "*?":
                self._literals[one] = self._literals.get(one, 0) | 1 << place
        self.start = self._beyond_stars(1)

    def run(self, states: int, text: str) -> int:
        for character in text:
            moved = (states & (self._any | self._literals.get(character, 0))) << 1
            states = self._beyond_stars(moved | states & self._stars)
        return states

    def accepts(self, states: int) -> bool:
        return bool(states & self._end)

    def _beyond_stars(self, states: int) -> int:
        return states | (states & self._stars) << 1
