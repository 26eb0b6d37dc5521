"""The port Blobs, as its docstrings promise it."""

from __future__ import annotations

import asyncio
import os

from tests.contract.conftest import MakeEngine, OnEngine


def test_a_blob_is_absent_until_it_is_put_and_then_comes_back_whole(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        writer, reader = await make(), await make()
        for size in (0, 1, 100_000, 5_000_001):
            key, data = f"snapshots/{size}.bin", os.urandom(size)
            assert await reader.blobs.get(key) is None
            await writer.blobs.put(key, data)
            assert await reader.blobs.get(key) == data

    on_engine(scenario)


def test_putting_again_replaces(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        blobs = (await make()).blobs
        for size in (3_000_000, 10, 2_000_000):
            data = os.urandom(size)
            await blobs.put("same", data)
            assert await blobs.get("same") == data
        assert await blobs.list("") == ["same"]

    on_engine(scenario)


def test_who_reads_while_it_is_replaced_gets_one_version_whole(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        writer, reader = await make(), await make()
        versions = [bytes([number]) * 2_000_000 for number in range(12)]
        await writer.blobs.put("moving", versions[0])

        async def replace() -> None:
            for version in versions[1:]:
                await writer.blobs.put("moving", version)

        replacing = asyncio.create_task(replace())
        seen: list[int] = []
        while not replacing.done():
            data = await reader.blobs.get("moving")
            assert data in versions
            seen.append(versions.index(data))
        await replacing
        assert seen == sorted(seen)
        assert await reader.blobs.get("moving") == versions[-1]

    on_engine(scenario)


def test_a_deleted_blob_is_gone_and_deleting_nothing_is_no_error(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        blobs = (await make()).blobs
        await blobs.delete("never-there")
        await blobs.put("k", b"x" * 1_000_000)
        await blobs.delete("k")
        await blobs.delete("k")
        assert await blobs.get("k") is None
        assert await blobs.list("") == []
        await blobs.put("k", b"again")
        assert await blobs.get("k") == b"again"

    on_engine(scenario)


def test_blobs_are_listed_by_prefix_sorted(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        blobs = (await make()).blobs
        assert await blobs.list("") == []
        for key in ("shard-1/b", "shard-1/a", "shard-2/a", "ünïcode *.> key"):
            await blobs.put(key, key.encode())
        assert await blobs.list("shard-1/") == ["shard-1/a", "shard-1/b"]
        assert await blobs.list("") == ["shard-1/a", "shard-1/b", "shard-2/a", "ünïcode *.> key"]
        assert await blobs.get("ünïcode *.> key") == "ünïcode *.> key".encode()

    on_engine(scenario)
