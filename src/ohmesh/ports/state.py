"""State: a small key-value store with compare-and-set, TTL and watch. Revisions rise over the whole store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StateEntry:
    """`value` is None where the key was deleted or its TTL ran out (only watches show such entries)."""

    key: str
    value: bytes | None
    revision: int


class State(Protocol):
    async def get(self, key: str) -> StateEntry | None: ...

    async def put(self, key: str, value: bytes, *, expected: int | None = None, ttl_ms: int = 0) -> int:
        """Write and return the new revision. `expected`: None writes whatever is there, 0 only when the key is
        absent, n only at revision n; else RevisionConflict. `ttl_ms` (0: none; engines round up to a second) runs
        from this write: a put without it removes an earlier one. EngineUnavailable: outcome unknown, read again."""
        ...

    async def delete(self, key: str, *, expected: int | None = None) -> None: ...

    async def keys(self, prefix: str) -> list[str]:
        """Keys with this prefix (words separated by dots; "" for all), sorted."""
        ...

    def watch(self, prefix: str) -> AsyncIterator[StateEntry]:
        """Every present entry under `prefix`, then each change as it happens; resumes by itself after a reconnect,
        then perhaps showing the newest state of a key again, never an older one."""
        ...
