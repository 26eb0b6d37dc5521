"""The state of the memory engine: revisions rise over the whole store, a TTL ends a key as a delete would.

A TTL is rounded up to a second, as the real engines do. While the server is away nothing expires; what ran out
meanwhile does when it returns.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

from ohmesh.engines.memory.journal import Journal
from ohmesh.engines.memory.link import Link
from ohmesh.engines.memory.server import Server
from ohmesh.engines.memory.watch import Watcher
from ohmesh.errors import EngineUnavailable, RevisionConflict
from ohmesh.ports.state import StateEntry

_WATCH_RETRY_S = 0.1


@dataclass(frozen=True, slots=True)
class Stored:
    value: bytes
    revision: int
    expires_at: float


class StateStore:
    """The server's side."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.journal = Journal()
        self._entries: dict[str, Stored] = {}
        self._revision = 0
        self._watchers: dict[Watcher, None] = {}

    @property
    def watchers(self) -> int:
        return len(self._watchers)

    def get(self, key: str) -> StateEntry | None:
        stored = self._entries.get(key)
        return None if stored is None else StateEntry(key, stored.value, stored.revision)

    def put(self, key: str, value: bytes, *, expected: int | None, ttl_ms: int) -> int:
        self._check(key, expected)
        ttl_s = math.ceil(ttl_ms / 1000)
        expires_at = self.server.now() + ttl_s if ttl_s else math.inf
        self._change(key, Stored(value, self._revision + 1, expires_at))
        if ttl_s:
            self.server.schedule(ttl_s, partial(self._expire, key, self._revision))
        return self._revision

    def delete(self, key: str, *, expected: int | None) -> None:
        if expected != 0 or key in self._entries:
            self._check(key, expected)
        if key in self._entries:
            self._change(key, None)

    def keys(self, prefix: str) -> list[str]:
        return sorted(key for key in self._entries if key.startswith(prefix))

    def add_watcher(self, watcher: Watcher) -> None:
        self._watchers[watcher] = None
        self.show_all(watcher)

    def remove_watcher(self, watcher: Watcher) -> None:
        self._watchers.pop(watcher, None)

    def show_again(self, watcher: Watcher) -> None:
        """Its connection is back: what it missed is in what is present now."""
        if watcher in self._watchers:
            self.show_all(watcher)

    def show_all(self, watcher: Watcher) -> None:
        """What is present, and what the watcher has seen and is gone."""
        present = {key: stored for key, stored in self._entries.items() if key.startswith(watcher.prefix)}
        for key in watcher.gone(present):
            self._show(watcher, StateEntry(key, None, self._revision))
        for key, stored in sorted(present.items(), key=lambda item: item[1].revision):
            self._show(watcher, StateEntry(key, stored.value, stored.revision))

    def resume(self) -> None:
        """The server is back: end what ran out meanwhile, and time the rest anew."""
        now = self.server.now()
        for key, stored in list(self._entries.items()):
            if stored.expires_at <= now:
                self._expire(key, stored.revision)
            elif stored.expires_at < math.inf:
                self.server.schedule(stored.expires_at - now, partial(self._expire, key, stored.revision))

    def _check(self, key: str, expected: int | None) -> None:
        stored = self._entries.get(key)
        revision = 0 if stored is None else stored.revision
        if expected is not None and expected != revision:
            raise RevisionConflict(
                f"Key {key!r} is at revision {revision}, {expected} was expected.",
                hint="Read it again and decide anew.",
            )

    def _expire(self, key: str, revision: int) -> None:
        stored = self._entries.get(key)
        if self.server.answers and stored is not None and stored.revision == revision:
            if stored.expires_at <= self.server.now():
                self._change(key, None)
            else:
                self.server.schedule_at(stored.expires_at, partial(self._expire, key, revision))

    def _change(self, key: str, stored: Stored | None) -> None:
        before = self._entries.get(key)
        self._revision += 1
        self._replace(key, stored)
        self.journal.record(
            self.server.now(), self.server.faults.durable_every_ms / 1000.0, partial(self._undo, key, before)
        )
        value = None if stored is None else stored.value
        self.server.record("state", f"{key}@{self._revision}", value or b"")
        for watcher in list(self._watchers):
            if key.startswith(watcher.prefix):
                self._show(watcher, StateEntry(key, value, self._revision))

    def _show(self, watcher: Watcher, entry: StateEntry) -> None:
        watcher.send(entry, delay_ms=self.server.faults.watch_delay_ms)

    def _undo(self, key: str, before: Stored | None) -> None:
        self._replace(key, before)
        self._revision -= 1

    def _replace(self, key: str, stored: Stored | None) -> None:
        if stored is None:
            self._entries.pop(key, None)
        else:
            self._entries[key] = stored


class MemoryState:
    """The port State for one connection."""

    def __init__(self, link: Link, store: StateStore) -> None:
        self._link = link
        self._store = store
        self._watchers: dict[Watcher, None] = {}
        link.on_restored.append(self._show_missed)
        link.on_closed.append(self._end_watches)

    async def get(self, key: str) -> StateEntry | None:
        return await self._link.call(
            "state-get", lambda: self._store.get(key), faults=self._link.server.faults.state
        )

    async def put(self, key: str, value: bytes, *, expected: int | None = None, ttl_ms: int = 0) -> int:
        copy = bytes(value)
        return await self._link.call(
            "state-put",
            lambda: self._store.put(key, copy, expected=expected, ttl_ms=ttl_ms),
            faults=self._link.server.faults.state,
        )

    async def delete(self, key: str, *, expected: int | None = None) -> None:
        await self._link.call(
            "state-delete",
            lambda: self._store.delete(key, expected=expected),
            faults=self._link.server.faults.state,
        )

    async def keys(self, prefix: str) -> list[str]:
        return await self._link.call(
            "state-keys", lambda: self._store.keys(prefix), faults=self._link.server.faults.state
        )

    async def watch(self, prefix: str) -> AsyncIterator[StateEntry]:
        watcher = Watcher(prefix, self._link)
        self._watchers[watcher] = None
        try:
            await self._register(watcher)
            while True:
                yield await watcher.next()
        finally:
            self._watchers.pop(watcher, None)
            self._store.remove_watcher(watcher)

    async def _register(self, watcher: Watcher) -> None:
        """Until it is known to be registered; only a closed connection ends the trying."""
        while True:
            try:
                await self._link.call(
                    "state-watch",
                    lambda: self._store.add_watcher(watcher),
                    faults=self._link.server.faults.read,
                )
            except EngineUnavailable:
                self._link.check_open()
                await asyncio.sleep(_WATCH_RETRY_S)
            else:
                return

    def _show_missed(self) -> None:
        for watcher in self._watchers:
            self._store.show_again(watcher)

    def _end_watches(self) -> None:
        for watcher in self._watchers:
            watcher.end()
