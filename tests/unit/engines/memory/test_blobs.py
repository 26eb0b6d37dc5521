"""The blobs of the memory engine: whole or not at all."""

from __future__ import annotations

import pytest

from ohmesh.engines.memory.cluster import MemoryCluster
from ohmesh.engines.memory.faults import CallFaults, EngineFaults
from ohmesh.errors import EngineUnavailable
from tests.unit.simulator.passing_time import in_virtual_time, pass_time


def test_a_blob_is_stored_replaced_listed_and_deleted() -> None:
    async def main() -> None:
        blobs = MemoryCluster().connect("a").blobs
        assert await blobs.get("s/1") is None
        await blobs.put("s/1", b"one")
        await blobs.put("s/1", b"two")
        await blobs.put("t/1", bytes(5_000_000))
        assert await blobs.get("s/1") == b"two"
        assert await blobs.list("s/") == ["s/1"]
        await blobs.delete("s/1")
        await blobs.delete("s/1")
        assert await blobs.list("") == ["t/1"]

    in_virtual_time(main())


def test_a_put_that_never_arrives_leaves_the_old_blob_whole() -> None:
    async def main() -> None:
        cluster = MemoryCluster()
        blobs = cluster.connect("a").blobs
        await blobs.put("k", b"old")
        cluster.set_faults(EngineFaults(blobs=CallFaults(request_lost=1.0)))
        with pytest.raises(EngineUnavailable):
            await blobs.put("k", b"new")
        cluster.set_faults(EngineFaults())
        assert await blobs.get("k") == b"old"

    in_virtual_time(main())


def test_a_power_cut_takes_a_blob_that_was_not_durable() -> None:
    async def main() -> None:
        cluster = MemoryCluster(faults=EngineFaults(durable_every_ms=1000))
        blobs = cluster.connect("a").blobs
        await blobs.put("old", b"1")
        await pass_time(1.2)
        await blobs.put("new", b"2")
        await blobs.delete("old")
        cluster.power_cut()
        cluster.start_server()
        await pass_time(1.0)
        assert await blobs.list("") == ["old"]
        assert await blobs.get("old") == b"1"

    in_virtual_time(main())
