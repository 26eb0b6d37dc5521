"""The port Log, as its docstrings promise it."""

from __future__ import annotations

import asyncio
import os

import pytest

from ohmesh.errors import AppendUnresolved, EngineFailed, PayloadTooLarge, SequenceConflict
from ohmesh.ports.log import Bounds, Entry, Log
from tests.contract.conftest import MakeEngine, OnEngine


async def filled(log: Log, name: str, count: int) -> list[Entry]:
    await log.create(name)
    entries = [Entry(number, f"entry {number}".encode()) for number in range(1, count + 1)]
    for entry in entries:
        assert await log.append(name, entry.data, expected=entry.sequence - 1) == entry.sequence
    return entries


def test_a_new_log_is_empty_and_its_first_sequence_is_one(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        log = (await make()).log
        await log.create("new")
        assert await log.bounds("new") == Bounds(first=1, last=0)
        assert await log.read("new", first=1, limit=10) == []
        assert await log.append("new", b"x", expected=0) == 1
        assert await log.bounds("new") == Bounds(first=1, last=1)

    on_engine(scenario)


def test_creating_a_log_again_leaves_it_as_it_is(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        log = (await make()).log
        entries = await filled(log, "again", 3)
        await log.create("again")
        assert await log.read("again", first=1, limit=10) == entries

    on_engine(scenario)


def test_an_append_behind_or_beyond_the_end_is_refused_with_the_place_where_the_log_ends(
    on_engine: OnEngine,
) -> None:
    async def scenario(make: MakeEngine) -> None:
        log = (await make()).log
        entries = await filled(log, "fenced", 3)
        for expected in (0, 2, 4, 100):
            with pytest.raises(SequenceConflict) as refused:
                await log.append("fenced", b"late", expected=expected)
            assert (refused.value.expected, refused.value.last) == (expected, 3)
        assert await log.read("fenced", first=1, limit=10) == entries

    on_engine(scenario)


def test_of_writers_that_expect_the_same_end_exactly_one_is_right(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        writers = [await make() for _ in range(4)]
        await filled(writers[0].log, "contested", 2)
        tries = [
            writer.log.append("contested", f"{i}".encode(), expected=2) for i, writer in enumerate(writers)
        ]
        outcomes = await asyncio.gather(*tries, return_exceptions=True)
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["SequenceConflict"] * 3 + ["int"]
        winner = outcomes.index(3)
        assert await writers[0].log.read("contested", first=3, limit=9) == [Entry(3, f"{winner}".encode())]

    on_engine(scenario)


def test_a_read_gives_what_is_asked_for_and_nothing_at_the_end(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        log = (await make()).log
        entries = await filled(log, "read", 20)
        assert await log.read("read", first=1, limit=100) == entries
        assert await log.read("read", first=1, limit=7) == entries[:7]
        assert await log.read("read", first=8, limit=7) == entries[7:14]
        assert await log.read("read", first=20, limit=1) == entries[19:]
        assert await log.read("read", first=21, limit=7) == []
        assert await log.read("read", first=500, limit=7) == []

    on_engine(scenario)


def test_an_acknowledged_append_is_read_by_another_process_at_once(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        writer, reader = await make(), await make()
        await writer.log.create("shared")
        for number in range(1, 51):
            await writer.log.append("shared", b"%d" % number, expected=number - 1)
            assert await reader.log.read("shared", first=number, limit=2) == [Entry(number, b"%d" % number)]

    on_engine(scenario)


def test_bytes_come_back_as_they_were_whatever_they_are(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        log = (await make()).log
        await log.create("bytes")
        written = [b"", bytes(range(256)), b"\r\nPUB x 1\r\n", os.urandom(900_000), b"NATS/1.0 503\r\n\r\n"]
        for number, data in enumerate(written):
            await log.append("bytes", data, expected=number)
        assert [entry.data for entry in await log.read("bytes", first=1, limit=9)] == written

    on_engine(scenario)


def test_many_large_entries_are_read_in_one_call(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        log = (await make()).log
        await log.create("large")
        written = [os.urandom(600_000) for _ in range(40)]
        for number, data in enumerate(written):
            await log.append("large", data, expected=number)
        read = await log.read("large", first=2, limit=100)
        assert [entry.sequence for entry in read] == list(range(2, 41))
        assert [entry.data for entry in read] == written[1:]

    on_engine(scenario)


def test_an_entry_above_the_limit_is_refused_and_not_written(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        log = (await make()).log
        entries = await filled(log, "limit", 1)
        with pytest.raises(PayloadTooLarge):
            await log.append("limit", bytes(64_000_000), expected=1)
        assert await log.read("limit", first=1, limit=9) == entries
        assert await log.append("limit", b"next", expected=1) == 2

    on_engine(scenario)


def test_trimming_drops_what_is_older_and_goes_on_counting(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        log = (await make()).log
        entries = await filled(log, "trimmed", 10)
        await log.trim("trimmed", before=7)
        assert await log.bounds("trimmed") == Bounds(first=7, last=10)
        assert await log.read("trimmed", first=1, limit=100) == entries[6:]
        assert await log.append("trimmed", b"on", expected=10) == 11
        await log.trim("trimmed", before=3)
        assert await log.bounds("trimmed") == Bounds(first=7, last=11)

    on_engine(scenario)


def test_the_last_entry_stays_however_far_the_log_is_trimmed(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        log = (await make()).log
        entries = await filled(log, "last", 5)
        await log.trim("last", before=1_000)
        assert await log.bounds("last") == Bounds(first=5, last=5)
        assert await log.read("last", first=1, limit=100) == entries[4:]
        assert await log.append("last", b"on", expected=5) == 6

    on_engine(scenario)


def test_trimming_an_empty_log_changes_nothing(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        log = (await make()).log
        await log.create("untouched")
        await log.trim("untouched", before=10)
        assert await log.bounds("untouched") == Bounds(first=1, last=0)
        assert await log.append("untouched", b"x", expected=0) == 1

    on_engine(scenario)


def test_logs_do_not_know_each_other(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        log = (await make()).log
        ones, twos = await filled(log, "one", 3), await filled(log, "two", 5)
        await log.trim("one", before=3)
        assert await log.read("one", first=1, limit=9) == ones[2:]
        assert await log.read("two", first=1, limit=9) == twos

    on_engine(scenario)


def test_the_bounds_of_a_log_that_was_never_created_are_an_error(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        engine = await make()
        with pytest.raises(EngineFailed):
            await engine.log.bounds("nowhere")

    on_engine(scenario)


def test_an_append_on_a_closed_engine_is_unresolved_at_once_and_not_written(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        writer, reader = await make(), await make()
        await writer.log.create("closed")
        await writer.close()
        with pytest.raises(AppendUnresolved):
            await writer.log.append("closed", b"x", expected=0)
        assert await reader.log.bounds("closed") == Bounds(first=1, last=0)

    on_engine(scenario)
