"""The NATS engine: bus, log, state and blobs of one mesh, on three connections to one server or cluster.

bus: keeps a little while disconnected. writing (appends and state): never buffers, so nothing lands late as a ghost.
reading (replays and blobs): carries megabytes, and must not stand in the way of the other two.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from ohmesh.engines.nats.blobs import NatsBlobs
from ohmesh.engines.nats.bus import NatsBus
from ohmesh.engines.nats.config import NatsConfig
from ohmesh.engines.nats.connection import Connection, Target
from ohmesh.engines.nats.jetstream import JetStream
from ohmesh.engines.nats.log import NatsLog
from ohmesh.engines.nats.state import NatsState
from ohmesh.model.subject import checked_name


class NatsEngine:
    """Made by `connect`; `close` it."""

    def __init__(self, target: Target, mesh: str, config: NatsConfig) -> None:
        checked_name(mesh, "mesh name")
        patient = replace(config.connection, offline_bytes=config.bus_offline_bytes)
        strict = replace(config.connection, offline_bytes=0)
        self._connections = [
            Connection(target, f"ohmesh-{mesh}-bus", config=patient, notice=config.notice),
            Connection(target, f"ohmesh-{mesh}-writing", config=strict, notice=config.notice),
            Connection(target, f"ohmesh-{mesh}-reading", config=strict, notice=config.notice),
        ]
        timeout_s = config.request_timeout_ms / 1000
        writing, reading = (
            JetStream(connection, timeout_s=timeout_s) for connection in self._connections[1:]
        )
        self.bus = NatsBus(self._connections[0])
        self.log = NatsLog(writing, reading, config)
        self.state = NatsState(writing, mesh, config)
        self.blobs = NatsBlobs(reading, mesh, config)

    @classmethod
    async def connect(
        cls,
        url: str = "",
        *,
        mesh: str,
        seed_file: Path | None = None,
        runtime_file: Path | None = None,
        config: NatsConfig | None = None,
    ) -> NatsEngine:
        """Connect and make what the mesh needs. `url` may name several servers, with commas between them; where a
        runtime file is given and present, it has the last word, now and at each reconnect.

        Raises EngineUnavailable, NotAuthorised, or EngineFailed (streams of these names with other settings).
        """
        urls = tuple(part.strip() for part in url.split(",") if part.strip())
        engine = cls(Target(urls, seed_file, runtime_file), mesh, config or NatsConfig())
        try:
            for connection in engine._connections:
                await connection.open()
            await engine.state.create()
            await engine.blobs.create()
        except BaseException:
            await engine.close()
            raise
        return engine

    async def close(self) -> None:
        """Send what the bus holds, then release everything; idempotent."""
        await self.blobs.close()
        bus, *others = self._connections
        await asyncio.gather(bus.close(), *(connection.close(flush=False) for connection in others))
