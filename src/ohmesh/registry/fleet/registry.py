"""The registry of a fleet: who is there, how each is, and who can do what. Columns in memory, rebuilt by heartbeats.

Agents join, are heard of, fall silent, leave and are removed, many at a time; what is kept of them is in table.py, and
what silence does in liveness.py.

Invariants:
- A row belongs to one host from joining until another takes the place of an agent that left or is offline, and only
  that host's heartbeats move it. A frame that is older than what a row knows already leaves that row alone.
- lead_ms is what `lead_of` said of the row's own columns when they changed last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from ohmesh.errors import InvalidArgument
from ohmesh.model.agent import Duty
from ohmesh.model.agent_class import AgentClasses
from ohmesh.model.fleet_columns import DUTY_CODES
from ohmesh.model.fleet_table import HeartbeatTable, Places
from ohmesh.model.heartbeat import profile_code
from ohmesh.model.topology import Topology
from ohmesh.registry.fleet.columns import COLUMN_TYPES, FleetColumns, Index, Mask, Rows, Singles
from ohmesh.registry.fleet.impedance import UNMEASURED, average_after, prior_lead_ms
from ohmesh.registry.fleet.joining import Joining, as_index, check_name
from ohmesh.registry.fleet.liveness import (
    IS_MEMBER,
    JOINING,
    LEFT,
    NEXT,
    OFFLINE,
    READY,
    VACANT,
    Event,
    Transitions,
    silences,
)
from ohmesh.registry.fleet.table import FleetTable

LeadOf: TypeAlias = Callable[[FleetColumns, Index], npt.NDArray[np.floating]]
"""Milliseconds from release to ready at weight 0, for the rows at an index; reads columns, changes none."""


_NOTHING = np.zeros(1, np.uint32)


class Heard(NamedTuple):
    """transitions: whose liveness the frame changed. refused: rows that another host holds, that nobody holds, or whose
    agent has left: their host is to let them join again. late: rows that had heard something newer."""

    transitions: Transitions
    refused: Rows
    late: Rows


class FleetRegistry(FleetTable):
    """One row for each place of `topology`; NumPy is at work wherever more than one agent is meant.

    Rows that a method takes rise strictly and exist; otherwise it raises InvalidArgument and changes nothing.
    """

    def __init__(
        self, topology: Topology, classes: AgentClasses | None = None, *, lead_of: LeadOf = prior_lead_ms
    ) -> None:
        super().__init__(topology, classes or AgentClasses())
        self._lead_of = lead_of

    def insert(self, joining: Joining) -> Rows:
        """Put them in as `joining`; figures are those of their class until the first heartbeat.

        A row is taken if it is vacant, if who was there left or is offline, or if it was this host's already (a host
        that starts anew). The rows that were not taken are returned. Raises InvalidArgument, and changes nothing: a
        class that does not exist, a name that is taken, too many capabilities.
        """
        self._check_rows(joining.rows)
        codes = joining.class_codes
        if not ((codes >= 0) & (codes < len(self.classes.all))).all():
            raise InvalidArgument(f"A class beyond the {len(self.classes.all)} of this mesh was named.")
        state = self._columns.liveness[joining.rows]
        is_ours = self._columns.host[joining.rows] == self._host_code(joining.host)
        is_taken = (state == VACANT) | (state == LEFT) | (state == OFFLINE) | is_ours
        rows = joining.rows[is_taken]
        here = set(rows.tolist())
        names = {row: name for row, name in joining.names.items() if row in here}
        self._check_names(names, here)
        sets = [self.classes.all[code].capabilities for code in range(len(self.classes.all))]
        self.learn_capabilities([name for one in (*sets, *joining.capability_sets) for name in one])
        self._forget_names(rows)
        self._write_newcomers(joining, rows, is_taken)
        self._write_capabilities(joining, rows, is_taken)
        for row, name in names.items():
            self._set_name(row, name)
        self._touch(rows)
        refused: Rows = joining.rows[~is_taken]
        return refused

    def heartbeat(self, host: str, at_ms: int, beats: HeartbeatTable) -> Heard:
        """Take what `host` said at mesh time `at_ms` of its agents, once `beats` was checked as it was read."""
        rows = beats.places.rows(self.topology)
        columns, index = self._columns, as_index(rows)
        before = columns.liveness[index]
        is_ours = (columns.host[index] == self._host_code(host)) & IS_MEMBER[before]
        is_news = columns.heartbeat_ms[index] <= at_ms
        if not (is_ours & is_news).all():
            heard = self.heartbeat(host, at_ms, _some_of(beats, is_ours & is_news))
            return heard._replace(refused=rows[~is_ours], late=rows[is_ours & ~is_news])
        after = beats.liveness + np.uint8(1)
        changed = before != after
        moved = Transitions(rows[changed], before[changed], after[changed])
        columns.liveness[index] = after
        columns.heartbeat_ms[index] = at_ms
        columns.context_hash[index] = beats.context_hash
        columns.reported_duty[index] = beats.duty
        self._settle_duty(index)
        self._write_figures(beats, index)
        self._write_work(beats, index, at_ms)
        self._touch(index)
        return Heard(moved, rows[:0], rows[:0])

    def sweep(self, now_ms: int) -> Transitions:
        """Doubt and give up those who have been silent for too long at mesh time `now_ms`."""
        return self._move(silences(self._columns, now_ms))

    def give_up(self, rows: Rows) -> Transitions:
        """They are offline: their host is gone."""
        return self._happen(Event.DEAD, rows)

    def leave(self, rows: Rows) -> Transitions:
        """They went on purpose: seen still, and no member of the fleet."""
        return self._happen(Event.LEAVE, rows)

    def remove(self, rows: Rows) -> None:
        """Their rows are vacant, to be used again."""
        self._check_rows(rows)
        self._forget_names(rows)
        for name in COLUMN_TYPES:
            getattr(self._columns, name)[rows] = 0
        for word in self._columns.capabilities:
            word[rows] = 0
        self.capabilities.forget()
        self._touch(rows)

    def set_duty(self, rows: Rows, duty: Duty) -> Rows:
        """Impose a duty until READY releases it, whatever hosts report meanwhile; rows of members that had another."""
        self._check_rows(rows)
        columns, code = self._columns, DUTY_CODES.index(duty)
        is_other = (columns.imposed_duty[rows] != code) & IS_MEMBER[columns.liveness[rows]]
        changed: Rows = rows[is_other]
        columns.imposed_duty[changed] = code
        self._settle_duty(changed)
        self._touch(changed)
        return changed

    def set_capabilities(self, rows: Rows, *, grant: Iterable[str] = (), revoke: Iterable[str] = ()) -> None:
        """Correct what agents can do. Vacant rows are left alone; revoking what nobody knows is no error."""
        self._check_rows(rows)
        members = rows[self._columns.liveness[rows] != VACANT]
        grant = tuple(grant)
        self.learn_capabilities(grant)
        granted = self.capabilities.bits(grant)
        revoked = self.capabilities.bits(name for name in revoke if self.capabilities.knows(name))
        for column, more, less in zip(self._columns.capabilities, granted, revoked, strict=True):
            column[members] = (column[members] | np.uint64(more)) & ~np.uint64(less)
        self.capabilities.forget()
        self._touch(members)

    def rename(self, row: int, name: str) -> None:
        """`name` "" takes it away. Raises InvalidArgument: nobody is there, or another has that name."""
        rows = np.array([row], np.intp)
        self._check_rows(rows)
        if self._columns.liveness[row] == VACANT:
            raise InvalidArgument(f"There is no agent {self.topology.place(row)}.")
        if name:
            check_name(name)
            self._check_names({row: name}, {row})
        self._forget_names(rows)
        if name:
            self._set_name(row, name)
        self._touch(rows)

    def refresh_leads(self, rows: Rows) -> None:
        """Ask `lead_of` again: the model behind it has learnt."""
        self._check_rows(rows)
        self._columns.lead_ms[rows] = self._lead_of(self._readable, rows)
        self._touch(rows)

    def _write_newcomers(self, joining: Joining, rows: Rows, is_taken: Mask) -> None:
        self.sweep_words()
        columns, codes = self._columns, joining.class_codes[is_taken]
        base_ms = np.array([one.base_ms for one in self.classes.all], np.float32)[codes]
        values = {
            "liveness": JOINING,
            "duty": READY,
            "class_code": codes,
            "profile": profile_code(joining.profile),
            "host": self.hosts.add([joining.host])[0],
            "processing_ms": base_ms,
            "reliability": 1.0,
            "average_ms": UNMEASURED,
            "heartbeat_ms": joining.at_ms,
        }
        for name in COLUMN_TYPES:
            getattr(columns, name)[rows] = values.get(name, 0)
        columns.lead_ms[rows] = self._lead_of(self._readable, rows)

    def _write_capabilities(self, joining: Joining, rows: Rows, is_taken: Mask) -> None:
        codes = joining.class_codes[is_taken]
        by_class = np.array([self.capabilities.bits(one.capabilities) for one in self.classes.all], np.uint64)
        held = by_class[codes]
        if joining.set_of is not None:
            sets = np.array([self.capabilities.bits(one) for one in joining.capability_sets], np.uint64)
            held = held | sets[joining.set_of[is_taken]]
        for place, column in enumerate(self._columns.capabilities):
            column[rows] = held[:, place]
        self.capabilities.forget()

    def _settle_duty(self, index: Index) -> None:
        imposed, reported = self._columns.imposed_duty[index], self._columns.reported_duty[index]
        self._columns.duty[index] = np.where(imposed == READY, reported, imposed)

    def _write_figures(self, beats: HeartbeatTable, index: Index) -> None:
        columns = self._columns
        is_measured = (beats.rtt_ms >= 0) & (beats.processing_ms >= 0)  # not where it is NaN
        columns.average_ms[index] = average_after(
            columns.average_ms[index], columns.lead_ms[index], is_measured
        )
        _write_known(columns.rtt_ms, index, beats.rtt_ms)
        _write_known(columns.processing_ms, index, beats.processing_ms)
        _write_known(columns.reliability, index, beats.reliability)
        _write_known(columns.drift, index, beats.drift)
        columns.queue_depth[index] = beats.queue_depth
        columns.lead_ms[index] = self._lead_of(self._readable, index)

    def _write_work(self, beats: HeartbeatTable, index: Index, at_ms: int) -> None:
        columns = self._columns
        self.sweep_words()
        code_of = np.concatenate((_NOTHING, self.words.add(beats.words)))
        if beats.task is None:
            columns.task[index] = columns.task_since_ms[index] = 0
        else:
            columns.task[index] = code_of[beats.task]
            columns.task_since_ms[index] = 0 if beats.since_us is None else beats.since_us // 1_000
        if beats.waits_on is None:
            columns.waits_on[index] = columns.waits_since_ms[index] = 0
            return
        before, after = columns.waits_on[index], code_of[beats.waits_on]
        since = np.where(before == after, columns.waits_since_ms[index], at_ms)
        columns.waits_since_ms[index] = np.where(after == 0, 0, since)
        columns.waits_on[index] = after

    def _happen(self, event: Event, rows: Rows) -> Transitions:
        self._check_rows(rows)
        before = self._columns.liveness[rows]
        after = NEXT[event][before]
        changed = before != after
        return self._move(Transitions(rows[changed], before[changed], after[changed]))

    def _move(self, transitions: Transitions) -> Transitions:
        self._columns.liveness[transitions.rows] = transitions.after
        self._touch(transitions.rows)
        return transitions

    def _host_code(self, host: str) -> int:
        """-1 for one that holds nobody, which is no code."""
        code = self.hosts.find(host)
        return -1 if code is None or not host else code


def _write_known(column: Singles, index: Index, values: Singles) -> None:
    """What was not measured (NaN) leaves what was known."""
    is_known = values >= 0
    column[index] = values if is_known.all() else np.where(is_known, values, column[index])


def _some_of(beats: HeartbeatTable, those: Mask) -> HeartbeatTable:
    places = beats.places
    fewer: dict[str, Any] = {
        field.name: value[those]
        for field in fields(HeartbeatTable)
        if isinstance(value := getattr(beats, field.name), np.ndarray)
    }
    kept = Places(places.sector, places.cluster, places.clusters[those], places.numbers[those])
    return replace(beats, places=kept, **fewer)
