"""What the fault tests do to a NATS engine: a server of their own, signals to it, and a wire that can be cut."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

from ohmesh.engines.nats.config import ConnectionConfig, NatsConfig
from ohmesh.engines.nats.embedded import EmbeddedConfig, EmbeddedServer
from ohmesh.engines.nats.engine import NatsEngine
from ohmesh.engines.nats.server_config import Durability
from ohmesh.errors import EngineUnavailable
from tests.waiting import eventually

T = TypeVar("T")

QUICK = ConnectionConfig(ping_interval_ms=100, reconnect_least_ms=20, reconnect_most_ms=100)
"""Notices a stopped server within a third of a second."""


@asynccontextmanager
async def own_server(
    data: Path, durability: Durability = Durability.INTERVAL
) -> AsyncIterator[EmbeddedServer]:
    server = EmbeddedServer(EmbeddedConfig(data, durability=durability))
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def engine_on(
    server: EmbeddedServer,
    *,
    url: str = "",
    append_timeout_ms: int = 3_000,
    connection: ConnectionConfig = QUICK,
) -> AsyncIterator[NatsEngine]:
    config = NatsConfig(connection=connection, append_timeout_ms=append_timeout_ms)
    engine = await NatsEngine.connect(
        url or server.url, mesh="faults", seed_file=server.seed_file, config=config
    )
    try:
        yield engine
    finally:
        await engine.close()


async def kill_server(server: EmbeddedServer) -> None:
    """kill -9; returns when the process is gone."""
    pid = server.pid
    os.kill(pid, signal.SIGKILL)
    await eventually(lambda: not server.is_running, what=f"server {pid} is gone")


async def stop_server(server: EmbeddedServer) -> None:
    """SIGSTOP; returns when every thread of the process has stopped."""
    tasks = Path(f"/proc/{server.pid}/task")
    os.kill(server.pid, signal.SIGSTOP)
    await eventually(
        lambda: all("State:\tT" in (task / "status").read_text() for task in tasks.iterdir()),
        what="every thread of the server has stopped",
    )


def continue_server(server: EmbeddedServer) -> None:
    os.kill(server.pid, signal.SIGCONT)


async def answering(attempt: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """What `attempt` gives once it no longer finds the engine unavailable."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await attempt()
            except EngineUnavailable:
                await asyncio.sleep(0.01)


class Connectedness:
    """What `watch_connection` told."""

    def __init__(self, engine: NatsEngine) -> None:
        self.told: list[bool] = []
        engine.bus.watch_connection(self.told.append)

    async def lost(self) -> None:
        await eventually(lambda: self.told and not self.told[-1], what="the loss is noticed")

    async def back(self) -> None:
        await eventually(lambda: self.told and self.told[-1], what="the engine is connected again")


class Cable:
    """A TCP wire to a server that can be cut, made to lose what the server says, and mended."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._plugged = True
        self._muted = False
        self._streams: set[asyncio.StreamWriter] = set()
        self._listener: asyncio.Server | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"nats://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()
        assert self._listener is not None
        self._listener.close()
        await eventually(lambda: not self._streams, what="both ends of the cable are free")

    def cut(self) -> None:
        self._plugged = False
        for stream in self._streams:
            stream.transport.abort()

    def mute(self) -> None:
        self._muted = True

    def mend(self) -> None:
        self._plugged = True
        self._muted = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._plugged:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, far_writer}
        self._streams |= both
        try:
            await asyncio.gather(
                self._pump(reader, far_writer), self._pump(far_reader, writer, may_be_mute=True)
            )
        finally:
            self._streams -= both

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, may_be_mute: bool = False
    ) -> None:
        try:
            while data := await source.read(1 << 16):
                if not (may_be_mute and self._muted):
                    sink.write(data)
                await sink.drain()
        except OSError:
            pass
        finally:
            sink.transport.abort()
