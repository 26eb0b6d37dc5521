"""PostgreSQL killed -9, stopped and restarted under the ledger; disks that fill up under both databases.

Each fault is an error within a bound; afterwards the same ledger object goes on, with whole batches and a whole chain.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ohmesh.engines.ledger import LedgerConfig, open_ledger
from ohmesh.errors import EngineUnavailable
from ohmesh.ports.ledger import Ledger
from tests.contract.ledger.conftest import Place, SmallDisk
from tests.contract.ledger.postgresql_server import PostgresqlServer
from tests.contract.ledger.samples import batch

Run = Callable[[Coroutine[Any, Any, None]], None]

ROWS = 300
SOURCE = "shard-0"
ANSWER_MS = 1_500
SAFETY_S = 15.0


async def record_until_it_fails(ledger: Ledger, recorded: asyncio.Event | None = None) -> int:
    """Record batch after batch; the last position that was acknowledged."""
    position = await ledger.position(SOURCE)
    failure: EngineUnavailable | None = None
    while failure is None:
        try:
            await ledger.record(batch(position + 1, rows=ROWS, follows=position))
            position += 1
        except EngineUnavailable as error:
            failure = error
        if recorded is not None and position >= 5:
            recorded.set()
    assert failure.hint
    return position


async def assert_goes_on(ledger: Ledger, place: Place, acknowledged: int) -> None:
    kept = await ledger.position(SOURCE)
    verdict = await ledger.verify()
    assert kept in (acknowledged, acknowledged + 1), "the batch in flight may have landed, no other"
    assert (verdict.batches, verdict.broken_at) == (kept, 0)
    assert place.count("tasks") == kept * ROWS
    await ledger.record(batch(kept + 1, rows=ROWS, follows=kept))
    assert await ledger.position(SOURCE) == kept + 1


def test_a_server_killed_while_recording_leaves_whole_batches(
    run: Run, postgresql: PostgresqlServer, postgresql_place: Place
) -> None:
    async def scenario() -> None:
        ledger = await open_ledger(postgresql_place.url)
        recorded = asyncio.Event()
        recording = asyncio.ensure_future(record_until_it_fails(ledger, recorded))
        await recorded.wait()
        await asyncio.to_thread(postgresql.kill)
        acknowledged = await recording
        with pytest.raises(EngineUnavailable):
            await ledger.position(SOURCE)
        await asyncio.to_thread(postgresql.start)
        await assert_goes_on(ledger, postgresql_place, acknowledged)
        await ledger.close()

    run(scenario())


def test_a_restart_between_two_batches_goes_unnoticed(
    run: Run, postgresql: PostgresqlServer, postgresql_place: Place
) -> None:
    async def scenario() -> None:
        ledger = await open_ledger(postgresql_place.url)
        await ledger.record(batch(1))
        assert await ledger.position(SOURCE) == 1
        await asyncio.to_thread(postgresql.kill)
        await asyncio.to_thread(postgresql.start)
        await ledger.record(batch(2))
        assert await ledger.position(SOURCE) == 2
        await ledger.close()

    run(scenario())


def test_a_server_that_stops_answering_is_given_up_within_the_bound(
    run: Run, postgresql: PostgresqlServer, postgresql_place: Place
) -> None:
    async def scenario() -> None:
        ledger = await open_ledger(
            postgresql_place.url, LedgerConfig(answer_ms=ANSWER_MS, connect_ms=2_000, close_ms=500)
        )
        await ledger.record(batch(1, rows=ROWS))
        assert await ledger.position(SOURCE) == 1
        started = time.monotonic()
        postgresql.stop()
        try:
            with pytest.raises(EngineUnavailable, match="no answer"):
                await ledger.record(batch(2, rows=ROWS))
            with pytest.raises(EngineUnavailable):
                await ledger.position(SOURCE)
        finally:
            postgresql.go_on()
        assert time.monotonic() - started < SAFETY_S
        while not await is_recorded(ledger, 2):
            continue
        await assert_goes_on(ledger, postgresql_place, 2)
        await ledger.close()

    run(scenario())


async def is_recorded(ledger: Ledger, position: int) -> bool:
    """The thread of the attempt that was given up may need a moment to notice."""
    try:
        await ledger.record(batch(position, rows=ROWS))
    except EngineUnavailable:
        return False
    return True


def test_a_ledger_closes_although_its_server_does_not_answer(
    run: Run, postgresql: PostgresqlServer, postgresql_place: Place
) -> None:
    async def scenario() -> None:
        ledger = await open_ledger(postgresql_place.url, LedgerConfig(close_ms=300))
        await ledger.record(batch(1))
        postgresql.stop()
        try:
            attempt = asyncio.ensure_future(ledger.record(batch(2)))
            await asyncio.sleep(0)
            async with asyncio.timeout(SAFETY_S):
                await ledger.close()
                with pytest.raises(EngineUnavailable):
                    await attempt
        finally:
            postgresql.go_on()

    run(scenario())


def test_a_full_disk_under_sqlite_is_survived(run: Run, small_disk: Callable[[str], SmallDisk]) -> None:
    disk = small_disk("3m")
    place = Place(f"sqlite:///{disk.folder}/ledger.db")

    async def scenario() -> None:
        ledger = await open_ledger(place.url)
        acknowledged = await record_until_it_fails(ledger)
        assert acknowledged > 0
        assert await record_until_it_fails(ledger) == acknowledged
        assert (await ledger.verify()).broken_at == 0
        disk.grow("64m")
        await assert_goes_on(ledger, place, acknowledged)
        await ledger.close()

    run(scenario())


def test_a_ledger_cannot_be_created_on_a_full_disk_until_there_is_room(
    run: Run, small_disk: Callable[[str], SmallDisk]
) -> None:
    disk = small_disk("64k")
    place = Place(f"sqlite:///{disk.folder}/ledger.db")

    async def scenario() -> None:
        with pytest.raises(EngineUnavailable):
            await open_ledger(place.url)
        disk.grow("8m")
        ledger = await open_ledger(place.url)
        await ledger.record(batch(1, rows=ROWS))
        assert (await ledger.verify()).batches == 1
        await ledger.close()

    run(scenario())


def test_a_full_disk_under_postgresql_is_survived(
    run: Run, postgresql: PostgresqlServer, small_disk: Callable[[str], SmallDisk]
) -> None:
    disk = small_disk("16m")
    space = "small_disk"
    location = disk.folder / "space"
    location.mkdir()
    postgresql.give(location)
    postgresql.execute(f"CREATE TABLESPACE {space} LOCATION '{location}'")
    database = postgresql.new_database(f"TABLESPACE {space}")
    place = Place(postgresql.url(database))

    async def scenario() -> None:
        ledger = await open_ledger(place.url)
        acknowledged = await record_until_it_fails(ledger)
        assert acknowledged > 0
        disk.grow("128m")
        await assert_goes_on(ledger, place, acknowledged)
        await ledger.close()

    try:
        run(scenario())
    finally:
        postgresql.execute(f"DROP DATABASE {database} WITH (FORCE)")
        postgresql.execute(f"DROP TABLESPACE {space}")
