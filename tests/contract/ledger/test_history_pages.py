"""Pages of history: every combination of conditions gives what a naive reading of all rows gives, in the same order."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from sqlalchemy.dialects import sqlite

from ohmesh.engines.ledger import LedgerConfig, open_ledger
from ohmesh.engines.ledger.pages import select_places
from ohmesh.errors import InvalidArgument
from ohmesh.model.task import TaskView
from ohmesh.ports.ledger import Batch, Ledger, TaskQuery
from tests.contract.ledger.conftest import Place
from tests.contract.ledger.samples import START_MS, finished

Run = Callable[[Coroutine[Any, Any, None]], None]

TASKS = [finished(number) for number in range(240)]
KINDS = ("", "text", "nobody's")
STATES = ("", "succeeded", "dead", "running")
HOSTS = ("", "host-2")
SPANS = ((0, 0), (START_MS + 50, START_MS + 150))


def naive(query: TaskQuery) -> list[TaskView]:
    """Rows were recorded in order, so of two with one time the later in the list is the newer."""
    matching = [
        (view.finished_ms, number, view)
        for number, view in enumerate(TASKS)
        if (not query.kind or view.kind == query.kind)
        and (not query.state or view.state == query.state)
        and (not query.host or view.host == query.host)
        and (not query.since_ms or view.finished_ms >= query.since_ms)
        and (not query.until_ms or view.finished_ms < query.until_ms)
        and (not query.task_ids or view.task_id in query.task_ids)
    ]
    return [view for _, _, view in sorted(matching, key=lambda each: each[:2], reverse=True)]


async def filled(place: Place) -> Ledger:
    ledger = await open_ledger(place.url)
    for position, start in enumerate(range(0, len(TASKS), 60), 1):
        await ledger.record(Batch("shard-0", position, tasks=TASKS[start : start + 60]))
    return ledger


async def walked(ledger: Ledger, query: TaskQuery) -> list[TaskView]:
    """All pages, one after the other."""
    found: list[TaskView] = []
    after = ""
    for _ in range(len(TASKS)):
        page = await ledger.tasks(
            TaskQuery(
                task_ids=query.task_ids,
                kind=query.kind,
                state=query.state,
                host=query.host,
                since_ms=query.since_ms,
                until_ms=query.until_ms,
                limit=query.limit,
                after=after,
            )
        )
        assert len(page.tasks) <= query.limit
        found += page.tasks
        after = page.after
        if not after:
            return found
    raise AssertionError(f"the pages of {query} do not end")


def test_pages_hold_what_a_naive_reading_finds(run: Run, place: Place) -> None:
    async def scenario() -> None:
        ledger = await filled(place)
        for kind, state, host, (since_ms, until_ms) in itertools.product(KINDS, STATES, HOSTS, SPANS):
            query = TaskQuery(
                kind=kind, state=state, host=host, since_ms=since_ms, until_ms=until_ms, limit=17
            )
            assert await walked(ledger, query) == naive(query), query
        await ledger.close()

    run(scenario())


def test_ids_and_conditions_hold_together(run: Run, place: Place) -> None:
    ids = [view.task_id for view in TASKS[::7]] + ["unknown"]

    async def scenario() -> None:
        ledger = await filled(place)
        for state in ("", "succeeded"):
            query = TaskQuery(task_ids=ids, state=state, limit=5)
            assert await walked(ledger, query) == naive(query)
        await ledger.close()

    run(scenario())


def test_what_is_recorded_between_two_pages_moves_neither(run: Run, place: Place) -> None:
    async def scenario() -> None:
        ledger = await filled(place)
        first = await ledger.tasks(TaskQuery(limit=100))
        await ledger.record(Batch("shard-0", 99, tasks=[finished(number) for number in range(1_000, 1_050)]))
        second = await ledger.tasks(TaskQuery(limit=100, after=first.after))
        await ledger.close()
        assert [*first.tasks, *second.tasks] == naive(TaskQuery())[:200]

    run(scenario())


@pytest.mark.parametrize(
    "query",
    [
        TaskQuery(limit=0),
        TaskQuery(limit=11),
        TaskQuery(after="yesterday"),
        TaskQuery(after="1-" + "9" * 60),
        TaskQuery(after="１-２"),
        TaskQuery(state="finished"),
        TaskQuery(task_ids=["a", "b", "c"]),
    ],
    ids=lambda query: str(query)[:60],
)
def test_a_query_that_cannot_be_meant_is_refused(run: Run, place: Place, query: TaskQuery) -> None:
    async def scenario() -> None:
        ledger = await open_ledger(place.url, LedgerConfig(page_rows_max=10, task_ids_max=2))
        with pytest.raises(InvalidArgument):
            await ledger.tasks(query)
        await ledger.close()

    run(scenario())


@pytest.mark.parametrize("bytes_max", [1, 1_000, 3_000])
def test_a_page_ends_where_its_bytes_do_and_the_next_goes_on_from_there(
    run: Run, place: Place, bytes_max: int
) -> None:
    large = [finished(number, value=bytes(number % 7 * 100)) for number in range(60)]

    async def scenario() -> None:
        ledger = await open_ledger(place.url, LedgerConfig(page_bytes_max=bytes_max, chunk_rows=7))
        await ledger.record(Batch("shard-0", 1, tasks=large))
        first = await ledger.tasks(TaskQuery())
        found = await walked(ledger, TaskQuery())
        await ledger.close()
        assert 1 <= len(first.tasks) <= max(1, bytes_max // 300)
        rows = sorted(enumerate(large), key=lambda row: (row[1].finished_ms, row[0]), reverse=True)
        assert found == [view for _, view in rows]

    run(scenario())


def test_every_question_is_a_seek_in_an_index(run: Run, sqlite_place: Place) -> None:
    """A page of a long history is as quick as one of a short one; see benchmarks/history.py for how quick."""

    async def scenario() -> None:
        await (await open_ledger(sqlite_place.url)).close()

    run(scenario())
    for kind, state, host, (since_ms, until_ms) in itertools.product(KINDS, STATES, HOSTS, SPANS):
        for after in ("", f"{START_MS}-7"):
            query = TaskQuery(
                kind=kind, state=state, host=host, since_ms=since_ms, until_ms=until_ms, after=after
            )
            wanted = select_places(query, LedgerConfig())
            statement = wanted.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
            plan = [str(row[-1]) for row in sqlite_place.sql(f"EXPLAIN QUERY PLAN {statement}")]
            assert not [step for step in plan if step.startswith("SCAN tasks")], (query, plan)
            assert [step for step in plan if "SEARCH tasks USING COVERING INDEX" in step], (query, plan)
