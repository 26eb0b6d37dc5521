"""The blobs of the memory engine: whole or not at all, so a put that is cut off leaves what was there before."""

from __future__ import annotations

from functools import partial

from ohmesh.engines.memory.journal import Journal
from ohmesh.engines.memory.link import Link
from ohmesh.engines.memory.server import Server


class BlobStore:
    """The server's side."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.journal = Journal()
        self._blobs: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        return self._blobs.get(key)

    def set(self, key: str, data: bytes | None) -> None:
        """None deletes."""
        before = self._blobs.get(key)
        self._replace(key, data)
        self.journal.record(
            self.server.now(),
            self.server.faults.durable_every_ms / 1000.0,
            partial(self._replace, key, before),
        )
        self.server.record("blob", key, data or b"")

    def keys(self, prefix: str) -> list[str]:
        return sorted(key for key in self._blobs if key.startswith(prefix))

    def _replace(self, key: str, data: bytes | None) -> None:
        if data is None:
            self._blobs.pop(key, None)
        else:
            self._blobs[key] = data


class MemoryBlobs:
    """The port Blobs for one connection."""

    def __init__(self, link: Link, store: BlobStore) -> None:
        self._link = link
        self._store = store

    async def put(self, key: str, data: bytes) -> None:
        whole = bytes(data)
        await self._link.call(
            "blob-put", lambda: self._store.set(key, whole), faults=self._link.server.faults.blobs
        )

    async def get(self, key: str) -> bytes | None:
        return await self._link.call(
            "blob-get", lambda: self._store.get(key), faults=self._link.server.faults.blobs
        )

    async def delete(self, key: str) -> None:
        await self._link.call(
            "blob-delete", lambda: self._store.set(key, None), faults=self._link.server.faults.blobs
        )

    async def list(self, prefix: str) -> list[str]:
        return await self._link.call(
            "blob-list", lambda: self._store.keys(prefix), faults=self._link.server.faults.blobs
        )
