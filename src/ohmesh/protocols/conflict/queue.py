"""Conflicts that are open, the one with the earliest deadline first: reported, told, settled, or escalated in time.

Reports with the same detail are one conflict: the first opens it, the others raise its count, and its priority where
more agents or a deeper divergence ask for that, which may bring its deadline forward and never puts it back. So a
flood is one entry. A flood of *different* details is bounded too: beyond `max_open`, reports of a type share one.

Invariants: states change along `FOLLOWING` only; a conflict that has ended never changes; each is escalated once by
its deadline; everything that changed is in the effects, in order, so a log of them rebuilds the queue (`restore`).
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from ohmesh.errors import InvalidArgument, UnknownConflict
from ohmesh.model.conflict import (
    FOLLOWING,
    Conflict,
    ConflictDetail,
    ConflictMethod,
    ConflictState,
    ConflictType,
)
from ohmesh.model.topology import Topology, parse_place

MAX_NAMED = 1_000
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConflictRules:
    """How a conflict is judged; `told` are words for the tiers that hear of a priority."""

    priority_of: Callable[[ConflictDetail], int]
    time_ms: Callable[[int], int]
    told: Callable[[int], tuple[str, ...]]
    method_of: Callable[[ConflictType], ConflictMethod]
    max_open: int = 1_000
    max_ended: int = 1_000


class Change(StrEnum):
    """OPENED: reported for the first time. RAISED: its priority is higher now. MOVED: its state is another.
    OVERDUE: its deadline passed before it was settled. ENDED: for good."""

    OPENED = "opened"
    RAISED = "raised"
    MOVED = "moved"
    OVERDUE = "overdue"
    ENDED = "ended"


class Changed(Struct, frozen=True):
    """conflict: as it is now. newly_told: tiers that are to hear of it for the first time."""

    change: Change
    conflict: Conflict
    newly_told: tuple[str, ...] = ()


class ConflictReport(Struct, frozen=True):
    """rows: agents that report it, ascending, at least one."""

    detail: ConflictDetail
    rows: Rows
    operation: str = ""


class ConflictQueue:
    """now_ms is mesh time. `new_id` makes an id for what is opened then."""

    def __init__(self, rules: ConflictRules, topology: Topology, new_id: Callable[[int], str]) -> None:
        self._rules = rules
        self._topology = topology
        self._new_id = new_id
        self._open: dict[str, Conflict] = {}
        self._ended: OrderedDict[str, Conflict] = OrderedDict()
        self._rows: dict[str, Rows] = {}
        self._by_key: dict[tuple[str, ...], str] = {}
        self._key_of: dict[str, tuple[str, ...]] = {}
        self._deadlines: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._open)

    def find(self, conflict_id: str) -> Conflict | None:
        return self._open.get(conflict_id) or self._ended.get(conflict_id)

    def open(self) -> list[Conflict]:
        """By deadline, then by urgency, then by age."""
        return sorted(
            self._open.values(), key=lambda one: (one.deadline_ms, -one.priority, one.at_ms, one.id)
        )

    def ended(self) -> list[Conflict]:
        """The latest first, as many as are remembered."""
        return list(reversed(self._ended.values()))

    def by_key(self, detail: ConflictDetail) -> Conflict | None:
        """The open one that such a report belongs to."""
        known = self._by_key.get(detail.key) or self._by_key.get((detail.type.value, "any"))
        return self._open[known] if known is not None else None

    def check(self, conflict_id: str, state: ConflictState) -> None:
        """Raises InvalidArgument: it cannot go there, or is not known."""
        self._check_move(self._get(conflict_id), state)

    def rows(self, conflict_id: str) -> Rows:
        """All agents that reported an open one."""
        return self._rows.get(conflict_id, np.zeros(0, np.int64))

    @property
    def wake_ms(self) -> float:
        """When to call `tick`; infinity for never."""
        while self._deadlines and not self._is_due(*self._deadlines[0]):
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else float("inf")

    # What happens

    def report(self, report: ConflictReport, now_ms: int) -> list[Changed]:
        key = report.detail.key
        known = self._by_key.get(key)
        if known is None and len(self._open) >= self._rules.max_open:
            key = (report.detail.type.value, "any")
            known = self._by_key.get(key)
        if known is not None:
            return self._repeat(self._open[known], report, now_ms)
        return [self._begin(report, key, now_ms)]

    def move(self, conflict_id: str, state: ConflictState, **fields: object) -> Changed:
        """To a state that is not an end, or the same with other fields. Raises InvalidArgument: it cannot go there,
        or is not open."""
        conflict = self._get(conflict_id)
        if conflict.is_ended or state is not conflict.state:
            self._check_move(conflict, state)
        conflict = self._put(msgspec.structs.replace(conflict, state=state, **fields))
        return Changed(Change.MOVED, conflict)

    def move_to_person(self, conflict_id: str, **fields: object) -> Changed:
        """Escalated, where it is not already. Raises InvalidArgument: it has ended."""
        conflict = self._get(conflict_id)
        if conflict.state is ConflictState.ESCALATED:
            return Changed(Change.MOVED, self._put(msgspec.structs.replace(conflict, **fields)))
        return self.move(conflict_id, ConflictState.ESCALATED, **fields)

    def end(self, conflict_id: str, state: ConflictState, now_ms: int, **fields: object) -> Changed:
        """Raises InvalidArgument: it has ended already, or is not known."""
        conflict = self._get(conflict_id)
        self._check_move(conflict, state)
        conflict = msgspec.structs.replace(conflict, state=state, ended_ms=now_ms, **fields)
        self._close(conflict)
        return Changed(Change.ENDED, conflict)

    def tick(self, now_ms: int) -> list[Changed]:
        """Those whose deadline has come."""
        found = []
        while self.wake_ms <= now_ms:
            _, conflict_id = heapq.heappop(self._deadlines)
            conflict = self._open[conflict_id]
            before = conflict.told
            told = tuple(dict.fromkeys((*before, "sector", "all", "person")))
            state = conflict.state
            if ConflictState.ESCALATED in FOLLOWING[state]:
                state = ConflictState.ESCALATED
            conflict = self._put(msgspec.structs.replace(conflict, told=told, state=state))
            found.append(Changed(Change.OVERDUE, conflict, tuple(one for one in told if one not in before)))
        return found

    def restore(self, conflicts: Iterable[Conflict]) -> None:
        """As a log left them, oldest first; a later one of the same id replaces the earlier."""
        for conflict in conflicts:
            if conflict.is_ended:
                self._close(conflict)
                continue
            self._open[conflict.id] = conflict
            named = [self._topology.row(parse_place(agent)) for agent in conflict.agents]
            self._rows[conflict.id] = np.array(sorted(named), np.int64)
            self._learn_key(conflict.id, conflict.detail.key)
            if "person" not in conflict.told:
                heapq.heappush(self._deadlines, (conflict.deadline_ms, conflict.id))

    # Inside

    def _begin(self, report: ConflictReport, key: tuple[str, ...], now_ms: int) -> Changed:
        detail = self._widened(report.detail, report.rows)
        priority = self._rules.priority_of(detail)
        told = self._rules.told(priority)
        conflict = Conflict(
            id=self._new_id(now_ms),
            detail=detail,
            at_ms=now_ms,
            last_ms=now_ms,
            priority=priority,
            deadline_ms=now_ms + self._rules.time_ms(priority),
            method=self._rules.method_of(detail.type),
            agents=self._names(report.rows),
            reporters=len(report.rows),
            count=len(report.rows),
            operation=report.operation,
            told=told,
        )
        self._rows[conflict.id] = report.rows
        self._learn_key(conflict.id, key)
        self._put(conflict)
        heapq.heappush(self._deadlines, (conflict.deadline_ms, conflict.id))
        return Changed(Change.OPENED, conflict, told)

    def _repeat(self, conflict: Conflict, report: ConflictReport, now_ms: int) -> list[Changed]:
        rows = np.union1d(self._rows[conflict.id], report.rows)
        self._rows[conflict.id] = rows
        before, said = conflict.detail, report.detail
        merged = msgspec.structs.replace(
            before,
            divergence_depth=max(before.divergence_depth, said.divergence_depth),
            affects_agent_count=max(before.affects_agent_count, said.affects_agent_count),
            data=before.data or said.data,
        )
        detail = self._widened(merged, rows)
        priority = max(conflict.priority, self._rules.priority_of(detail))
        is_raised = priority > conflict.priority
        told = tuple(dict.fromkeys((*conflict.told, *self._rules.told(priority))))
        deadline_ms = conflict.deadline_ms
        if is_raised:
            deadline_ms = min(deadline_ms, now_ms + self._rules.time_ms(priority))
        changed = msgspec.structs.replace(
            conflict,
            detail=detail,
            last_ms=max(conflict.last_ms, now_ms),
            priority=priority,
            deadline_ms=deadline_ms,
            agents=conflict.agents if len(conflict.agents) == MAX_NAMED else self._names(rows),
            reporters=len(rows),
            count=conflict.count + len(report.rows),
            told=told,
        )
        self._put(changed)
        if not is_raised:
            return []
        if "person" not in told:
            heapq.heappush(self._deadlines, (deadline_ms, changed.id))
        return [Changed(Change.RAISED, changed, tuple(one for one in told if one not in conflict.told))]

    def _widened(self, detail: ConflictDetail, rows: Rows) -> ConflictDetail:
        """As many agents are affected as report it, at least."""
        count = max(detail.affects_agent_count, len(rows))
        return msgspec.structs.replace(detail, affects_agent_count=count)

    def _names(self, rows: Rows) -> tuple[str, ...]:
        return tuple(str(self._topology.place(row)) for row in rows[:MAX_NAMED].tolist())

    def _is_due(self, deadline_ms: int, conflict_id: str) -> bool:
        conflict = self._open.get(conflict_id)
        return conflict is not None and conflict.deadline_ms == deadline_ms and "person" not in conflict.told

    def _get(self, conflict_id: str) -> Conflict:
        conflict = self.find(conflict_id)
        if conflict is None:
            raise UnknownConflict(
                f"There is no conflict {conflict_id}.", hint="`ohmesh conflicts list` has them."
            )
        return conflict

    def _check_move(self, conflict: Conflict, state: ConflictState) -> None:
        if state not in FOLLOWING[conflict.state]:
            raise InvalidArgument(
                f"Conflict {conflict.id} is {conflict.state.value} and cannot become {state.value}.",
                hint="What has ended stays as it is; a new report opens a new conflict.",
            )

    def _put(self, conflict: Conflict) -> Conflict:
        self._open[conflict.id] = conflict
        return conflict

    def _learn_key(self, conflict_id: str, key: tuple[str, ...]) -> None:
        self._by_key[key] = conflict_id
        self._key_of[conflict_id] = key

    def _close(self, conflict: Conflict) -> None:
        self._open.pop(conflict.id, None)
        self._rows.pop(conflict.id, None)
        key = self._key_of.pop(conflict.id, None)
        if key is not None:
            del self._by_key[key]
        self._ended[conflict.id] = conflict
        while len(self._ended) > self._rules.max_ended:
            self._ended.popitem(last=False)
