"""The chain: history cannot be changed by accident, and what was changed on purpose is found at its batch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from ohmesh.engines.ledger import LedgerConfig, open_ledger
from ohmesh.ports.ledger import ChainVerdict
from tests.contract.ledger.conftest import Place
from tests.contract.ledger.samples import batch

Run = Callable[[Coroutine[Any, Any, None]], None]

BATCHES = 6
ROWS = 30
THIRD = 3 << 20
INSERTED = "'x', 'text', 'dead', 1, 1, 4, 0, 0, 0, 0, 'h', 'a', '', '', 0, 0, 'small', 0, '', 0"

TAMPERING = {
    "a value": ("UPDATE tasks SET value = 'other' WHERE entry = {third} + 4", 3),
    "a host": ("UPDATE tasks SET host = 'host-9' WHERE entry = {third} + 4", 3),
    "an end moved by a millisecond": (
        "UPDATE tasks SET finished_ms = finished_ms + 1 WHERE entry = {third}",
        3,
    ),
    "a row moved to another line": ("UPDATE tasks SET entry = {third} + 99 WHERE entry = {third} + 29", 3),
    "an event": ("UPDATE events SET detail = 'nothing' WHERE entry = {third}", 3),
    "a row removed": ("DELETE FROM tasks WHERE entry = {third} + 7", 3),
    "a row added": (f"INSERT INTO tasks VALUES ({{third}} + 99, {INSERTED})", 3),
    "a row before all": (f"INSERT INTO tasks VALUES (-5, {INSERTED})", 1),
    "a row of a batch that never was": (f"INSERT INTO tasks VALUES ({9 << 20}, {INSERTED})", BATCHES + 1),
    "the rows of a batch removed": ("DELETE FROM tasks WHERE entry >= {third} AND entry < {third} + 1000", 3),
    "a position": ("UPDATE chain SET position = 900 WHERE number = 3", 3),
    "a source": ("UPDATE chain SET source = 'shard-1' WHERE number = 3", 3),
    "a hash": ("UPDATE chain SET hash = 'forged' WHERE number = 3", 3),
    "a link removed": ("DELETE FROM chain WHERE number = 3", 3),
    "the first link removed": ("DELETE FROM chain WHERE number = 1", 1),
    "the last link removed": (f"DELETE FROM chain WHERE number = {BATCHES}", BATCHES),
    "a link that was never recorded": ("UPDATE chain SET number = 0 WHERE number = 1", 1),
}


async def verdict_of(place: Place, *, page_rows: int = 1_000) -> ChainVerdict:
    ledger = await open_ledger(place.url, LedgerConfig(page_rows_max=page_rows))
    try:
        return await ledger.verify()
    finally:
        await ledger.close()


async def fill(place: Place) -> None:
    ledger = await open_ledger(place.url)
    for position in range(1, BATCHES + 1):
        await ledger.record(batch(position, rows=ROWS))
    await ledger.close()


@pytest.mark.parametrize("table", ["chain", "tasks", "events", "ledger"])
def test_history_can_be_neither_changed_nor_removed(run: Run, place: Place, table: str) -> None:
    run(fill(place))
    column = "version" if table == "ledger" else "position" if table == "chain" else "entry"
    statements = [f"UPDATE {table} SET {column} = {column} + 1", f"DELETE FROM {table}"]
    statements += [f"TRUNCATE {table}"] if place.is_postgresql else []
    before = place.sql(f"SELECT * FROM {table}")
    for statement in statements:
        with pytest.raises(DBAPIError, match="append-only"):
            place.sql(statement)
    assert place.sql(f"SELECT * FROM {table}") == before


@pytest.mark.parametrize("page_rows", [1, 7, 31, 1_000])
def test_an_untouched_chain_is_whole_however_it_is_read(run: Run, place: Place, page_rows: int) -> None:
    async def scenario() -> None:
        await fill(place)
        verdict = await verdict_of(place, page_rows=page_rows)
        assert verdict == ChainVerdict(BATCHES, BATCHES * (ROWS + 1), head=verdict.head)
        assert place.sql(f"SELECT hash FROM chain WHERE number = {BATCHES}") == [
            (bytes.fromhex(verdict.head),)
        ]

    run(scenario())


def test_an_empty_ledger_is_whole(run: Run, place: Place) -> None:
    async def scenario() -> None:
        assert await verdict_of(place) == ChainVerdict(batches=0, entries=0)

    run(scenario())


def test_tampering_is_found_at_its_batch(run: Run, place: Place) -> None:
    """Each in a transaction that is taken back, so that one ledger serves all."""

    async def scenario() -> None:
        await fill(place)
        place.drop_guards()
        for what, (statement, broken_at) in TAMPERING.items():
            for table in ("chain", "tasks", "events"):
                place.sql(f"CREATE TABLE kept_{table} AS SELECT * FROM {table}")
            place.sql(statement.format(third=THIRD))
            found = (await verdict_of(place, page_rows=20)).broken_at
            for table in ("chain", "tasks", "events"):
                restore = f"INSERT INTO {table} SELECT * FROM kept_{table}"
                place.sql(f"DELETE FROM {table}", restore, f"DROP TABLE kept_{table}")
            assert found == broken_at, what
        assert (await verdict_of(place)).broken_at == 0

    run(scenario())


def test_a_row_replaced_past_the_triggers_of_sqlite_is_found(run: Run, sqlite_place: Place) -> None:
    async def scenario() -> None:
        await fill(sqlite_place)
        sqlite_place.sql(f"INSERT OR REPLACE INTO tasks VALUES ({THIRD}, {INSERTED})")
        assert (await verdict_of(sqlite_place)).broken_at == 3

    run(scenario())


def test_text_that_the_disk_has_garbled_is_found_and_does_not_stop_the_check(
    run: Run, sqlite_place: Place
) -> None:
    async def scenario() -> None:
        await fill(sqlite_place)
        sqlite_place.drop_guards()
        sqlite_place.sql(f"UPDATE tasks SET agent = CAST(x'ff00fe' AS TEXT) WHERE entry = {THIRD}")
        assert (await verdict_of(sqlite_place)).broken_at == 3

    run(scenario())


def test_batches_recorded_during_a_check_do_not_disturb_it(run: Run, place: Place) -> None:
    async def scenario() -> None:
        await fill(place)
        checking = await open_ledger(place.url, LedgerConfig(page_rows_max=5))
        recording = await open_ledger(place.url)

        async def record() -> None:
            for position in range(BATCHES + 1, BATCHES + 20):
                await recording.record(batch(position, rows=ROWS))

        verdict, _ = await asyncio.gather(checking.verify(), record())
        after = await checking.verify()
        await checking.close()
        await recording.close()
        assert verdict.broken_at == 0
        assert verdict.batches >= BATCHES
        assert (after.batches, after.broken_at) == (BATCHES + 19, 0)

    run(scenario())
