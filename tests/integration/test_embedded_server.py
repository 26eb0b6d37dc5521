"""The embedded nats-server as a real child: its files, its door, its port, its end and its return."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # it ships no types
import pytest

from ohmesh.engines.nats.embedded import EmbeddedConfig, EmbeddedServer
from ohmesh.engines.nats.engine import NatsEngine
from ohmesh.engines.nats.server_config import Durability
from ohmesh.errors import EngineFailed, EngineInUse
from ohmesh.ports.log import Entry
from tests.waiting import eventually

Run = Callable[[Coroutine[Any, Any, None]], None]


def port_of(server: EmbeddedServer) -> int:
    return int(server.url.rpartition(":")[2])


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


async def greeting(server: EmbeddedServer, *lines: bytes) -> bytes:
    """What the server says to somebody who says `lines` and nothing else."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
    writer.writelines(lines)
    said = b""
    with suppress(ConnectionResetError):
        said = await reader.read()
    writer.close()
    return said


def test_a_server_starts_serves_and_ends(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        server = EmbeddedServer(EmbeddedConfig(tmp_path / "data"))
        await server.start()
        process = psutil.Process(server.pid)
        assert process.ppid() == os.getpid()
        engine = await NatsEngine.connect(server.url, mesh="m", seed_file=server.seed_file)
        await engine.log.create("log")
        assert await engine.log.append("log", b"x", expected=0) == 1
        await engine.close()
        await server.stop()
        assert not process.is_running()
        assert server.pid == 0
        await server.stop()

    run(scenario())


def test_it_listens_on_loopback_only_and_lets_nobody_in_without_a_key(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        server = EmbeddedServer(EmbeddedConfig(tmp_path))
        await server.start()
        listening = [
            connection.laddr
            for connection in psutil.Process(server.pid).net_connections()
            if connection.status == psutil.CONN_LISTEN
        ]
        assert listening == [("127.0.0.1", port_of(server))]
        for options in (b"{}", b'{"user":"x","pass":"y"}', b'{"auth_token":"x"}'):
            said = await greeting(server, b"CONNECT ", options, b"\r\nPUB x 0\r\n\r\nPING\r\n")
            assert b"Authorization Violation" in said
            assert b"PONG" not in said
        await server.stop()

    run(scenario())


def test_secrets_are_readable_by_their_owner_only_and_the_configuration_holds_none(
    run: Run, tmp_path: Path
) -> None:
    async def scenario() -> None:
        data = tmp_path / "data"
        server = EmbeddedServer(EmbeddedConfig(data))
        await server.start()
        await server.stop()
        seed = server.seed_file.read_text().strip()
        assert seed.startswith("SU")
        assert stat.S_IMODE(server.seed_file.stat().st_mode) == 0o600
        assert stat.S_IMODE(data.stat().st_mode) == 0o700
        for path in data.glob("nats.*"):
            assert path == server.seed_file or seed not in path.read_text()
        again = EmbeddedServer(EmbeddedConfig(data))
        await again.start()
        await again.stop()
        assert server.seed_file.read_text().strip() == seed

    run(scenario())


def test_the_port_is_kept_over_restarts_and_left_when_it_is_taken(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        server = EmbeddedServer(EmbeddedConfig(tmp_path))
        await server.start()
        port = port_of(server)
        await server.restart()
        assert port_of(server) == port
        await server.stop()
        second = EmbeddedServer(EmbeddedConfig(tmp_path))
        await second.start()
        assert port_of(second) == port
        await second.stop()
        with socket.socket() as squatter:
            squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            squatter.bind(("127.0.0.1", port))
            squatter.listen()
            third = EmbeddedServer(EmbeddedConfig(tmp_path))
            await third.start()
            assert port_of(third) != port
            await third.stop()

    run(scenario())


def test_a_port_that_was_asked_for_and_is_taken_is_an_error_with_the_servers_own_words(
    run: Run, tmp_path: Path
) -> None:
    async def scenario() -> None:
        with taken_port() as port:
            server = EmbeddedServer(EmbeddedConfig(tmp_path, port=port))
            with pytest.raises(EngineFailed, match="address already in use"):
                await server.start()
        await server.start()
        assert port_of(server) == port
        await server.stop()

    run(scenario())


def test_a_server_that_cannot_start_says_why(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        (tmp_path / "store").write_text("not a directory")
        server = EmbeddedServer(EmbeddedConfig(tmp_path))
        with pytest.raises(EngineFailed, match=r"(?s)did not start.*(not a directory|JetStream)"):
            await server.start()
        assert server.pid == 0

    run(scenario())


def test_a_second_owner_of_a_data_directory_is_refused_with_the_pid_of_the_first(
    run: Run, tmp_path: Path
) -> None:
    async def scenario() -> None:
        first, second = EmbeddedServer(EmbeddedConfig(tmp_path)), EmbeddedServer(EmbeddedConfig(tmp_path))
        await first.start()
        pid = first.pid
        with pytest.raises(EngineInUse, match=rf"Process {os.getpid()} already runs a mesh"):
            await second.start()
        assert first.pid == pid
        await first.stop()
        await second.start()
        await second.stop()

    run(scenario())


def test_stopping_a_server_that_hangs_kills_it(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        server = EmbeddedServer(EmbeddedConfig(tmp_path, stop_timeout_ms=200))
        await server.start()
        process = psutil.Process(server.pid)
        process.suspend()
        await server.stop()
        assert not process.is_running()

    run(scenario())


@pytest.mark.parametrize("durability", list(Durability))
def test_supervised_it_comes_back_after_kill_9_on_its_port_with_all_that_it_acknowledged(
    run: Run, tmp_path: Path, durability: Durability
) -> None:
    async def scenario() -> None:
        server = EmbeddedServer(EmbeddedConfig(tmp_path, durability=durability))
        await server.start()
        url, restarts = server.url, []
        supervision = asyncio.create_task(server.supervise(lambda: restarts.append(server.pid)))
        engine = await NatsEngine.connect(server.url, mesh="m", seed_file=server.seed_file)
        connected: list[bool] = []
        engine.bus.watch_connection(connected.append)
        await engine.log.create("log")
        for count in range(1, 4):
            assert await engine.log.append("log", b"%d" % count, expected=count - 1) == count
            os.kill(server.pid, signal.SIGKILL)
            await restarted(restarts, count)
            await came_back(engine)
        assert server.url == url
        assert await engine.log.read("log", first=1, limit=9) == [
            Entry(1, b"1"), Entry(2, b"2"), Entry(3, b"3"),
        ]  # fmt: skip
        await engine.close()
        await server.stop()
        await asyncio.wait_for(supervision, 10)

    run(scenario())


async def restarted(restarts: list[int], count: int) -> None:
    await eventually(lambda: len(restarts) == count, what="the server is started again")


async def came_back(engine: NatsEngine) -> None:
    await eventually(
        lambda: all(connection.is_connected for connection in engine._connections),
        what="the engine is connected again",
    )


def test_supervision_gives_up_when_the_server_cannot_be_started_any_more(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        said: list[str] = []
        config = EmbeddedConfig(tmp_path, restart_tries=2, restart_most_ms=10, notice=said.append)
        server = EmbeddedServer(config)
        await server.start()
        (tmp_path / "store").rename(tmp_path / "elsewhere")
        (tmp_path / "store").write_text("in the way")
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(EngineFailed, match="did not start"):
            await server.supervise()
        assert "starting it again" in said[0]
        await server.stop()

    run(scenario())
