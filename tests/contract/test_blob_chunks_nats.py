"""What lies behind a blob in NATS: chunks go when nobody names them, and damage is noticed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from ohmesh.engines.nats.config import NatsConfig
from ohmesh.engines.nats.embedded import EmbeddedServer
from ohmesh.engines.nats.engine import NatsEngine
from ohmesh.errors import EngineFailed
from tests.contract.nats_faults import own_server
from tests.waiting import eventually

Run = Callable[[Coroutine[Any, Any, None]], None]
STREAM = "ohmesh-blobs-m"


async def engine_with(server: EmbeddedServer, config: NatsConfig) -> NatsEngine:
    return await NatsEngine.connect(server.url, mesh="m", seed_file=server.seed_file, config=config)


async def chunks(engine: NatsEngine) -> list[str]:
    _, subjects = await engine.blobs._jetstream.subjects(STREAM, "ohmesh.blob.m.chunk.>")
    return subjects


def test_a_blob_that_was_replaced_or_deleted_leaves_no_chunks(run: Run, nats_data: Path) -> None:
    async def scenario() -> None:
        async with own_server(nats_data) as server:
            engine = await engine_with(server, NatsConfig(blob_chunk_bytes=100))
            await engine.blobs.put("k", bytes(1_000))
            await engine.blobs.put("k", bytes(300))
            assert len(await chunks(engine)) == 3
            await engine.blobs.delete("k")
            assert await chunks(engine) == []
            await engine.close()

    run(scenario())


def test_chunks_whose_writer_died_before_the_manifest_are_swept_once_they_are_old(
    run: Run, nats_data: Path
) -> None:
    async def scenario() -> None:
        async with own_server(nats_data) as server:
            writer = await engine_with(server, NatsConfig(blob_chunk_bytes=100))
            await writer.blobs.put("whole", bytes(500))
            putting = asyncio.create_task(writer.blobs.put("cut-short", bytes(1_000_000)))
            while len(await chunks(writer)) <= 5:
                await asyncio.sleep(0)
            putting.cancel()
            await asyncio.gather(putting, return_exceptions=True)
            await writer.close()
            said: list[str] = []
            config = NatsConfig(blob_puts_before_sweep=1, blob_orphan_age_s=-10, notice=said.append)
            sweeper = await engine_with(server, config)
            assert await sweeper.blobs.get("cut-short") is None
            assert len(await chunks(sweeper)) > 5
            await sweeper.blobs.put("any", b"")
            await eventually(
                lambda: any("never completed" in words for words in said), what="orphans are swept"
            )
            assert len(await chunks(sweeper)) == 5
            assert await sweeper.blobs.get("whole") == bytes(500)
            await sweeper.close()

    run(scenario())


def test_a_blob_that_lost_a_chunk_is_an_error_and_not_half_a_blob(run: Run, nats_data: Path) -> None:
    async def scenario() -> None:
        async with own_server(nats_data) as server:
            engine = await engine_with(server, NatsConfig(blob_chunk_bytes=100, blob_read_tries=2))
            await engine.blobs.put("k", bytes(1_000))
            victim = sorted(await chunks(engine))[4]
            await engine.blobs._jetstream.purge(STREAM, subject=victim)
            with pytest.raises(EngineFailed, match="damaged"):
                await engine.blobs.get("k")
            await engine.close()

    run(scenario())
