"""The facts that the append protocol stands on, forced on the real server: killed, stopped, cut off, restarted."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from ohmesh.engines.nats.config import ConnectionConfig
from ohmesh.engines.nats.server_config import Durability
from ohmesh.errors import AppendUnresolved, SequenceConflict
from ohmesh.ports.log import Bounds, Entry, Log
from ohmesh.ports.state import StateEntry
from tests.contract.nats_faults import (
    Cable,
    Connectedness,
    answering,
    continue_server,
    engine_on,
    kill_server,
    own_server,
    stop_server,
)
from tests.waiting import eventually

Run = Callable[[Coroutine[Any, Any, None]], None]
PATIENT = ConnectionConfig(ping_interval_ms=10_000)


async def resolved(log: Log, name: str, data: bytes, *, expected: int) -> str:
    """How an unresolved append is settled: the same bytes again, then a look at what stands there."""
    while True:
        try:
            await log.append(name, data, expected=expected)
            return "landed now"
        except SequenceConflict:
            (entry,) = await log.read(name, first=expected + 1, limit=1)
            return "had landed" if entry.data == data else "another's"
        except AppendUnresolved:
            await asyncio.sleep(0)


def test_appends_in_flight_when_the_server_is_killed_are_settled_by_sending_them_again(
    run: Run, nats_data: Path
) -> None:
    async def scenario() -> None:
        async with own_server(nats_data) as server, engine_on(server) as engine:
            logs = {f"log-{number}": os.urandom(300_000) for number in range(60)}
            for name in logs:
                await engine.log.create(name)
            tries = {
                name: asyncio.create_task(engine.log.append(name, data, expected=0))
                for name, data in logs.items()
            }
            await asyncio.wait(tries.values(), return_when=asyncio.FIRST_COMPLETED)
            await kill_server(server)
            await asyncio.wait(tries.values())
            unresolved = {name for name, task in tries.items() if task.exception() is not None}
            assert {type(tries[name].exception()) for name in unresolved} == {AppendUnresolved}
            await server.restart()
            told = {name: await resolved(engine.log, name, logs[name], expected=0) for name in unresolved}
            assert set(told.values()) <= {"landed now", "had landed"}
            for name, data in logs.items():
                assert await engine.log.read(name, first=1, limit=9) == [Entry(1, data)]

    run(scenario())


def test_an_append_to_a_stopped_server_times_out_lands_later_and_is_found_by_its_bytes(
    run: Run, nats_data: Path
) -> None:
    async def scenario() -> None:
        async with (
            own_server(nats_data) as server,
            engine_on(server, append_timeout_ms=200, connection=PATIENT) as engine,
        ):
            await engine.log.create("stopped")
            assert await engine.log.append("stopped", b"before", expected=0) == 1
            await stop_server(server)
            with pytest.raises(AppendUnresolved):
                await engine.log.append("stopped", b"ours", expected=1)
            continue_server(server)
            await landed(engine.log, "stopped", 2)
            with pytest.raises(SequenceConflict) as refused:
                await engine.log.append("stopped", b"ours", expected=1)
            assert (refused.value.expected, refused.value.last) == (1, 2)
            assert await engine.log.read("stopped", first=2, limit=9) == [Entry(2, b"ours")]

    run(scenario())


async def landed(log: Log, name: str, last: int) -> None:
    async with asyncio.timeout(20):
        while (await log.bounds(name)).last < last:
            await asyncio.sleep(0.01)


def test_what_was_not_sent_before_the_connection_was_given_up_is_never_sent(
    run: Run, nats_data: Path
) -> None:
    """More than sockets hold is under way to a stopped server when the connection is given up."""

    async def scenario() -> None:
        async with (
            own_server(nats_data) as server,
            engine_on(server, append_timeout_ms=20_000) as engine,
        ):
            logs = {f"log-{number}": os.urandom(900_000) for number in range(30)}
            for name in logs:
                await engine.log.create(name)
            connectedness = Connectedness(engine)
            await stop_server(server)
            tries = [engine.log.append(name, data, expected=0) for name, data in logs.items()]
            outcomes = await asyncio.gather(*tries, return_exceptions=True)
            assert {type(outcome) for outcome in outcomes} == {AppendUnresolved}
            await connectedness.lost()
            continue_server(server)
            await connectedness.back()
            told = [await resolved(engine.log, name, data, expected=0) for name, data in logs.items()]
            assert "landed now" in told
            assert set(told) <= {"landed now", "had landed"}
            for name, data in logs.items():
                assert await engine.log.read(name, first=1, limit=9) == [Entry(1, data)]

    run(scenario())


def test_an_append_while_disconnected_fails_at_once_and_never_lands(run: Run, nats_data: Path) -> None:
    async def scenario() -> None:
        async with (
            own_server(nats_data) as server,
            Cable(int(server.url.rpartition(":")[2])) as cable,
            engine_on(server, url=cable.url, append_timeout_ms=3_600_000) as engine,
        ):
            await engine.log.create("cut")
            connectedness = Connectedness(engine)
            cable.cut()
            await connectedness.lost()
            async with asyncio.timeout(10):
                with pytest.raises(AppendUnresolved):
                    await engine.log.append("cut", b"ghost", expected=0)
            cable.mend()
            await connectedness.back()
            assert await resolved(engine.log, "cut", b"alive", expected=0) == "landed now"
            assert await engine.log.read("cut", first=1, limit=9) == [Entry(1, b"alive")]

    run(scenario())


def test_an_append_in_flight_fails_as_soon_as_the_connection_is_lost(run: Run, nats_data: Path) -> None:
    async def scenario() -> None:
        async with (
            own_server(nats_data) as server,
            engine_on(server, append_timeout_ms=3_600_000) as engine,
        ):
            await engine.log.create("lost")
            await stop_server(server)
            async with asyncio.timeout(20):
                with pytest.raises(AppendUnresolved):
                    await engine.log.append("lost", b"x", expected=0)
            continue_server(server)

    run(scenario())


@pytest.mark.parametrize("durability", list(Durability))
def test_what_was_acknowledged_survives_kill_9(run: Run, nats_data: Path, durability: Durability) -> None:
    async def scenario() -> None:
        async with own_server(nats_data, durability) as server, engine_on(server) as engine:
            entries = [Entry(number, b"%d " % number + bytes(2_000)) for number in range(1, 201)]
            await engine.log.create("kept")
            for entry in entries:
                await engine.log.append("kept", entry.data, expected=entry.sequence - 1)
            revision = await engine.state.put("assignment", b"kept too")
            await engine.blobs.put("snapshot", bytes(3_000_000))
            connectedness = Connectedness(engine)
            await kill_server(server)
            await server.restart()
            await connectedness.back()
            await answering(lambda: engine.log.bounds("kept"))
            await answering(lambda: engine.log.read("kept", first=1, limit=1))
            assert await engine.log.bounds("kept") == Bounds(1, 200)
            assert await engine.log.read("kept", first=1, limit=1_000) == entries
            assert await engine.blobs.get("snapshot") == bytes(3_000_000)
            assert await engine.state.get("assignment") == StateEntry("assignment", b"kept too", revision)

    run(scenario())


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_trimmed_log_keeps_its_last_sequence_over_a_restart(run: Run, nats_data: Path, end: int) -> None:
    async def scenario() -> None:
        async with own_server(nats_data) as server, engine_on(server) as engine:
            await engine.log.create("trimmed")
            for number in range(50):
                await engine.log.append("trimmed", b"%d" % number, expected=number)
            await engine.log.trim("trimmed", before=1_000)
            os.kill(server.pid, end)
            await eventually(lambda: not server.is_running, what="the server is gone")
            await server.restart()
            await answering(lambda: engine.log.bounds("trimmed"))
            assert await engine.log.bounds("trimmed") == Bounds(50, 50)
            assert await resolved(engine.log, "trimmed", b"on", expected=50) == "landed now"

    run(scenario())


def test_a_writer_that_was_replaced_finds_the_bytes_of_the_other(run: Run, nats_data: Path) -> None:
    async def scenario() -> None:
        async with (
            own_server(nats_data) as server,
            engine_on(server) as old,
            engine_on(server) as new,
        ):
            await old.log.create("fenced")
            assert await old.log.append("fenced", b"old 1", expected=0) == 1
            assert await new.log.append("fenced", b"new epoch", expected=1) == 2
            assert await resolved(old.log, "fenced", b"old 2", expected=1) == "another's"

    run(scenario())
