"""Several processes on one ledger, and processes killed -9 in the middle of recording: whole batches or nothing."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import psycopg
import pytest

from ohmesh.engines.ledger import LedgerConfig, open_ledger
from ohmesh.errors import EngineUnavailable
from tests.contract.ledger.conftest import Place, Recorder
from tests.contract.ledger.recorder import SOURCE
from tests.contract.ledger.samples import batch

Run = Callable[[Coroutine[Any, Any, None]], None]
StartRecorder = Callable[[Place, int, int], Recorder]

ROWS = 400
RECORDERS = 3
LAST = 25

HOLD_SQLITE = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None)
held.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
held.execute("ROLLBACK")
held.close()
print("released", flush=True)
"""


def go(recorder: Recorder) -> None:
    assert recorder.stdin is not None
    recorder.stdin.write("go\n")
    recorder.stdin.flush()


def line_of(recorder: Recorder) -> str:
    assert recorder.stdout is not None
    return recorder.stdout.readline().strip()


def test_processes_that_create_and_record_at_once_write_everything_once(
    run: Run, place: Place, start_recorder: StartRecorder
) -> None:
    recorders = [start_recorder(place, LAST, ROWS) for _ in range(RECORDERS)]
    for recorder in recorders:
        assert line_of(recorder) == "ready"
    for recorder in recorders:
        go(recorder)
    told = [recorder.communicate(timeout=60)[0].split() for recorder in recorders]
    assert [recorder.returncode for recorder in recorders] == [0] * RECORDERS

    async def scenario() -> None:
        ledger = await open_ledger(place.url)
        verdict = await ledger.verify()
        await ledger.close()
        assert (verdict.batches, verdict.broken_at) == (LAST, 0)

    run(scenario())
    assert place.count("tasks") == LAST * ROWS
    assert sorted({int(line) for lines in told for line in lines}) == list(range(1, LAST + 1))


def test_a_recorder_killed_in_the_middle_leaves_whole_batches(
    run: Run, place: Place, start_recorder: StartRecorder
) -> None:
    position = 0
    for kill_after in (2, 5):
        recorder = start_recorder(place, 100_000, ROWS)
        assert line_of(recorder) == "ready"
        go(recorder)
        for _ in range(kill_after):
            position = int(line_of(recorder))
        recorder.kill()
        told = recorder.communicate()[0].split()
        position = int(told[-1]) if told else position

        async def scenario(acknowledged: int = position) -> None:
            ledger = await open_ledger(place.url)
            kept = await ledger.position(SOURCE)
            verdict = await ledger.verify()
            assert kept >= acknowledged
            assert (verdict.batches, verdict.broken_at) == (kept, 0)
            assert place.count("tasks") == kept * ROWS
            await ledger.record(batch(kept + 1, rows=ROWS, follows=kept))
            await ledger.close()

        run(scenario())


def hold(path: str) -> Recorder:
    """A process that keeps the write lock of this file until it reads a line."""
    command = [sys.executable, "-c", HOLD_SQLITE, path]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_file_locked_by_another_process_is_waited_for_within_the_bound(
    run: Run, sqlite_place: Place
) -> None:
    async def scenario() -> None:
        ledger = await open_ledger(sqlite_place.url, LedgerConfig(busy_ms=200))
        holder = hold(sqlite_place.url.removeprefix("sqlite:///"))
        try:
            assert line_of(holder) == "held"
            with pytest.raises(EngineUnavailable, match="locked"):
                await ledger.record(batch(1))
            assert await ledger.position("shard-0") == 0, "readers do not wait for writers"
            go(holder)
            assert line_of(holder) == "released"
            await ledger.record(batch(1))
            assert await ledger.position("shard-0") == 1
        finally:
            holder.kill()
            holder.communicate()
            await ledger.close()

    run(scenario())


def test_a_writer_that_does_not_end_on_postgresql_is_waited_for_within_the_bound(
    run: Run, postgresql_place: Place
) -> None:
    async def scenario() -> None:
        ledger = await open_ledger(postgresql_place.url, LedgerConfig(busy_ms=200))
        with psycopg.connect(postgresql_place.url) as holder:
            holder.execute("SELECT pg_advisory_xact_lock(%s)", (0x6F686D657368,))
            with pytest.raises(EngineUnavailable, match="lock"):
                await ledger.record(batch(1))
            assert await ledger.position("shard-0") == 0
        await ledger.record(batch(1))
        assert await ledger.position("shard-0") == 1
        await ledger.close()

    run(scenario())


def test_a_reader_that_stays_does_not_hold_up_recording(run: Run, sqlite_place: Place) -> None:
    async def scenario() -> None:
        ledger = await open_ledger(sqlite_place.url, LedgerConfig(busy_ms=500))
        await ledger.record(batch(1))
        reader = sqlite3.connect(sqlite_place.url.removeprefix("sqlite:///"), isolation_level=None)
        reader.execute("BEGIN")
        (seen,) = reader.execute("SELECT count(*) FROM tasks").fetchone()
        await asyncio.gather(*(ledger.record(batch(position)) for position in range(2, 9)))
        (still_seen,) = reader.execute("SELECT count(*) FROM tasks").fetchone()
        reader.close()
        assert (seen, still_seen) == (5, 5)
        assert await ledger.position("shard-0") == 8
        await ledger.close()

    run(scenario())
