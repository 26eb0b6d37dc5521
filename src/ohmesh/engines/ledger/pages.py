"""Queries over history: keyset pages, each a few seeks in the right index, whatever the size of the ledger.

A page is found in the indexes first, as the places of its rows; the rows themselves, which may be large, are read some
at a time until the page is full. A cursor is the place of the last row shown, `finished_ms-entry`; rows recorded
meanwhile never shift a page.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Row, Select, select, tuple_, union_all
from sqlalchemy.engine import Connection

from ohmesh.engines.ledger.config import LedgerConfig
from ohmesh.engines.ledger.rows import FINAL_STATE_TEXTS
from ohmesh.engines.ledger.schema import events, tasks
from ohmesh.errors import InvalidArgument
from ohmesh.model.task import TaskState
from ohmesh.ports.ledger import TaskQuery

_NEWEST_FIRST = (tasks.c.finished_ms.desc(), tasks.c.entry.desc())
_PLACE = select(tasks.c.finished_ms, tasks.c.entry)
_WHOLE_MAX = (1 << 63) - 1

_ROW_BYTES = 320  # what a row takes in a message beside its texts and its value

Places = Select[tuple[int, int]]


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


def select_places(query: TaskQuery, config: LedgerConfig) -> Places:
    """Where the rows of one page are, newest first, and one more when there is a next page."""
    rows = checked_limit(query.limit, config) + 1
    if len(query.task_ids) > config.task_ids_max:
        raise InvalidArgument(
            f"{len(query.task_ids)} task ids are too many at once.",
            hint=f"Ask for at most {config.task_ids_max}.",
        )
    conditions = _conditions(query)
    if query.task_ids:
        wanted = [tasks.c.task_id.in_(list(query.task_ids)), *conditions, *_state_condition(query.state)]
        return _PLACE.where(*wanted).order_by(*_NEWEST_FIRST).limit(rows)
    states = [_checked_state(query.state)] if query.state else FINAL_STATE_TEXTS
    branches = [
        _PLACE.where(tasks.c.state == state, *conditions).order_by(*_NEWEST_FIRST).limit(rows).subquery()
        for state in states
    ]
    merged = union_all(*[select(branch.c.finished_ms, branch.c.entry) for branch in branches]).subquery()
    newest_first = (merged.c.finished_ms.desc(), merged.c.entry.desc())
    return select(merged.c.finished_ms, merged.c.entry).order_by(*newest_first).limit(rows)


def read_rows(
    connection: Connection, places: Sequence[Cursor], config: LedgerConfig
) -> Iterator[Row[tuple[object, ...]]]:
    """The rows at these places, in order, until they are too many for one message; at least one."""
    size_bytes = 0
    for start in range(0, len(places), config.chunk_rows):
        entries = [place.entry for place in places[start : start + config.chunk_rows]]
        wanted = select(*tasks.columns).where(tasks.c.entry.in_(entries)).order_by(*_NEWEST_FIRST)
        for row in connection.execute(wanted).all():
            has_some = size_bytes > 0
            size_bytes += _ROW_BYTES + len(row.value) + _encoded_bytes(row.failures)
            if has_some and size_bytes > config.page_bytes_max:
                return
            yield row


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


def _encoded_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
