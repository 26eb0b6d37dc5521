"""Queries over history: keyset pages, each a few seeks in the right index, whatever the size of the ledger.

A cursor is the place of the last row shown, `finished_ms-entry`; rows recorded meanwhile never shift a page.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, select, tuple_, union_all

from ohmesh.engines.ledger.config import LedgerConfig
from ohmesh.engines.ledger.rows import FINAL_STATE_TEXTS
from ohmesh.engines.ledger.schema import events, tasks
from ohmesh.errors import InvalidArgument
from ohmesh.model.task import TaskState
from ohmesh.ports.ledger import TaskQuery

_NEWEST_FIRST = (tasks.c.finished_ms.desc(), tasks.c.entry.desc())
_WHOLE_MAX = (1 << 63) - 1

# TaskView and the tables agree on their order; see rows.task_row.
TaskSelection = Select[tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Cursor:
    finished_ms: int
    entry: int

    def __str__(self) -> str:
        return f"{self.finished_ms}-{self.entry}"


def parse_cursor(text: str) -> Cursor | None:
    if not text:
        return None
    head, dash, tail = text.partition("-")
    if not (dash and len(text) <= 40 and text.isascii() and head.isdecimal() and tail.isdecimal()):
        raise InvalidArgument(
            f"{text[:40]!r} is not a cursor of the ledger.",
            hint="Give the `after` of the page before, unchanged.",
        )
    return Cursor(min(int(head), _WHOLE_MAX), min(int(tail), _WHOLE_MAX))


def checked_limit(limit: int, config: LedgerConfig) -> int:
    if not 1 <= limit <= config.page_rows_max:
        raise InvalidArgument(
            f"A page of {limit} rows is not possible.",
            hint=f"Ask for 1 to {config.page_rows_max} and follow `after`.",
        )
    return limit


def select_tasks(query: TaskQuery, config: LedgerConfig) -> Select[tuple[object, ...]]:
    """The rows of one page, and one more when there is a next page."""
    rows = checked_limit(query.limit, config) + 1
    if len(query.task_ids) > config.task_ids_max:
        raise InvalidArgument(
            f"{len(query.task_ids)} task ids are too many at once.",
            hint=f"Ask for at most {config.task_ids_max}.",
        )
    conditions = _conditions(query)
    if query.task_ids:
        wanted = [tasks.c.task_id.in_(list(query.task_ids)), *conditions, *_state_condition(query.state)]
        return select(*tasks.columns).where(*wanted).order_by(*_NEWEST_FIRST).limit(rows)
    states = [_checked_state(query.state)] if query.state else FINAL_STATE_TEXTS
    branches = [
        select(tasks.c.finished_ms, tasks.c.entry)
        .where(tasks.c.state == state, *conditions)
        .order_by(*_NEWEST_FIRST)
        .limit(rows)
        .subquery()
        for state in states
    ]
    merged = union_all(*[select(branch.c.finished_ms, branch.c.entry) for branch in branches]).subquery()
    newest = select(merged.c.entry).order_by(merged.c.finished_ms.desc(), merged.c.entry.desc()).limit(rows)
    return select(*tasks.columns).where(tasks.c.entry.in_(newest)).order_by(*_NEWEST_FIRST)


def select_events(kind: str, limit: int, config: LedgerConfig) -> Select[tuple[object, ...]]:
    wanted = [events.c.kind == kind] if kind else []
    newest_first = (events.c.at_ms.desc(), events.c.entry.desc())
    return select(*events.columns).where(*wanted).order_by(*newest_first).limit(checked_limit(limit, config))


def _conditions(query: TaskQuery) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if query.kind:
        conditions.append(tasks.c.kind == query.kind)
    if query.host:
        conditions.append(tasks.c.host == query.host)
    if query.since_ms:
        conditions.append(tasks.c.finished_ms >= query.since_ms)
    if query.until_ms:
        conditions.append(tasks.c.finished_ms < query.until_ms)
    cursor = parse_cursor(query.after)
    if cursor is not None:
        place = tuple_(cursor.finished_ms, cursor.entry)
        conditions.append(tuple_(tasks.c.finished_ms, tasks.c.entry) < place)
    return conditions


def _state_condition(state: str) -> list[ColumnElement[bool]]:
    return [tasks.c.state == _checked_state(state)] if state else []


def _checked_state(state: str) -> str:
    try:
        return TaskState(state).value
    except ValueError:
        raise InvalidArgument(
            f"{state!r} is not a state of a task.", hint=f"History knows {', '.join(FINAL_STATE_TEXTS)}."
        ) from None
