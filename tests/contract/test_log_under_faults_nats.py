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
from ohmesh.errors import AppendUnresolved, EngineUnavailable, SequenceConflict
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
    """How an unresolved append is settled: the same bytes again, then a look at what stands there, until both work."""
    while True:
        try:
            return await tried_again(log, name, data, expected=expected)
        except (AppendUnresolved, EngineUnavailable):
            await asyncio.sleep(0)


async def tried_again(log: Log, name: str, data: bytes, *, expected: int) -> str:
    try:
        await log.append(name, data, expected=expected)
        return "landed now"
    except SequenceConflict:
        (entry,) = await log.read(name, first=expected + 1, limit=1)
        return "had landed" if entry.data == data else "another's"


async def everything(log: Log, name: str) -> list[Entry]:
    return await answering(lambda: log.read(name, first=1, limit=1_000))


def test_of_appends_in_flight_when_the_server_is_killed_some_have_landed_and_sending_again_tells_which(
    run: Run, nats_data: Path
) -> None:
    """The acknowledgements of the first ten are on their way, the last ten have not reached the server."""

    async def scenario() -> None:
        async with (
            own_server(nats_data) as server,
            Cable(int(server.url.rpartition(":")[2])) as cable,
            engine_on(server) as observer,
            engine_on(server, url=cable.url, append_timeout_ms=3_600_000, connection=PATIENT) as engine,
        ):
            logs = {f"log-{number}": os.urandom(100_000) for number in range(20)}
            for name in logs:
                await engine.log.create(name)
            cable.mute()
            early = in_flight(engine.log, dict(list(logs.items())[:10]))
            for name in early:
                await landed(observer.log, name, 1)
            await stop_server(server)
            late = in_flight(engine.log, dict(list(logs.items())[10:]))
            await kill_server(server)
            ends = await asyncio.gather(*early.values(), *late.values(), return_exceptions=True)
            assert {type(end) for end in ends} == {AppendUnresolved}
            cable.mend()
            await server.restart()
            told = {name: await resolved(engine.log, name, logs[name], expected=0) for name in logs}
            assert {told[name] for name in early} == {"had landed"}
            assert {told[name] for name in late} == {"landed now"}
            for name, data in logs.items():
                assert await everything(engine.log, name) == [Entry(1, data)]

    run(scenario())


def in_flight(log: Log, frames: dict[str, bytes]) -> dict[str, asyncio.Task[int]]:
    return {name: asyncio.create_task(log.append(name, data, expected=0)) for name, data in frames.items()}


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
                assert await everything(engine.log, name) == [Entry(1, data)]

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
            assert await everything(engine.log, "cut") == [Entry(1, b"alive")]

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
            assert await answering(lambda: engine.log.bounds("kept")) == Bounds(1, 200)
            assert await everything(engine.log, "kept") == entries
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
            assert await answering(lambda: engine.log.bounds("trimmed")) == Bounds(50, 50)
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
