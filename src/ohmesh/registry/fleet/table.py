"""What is kept of a fleet, and what every change of it has to keep: columns, words, names, versions.

What is asked of the whole fleet is asked of `columns`, which are read-only and move with the table. Every change has a
version, and each row knows the version that changed it last; so replicas follow (replica.py).

Invariants:
- A vacant row is zero in every column but `version`, and has no name.
- A name belongs to one row, a row has one name at most.
- `version` rises with every call that changes rows, and no row's version is above it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

import numpy as np

from ohmesh.errors import InvalidArgument
from ohmesh.model.agent_class import AgentClasses
from ohmesh.model.topology import Topology, parse_place
from ohmesh.registry.fleet.capabilities import CapabilityTable
from ohmesh.registry.fleet.columns import COLUMN_TYPES, FleetColumns, Index, Rows, read_only, vacant_columns
from ohmesh.registry.fleet.joining import check_rows
from ohmesh.registry.fleet.liveness import IS_MEMBER, VACANT
from ohmesh.registry.fleet.words import WordTable


class FleetTable:
    """A row for each place of `topology`. hosts, words: the texts of the columns `host`, and `task` and `waits_on`."""

    def __init__(self, topology: Topology, classes: AgentClasses) -> None:
        self.topology = topology
        self.classes = classes
        self.capabilities = CapabilityTable()
        self.hosts = WordTable()
        self.words = WordTable()
        self.version = 0
        self._rows_by_name: dict[str, int] = {}
        self._names_by_row: dict[int, str] = {}
        self._columns = vacant_columns(topology.size)
        self._readable = read_only(self._columns)

    @property
    def columns(self) -> FleetColumns:
        """Read-only, and the same memory."""
        return self._readable

    @property
    def rows_by_name(self) -> Mapping[str, int]:
        """Of those that their owners named."""
        return self._rows_by_name

    def name_of(self, row: int) -> str:
        """As its owner named it, or the empty text."""
        return self._names_by_row.get(row, "")

    def row_of(self, agent: str) -> int:
        """By the name that its owner gave, or by its id. Raises InvalidArgument: nobody is there."""
        row = self._rows_by_name.get(agent)
        if row is None:
            row = self.topology.row(parse_place(agent))
        if self._columns.liveness[row] == VACANT:
            raise InvalidArgument(f"There is no agent {agent}: its place in the fleet is vacant.")
        return row

    def vacant_rows(self, rows: slice = slice(None)) -> Rows:
        """Where an agent could join, of all rows or of those of a part (Part.rows)."""
        return np.flatnonzero(self._columns.liveness[rows] == VACANT) + (rows.start or 0)

    def rows_of_host(self, host: str) -> Rows:
        """Of its agents that are members."""
        code = self.hosts.find(host)
        if not code:
            return np.empty(0, np.intp)
        return np.flatnonzero((self._columns.host == code) & IS_MEMBER[self._columns.liveness])

    def learn_capabilities(self, names: Iterable[str]) -> None:
        """Give each a bit, in this order, and the bits room. Raises InvalidArgument: too many."""
        self.capabilities.add(names)
        columns = self._columns.capabilities
        if len(columns) < self.capabilities.words:
            while len(columns) < self.capabilities.words:
                columns.append(np.zeros(self.topology.size, np.uint64))
            self._readable = read_only(self._columns)

    def replace_rows(self, rows: Rows, columns: FleetColumns, names: Mapping[int, str]) -> None:
        """What a replica does with rows that it was sent: `columns` has them in the order of `rows`, in words of this
        table, with as many arrays of capabilities as it has. Versions are those of the sender."""
        self._check_rows(rows)
        self._forget_names(rows)
        for name in COLUMN_TYPES:
            getattr(self._columns, name)[rows] = getattr(columns, name)
        for held, bits in zip(self._columns.capabilities, columns.capabilities, strict=True):
            held[rows] = bits
        for row, name in names.items():
            self._set_name(row, name)
        self.capabilities.forget()

    def _touch(self, index: Index) -> None:
        self.version += 1
        self._columns.version[index] = self.version

    def clear(self) -> None:
        """Every row is vacant, and no capability is known."""
        self._rows_by_name.clear()
        self._names_by_row.clear()
        self.capabilities = CapabilityTable()
        self._columns = vacant_columns(self.topology.size)
        self._readable = read_only(self._columns)

    def sweep_words(self) -> None:
        """Forget words of which no row knows, if it is time. Only before some are added: one that stands in no column
        yet would be forgotten."""
        if self.words.is_full:
            self.words.sweep(np.concatenate((self._columns.task, self._columns.waits_on)))
        if self.hosts.is_full:
            self.hosts.sweep(self._columns.host)

    def _check_names(self, names: Mapping[int, str], rows: AbstractSet[int]) -> None:
        """Raises InvalidArgument: two of them are one, or an agent outside `rows` has one of them."""
        if len(set(names.values())) != len(names):
            raise InvalidArgument("Two agents were given one name.")
        for name in names.values():
            row = self._rows_by_name.get(name)
            if row is not None and row not in rows:
                raise InvalidArgument(f"{name!r} is the name of agent {self.topology.place(row)} already.")

    def _set_name(self, row: int, name: str) -> None:
        self._rows_by_name[name] = row
        self._names_by_row[row] = name

    def _forget_names(self, rows: Rows) -> None:
        if self._names_by_row:
            for row in rows.tolist():
                name = self._names_by_row.pop(row, None)
                if name is not None:
                    del self._rows_by_name[name]

    def _check_rows(self, rows: Rows) -> None:
        check_rows(rows)
        if len(rows) and rows[-1] >= self.topology.size:
            raise InvalidArgument(f"Row {rows[-1]} lies outside this fleet of {self.topology.size} places.")
