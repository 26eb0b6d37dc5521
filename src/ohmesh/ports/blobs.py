"""Blobs: bytes too large for a frame (snapshots, payloads above 64 KB), stored in chunks, whole or not at all."""

from __future__ import annotations

from typing import Protocol


class Blobs(Protocol):
    async def put(self, key: str, data: bytes) -> None:
        """Store under `key`, replacing what was there; visible only once it is complete."""
        ...

    async def get(self, key: str) -> bytes | None:
        """The whole blob, its digest checked; None when there is none."""
        ...

    async def delete(self, key: str) -> None:
        """Remove it; no error when there is none."""
        ...

    async def list(self, prefix: str) -> list[str]: ...
