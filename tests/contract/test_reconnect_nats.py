"""What becomes of subscriptions, requests and watches when the server dies, hangs, moves, or the wire is cut."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any, cast

import pytest

from ohmesh.engines.nats.config import ConnectionConfig, NatsConfig
from ohmesh.engines.nats.embedded import EmbeddedServer
from ohmesh.engines.nats.engine import NatsEngine
from ohmesh.engines.nats.runtime_file import RuntimeFile, write_runtime_file
from ohmesh.errors import EngineUnavailable, NotAuthorised
from ohmesh.ports.bus import Message
from ohmesh.ports.state import State, StateEntry
from tests.contract.nats_faults import (
    QUICK,
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


def port_of(server: EmbeddedServer) -> int:
    return int(server.url.rpartition(":")[2])


class Watching:
    """A watch that runs beside the test."""

    def __init__(self, state: State, prefix: str) -> None:
        self.shown: list[StateEntry] = []
        self._task = asyncio.create_task(self._watch(state, prefix))

    async def _watch(self, state: State, prefix: str) -> None:
        async with aclosing(cast("AsyncGenerator[StateEntry]", state.watch(prefix))) as entries:
            async for entry in entries:
                self.shown.append(entry)

    async def until(self, key: str, value: bytes | None) -> None:
        await eventually(
            lambda: self.newest().get(key, "unseen") == value, what=f"{key} is shown as {value!r}"
        )

    def newest(self) -> dict[str, bytes | None]:
        return {entry.key: entry.value for entry in self.shown}

    def revisions(self, key: str) -> list[int]:
        return [entry.revision for entry in self.shown if entry.key == key]

    async def end(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task


def test_subscriptions_outlive_the_server_and_what_was_published_meanwhile_arrives(
    run: Run, nats_data: Path
) -> None:
    async def scenario() -> None:
        async with own_server(nats_data) as server, engine_on(server) as engine:
            heard: list[bytes] = []
            await engine.bus.subscribe("news", lambda message: heard.append(message.data))
            connectedness = Connectedness(engine)
            await kill_server(server)
            await connectedness.lost()
            for number in range(10):
                await engine.bus.publish("news", b"%d" % number)
            await server.restart()
            await connectedness.back()
            await engine.bus.publish("news", b"after")
            await eventually(lambda: b"after" in heard, what="the subscription lives on")
            assert heard == [*(b"%d" % number for number in range(10)), b"after"]
            assert connectedness.told == [False, True]

    run(scenario())


def test_what_is_published_beyond_the_bound_while_disconnected_is_dropped_and_said(
    run: Run, nats_data: Path
) -> None:
    async def scenario() -> None:
        notices: list[str] = []
        config = NatsConfig(connection=QUICK, bus_offline_bytes=1_000, notice=notices.append)
        async with own_server(nats_data) as server:
            engine = await NatsEngine.connect(
                server.url, mesh="bounded", seed_file=server.seed_file, config=config
            )
            heard: list[bytes] = []
            await engine.bus.subscribe("news", lambda message: heard.append(message.data))
            connectedness = Connectedness(engine)
            await kill_server(server)
            await connectedness.lost()
            said = [b"%03d" % number + bytes(97) for number in range(25)]
            for data in said:
                await engine.bus.publish("news", data)
            await server.restart()
            await connectedness.back()
            await eventually(lambda: len(heard) >= 10, what="what was kept arrives")
            await engine.close()
            assert heard == said[:10]
            assert any("15 messages were dropped" in notice for notice in notices)

    run(scenario())


def test_a_request_in_flight_fails_when_the_server_dies_and_the_next_one_at_once(
    run: Run, nats_data: Path
) -> None:
    async def scenario() -> None:
        async with own_server(nats_data) as server, engine_on(server) as engine:
            heard: list[Message] = []
            await engine.bus.subscribe("silent", heard.append)
            connectedness = Connectedness(engine)
            asking = asyncio.create_task(engine.bus.request("silent", b"?", timeout_s=3_600))
            await eventually(lambda: heard, what="the request has arrived")
            await kill_server(server)
            with pytest.raises(EngineUnavailable):
                await asking
            await connectedness.lost()
            with pytest.raises(EngineUnavailable):
                await engine.bus.request("silent", b"?", timeout_s=3_600)

    run(scenario())


def test_a_server_that_hangs_is_noticed_and_used_again_when_it_goes_on(run: Run, nats_data: Path) -> None:
    async def scenario() -> None:
        async with own_server(nats_data) as server, engine_on(server) as engine:
            heard: list[bytes] = []
            await engine.bus.subscribe("news", lambda message: heard.append(message.data))
            connectedness = Connectedness(engine)
            await stop_server(server)
            await connectedness.lost()
            continue_server(server)
            await connectedness.back()
            await engine.bus.publish("news", b"on")
            await eventually(lambda: heard == [b"on"], what="the bus works again")

    run(scenario())


def test_publishing_to_a_server_that_hangs_waits_and_goes_on_once_it_is_given_up(
    run: Run, nats_data: Path
) -> None:
    async def scenario() -> None:
        async with own_server(nats_data) as server, engine_on(server) as engine:
            await stop_server(server)
            connectedness = Connectedness(engine)
            for _ in range(200):
                await engine.bus.publish("flood", bytes(900_000))
            await connectedness.lost()
            continue_server(server)
            await answering(lambda: engine.log.create("alive"))

    run(scenario())


def test_a_watch_outlives_the_server_and_never_goes_back(run: Run, nats_data: Path) -> None:
    async def scenario() -> None:
        async with own_server(nats_data) as server, engine_on(server) as engine:
            state, watching = engine.state, Watching(engine.state, "k.")
            await state.put("k.kept", b"1")
            await state.put("k.other", b"x")
            for round_ in range(3):
                await state.put("k.counted", b"%d" % round_)
                await watching.until("k.counted", b"%d" % round_)
                await kill_server(server)
                await server.restart()
                await answering(lambda: state.keys(""))
            await state.delete("k.other")
            await watching.until("k.other", None)
            await watching.end()
            assert watching.newest() == {"k.kept": b"1", "k.counted": b"2", "k.other": None}
            for key in ("k.kept", "k.counted", "k.other"):
                assert watching.revisions(key) == sorted(watching.revisions(key))

    run(scenario())


def test_a_watch_that_was_cut_off_hears_what_changed_and_what_went_without_a_trace(
    run: Run, nats_data: Path
) -> None:
    """The marker of a deletion is kept for a while only; here it is removed before the watch is back."""

    async def scenario() -> None:
        async with (
            own_server(nats_data) as server,
            Cable(port_of(server)) as cable,
            engine_on(server) as writer,
            engine_on(server, url=cable.url) as watcher,
        ):
            for key in ("k.stays", "k.changes", "k.goes", "k.vanishes"):
                await writer.state.put(key, b"old")
            watching = Watching(watcher.state, "k.")
            await watching.until("k.vanishes", b"old")
            connectedness = Connectedness(watcher)
            cable.cut()
            await connectedness.lost()
            await writer.state.put("k.changes", b"new")
            await writer.state.delete("k.goes")
            await writer.state.delete("k.vanishes")
            jetstream = writer.state._jetstream
            await jetstream.purge("KV_ohmesh-faults", subject="$KV.ohmesh-faults.k.vanishes")
            cable.mend()
            await watching.until("k.vanishes", None)
            await watching.until("k.changes", b"new")
            await watching.until("k.goes", None)
            again = await writer.state.put("k.vanishes", b"again", expected=0)
            await watching.until("k.vanishes", b"again")
            await watching.end()
            assert watching.newest()["k.stays"] == b"old"
            assert watching.revisions("k.vanishes")[-1] == again
            assert watching.revisions("k.vanishes") == sorted(watching.revisions("k.vanishes"))

    run(scenario())


def test_a_watch_with_more_changes_than_it_may_keep_ends_at_the_newest(run: Run, nats_data: Path) -> None:
    async def scenario() -> None:
        config = NatsConfig(connection=QUICK, watch_messages=16)
        async with own_server(nats_data) as server:
            engine = await NatsEngine.connect(
                server.url, mesh="faults", seed_file=server.seed_file, config=config
            )
            for number in range(300):
                await engine.state.put(f"k.{number}", b"0")
            watching = Watching(engine.state, "k.")
            await asyncio.gather(*(engine.state.put(f"k.{number}", b"1") for number in range(300)))
            newest = {f"k.{number}": b"1" for number in range(300)}
            await eventually(lambda: watching.newest() == newest, what="all is shown")
            await watching.end()
            revisions = [entry.revision for entry in watching.shown]
            assert revisions == sorted(set(revisions))
            await engine.close()

    run(scenario())


def test_what_ran_out_while_the_server_was_down_is_shown_as_gone(run: Run, nats_data: Path) -> None:
    async def scenario() -> None:
        async with own_server(nats_data) as server, engine_on(server) as engine:
            watching = Watching(engine.state, "")
            await engine.state.put("lease", b"mine", ttl_ms=1_000)
            await watching.until("lease", b"mine")
            await kill_server(server)
            await server.restart()
            await watching.until("lease", None)
            await watching.end()
            assert await engine.state.get("lease") is None

    run(scenario())


def test_an_engine_follows_the_runtime_file_to_a_new_server_with_a_new_key(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        path = tmp_path / "runtime.json"
        async with own_server(tmp_path / "new") as new:
            async with own_server(tmp_path / "old") as old:
                point_to(path, old)
                engine = await NatsEngine.connect(
                    mesh="moving", runtime_file=path, config=NatsConfig(connection=QUICK)
                )
                heard: list[bytes] = []
                await engine.bus.subscribe("news", lambda message: heard.append(message.data))
                connectedness = Connectedness(engine)
                assert new.seed_file.read_bytes() != old.seed_file.read_bytes()
            await connectedness.lost()
            point_to(path, new)
            await connectedness.back()
            await engine.bus.publish("news", b"here")
            await eventually(lambda: heard == [b"here"], what="the subscription has moved too")
            await engine.close()

    run(scenario())


def point_to(path: Path, server: EmbeddedServer) -> None:
    write_runtime_file(path, RuntimeFile("moving", server.url, os.getpid(), str(server.seed_file), 0))


def test_without_the_right_key_nobody_gets_in(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with own_server(tmp_path / "one") as server, own_server(tmp_path / "other") as other:
            for seed_file in (other.seed_file, None, tmp_path / "missing.seed"):
                with pytest.raises(NotAuthorised):
                    await NatsEngine.connect(server.url, mesh="m", seed_file=seed_file)

    run(scenario())


def test_an_engine_whose_server_is_not_there_says_so(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with own_server(tmp_path / "gone") as server:
            pass
        with pytest.raises(EngineUnavailable, match=server.url):
            await NatsEngine.connect(server.url, mesh="m", seed_file=server.seed_file)
        with pytest.raises(EngineUnavailable, match="no runtime file"):
            await NatsEngine.connect(mesh="m", runtime_file=tmp_path / "absent.json")

    run(scenario())


@pytest.mark.timeout(60)
def test_a_loop_ends_although_its_engines_are_reconnecting_and_were_never_closed(nats_data: Path) -> None:
    """asyncio.wait_for and nats-py swallow a cancellation now and then; asyncio.run would wait for ever."""
    restless = NatsConfig(connection=ConnectionConfig(reconnect_least_ms=1, reconnect_most_ms=1))

    async def leave_without_closing() -> list[NatsEngine]:
        async with own_server(nats_data) as server:
            engines = [
                await NatsEngine.connect(server.url, mesh="left", seed_file=server.seed_file, config=restless)
                for _ in range(4)
            ]
            connectedness = [Connectedness(engine) for engine in engines]
        for told in connectedness:
            await told.lost()
        return engines

    for _ in range(8):
        engines = asyncio.run(leave_without_closing())
        keepers = [connection._keeper for engine in engines for connection in engine._connections]
        assert all(keeper is not None and keeper.cancelled() for keeper in keepers)
