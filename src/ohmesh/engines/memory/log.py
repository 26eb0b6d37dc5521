"""The log of the memory engine: entries in memory, fenced by the sequence that an append expects."""

from __future__ import annotations

from collections import deque
from itertools import islice

from ohmesh.engines.memory.journal import Journal
from ohmesh.engines.memory.link import Link
from ohmesh.engines.memory.server import Server
from ohmesh.errors import AppendUnresolved, EngineFailed, EngineUnavailable, PayloadTooLarge, SequenceConflict
from ohmesh.ports.log import Bounds, Entry


class LogStore:
    """One log at the server. `history` keeps what was trimmed too, for those who judge a run; off by default."""

    def __init__(self, name: str, *, keeps_history: bool) -> None:
        self.name = name
        self.entries: deque[Entry] = deque()
        self.journal = Journal()
        self.history: list[Entry] = []
        self._keeps_history = keeps_history
        self._last = 0

    @property
    def bounds(self) -> Bounds:
        return Bounds(self._last - len(self.entries) + 1, self._last)

    def append(self, data: bytes, *, expected: int, server: Server) -> int:
        if expected != self._last:
            raise SequenceConflict(
                f"The log {self.name!r} ends at {self._last}, the append expected {expected}.",
                expected=expected,
                last=self._last,
            )
        self._last += 1
        entry = Entry(self._last, bytes(data))
        self.entries.append(entry)
        if self._keeps_history:
            self.history.append(entry)
        self.journal.record(server.now(), server.faults.durable_every_ms / 1000.0, self._undo_append)
        server.record("append", f"{self.name}#{self._last}", entry.data)
        return self._last

    def read(self, *, first: int, limit: int) -> list[Entry]:
        skipped = max(0, first - self.bounds.first)
        return list(islice(self.entries, skipped, skipped + limit))

    def trim(self, *, before: int) -> None:
        while len(self.entries) > 1 and self.entries[0].sequence < before:
            self.entries.popleft()

    def _undo_append(self) -> None:
        """Sequences are used again; a log that loses all it still has begins again at 1."""
        if self.entries:
            self.entries.pop()
        self._last = self._last - 1 if self.entries else 0
        if self._keeps_history:
            self.history.pop()


class LogStores:
    """Every log of the server, by name."""

    def __init__(self, server: Server, *, keeps_history: bool) -> None:
        self.server = server
        self.by_name: dict[str, LogStore] = {}
        self._keeps_history = keeps_history

    def create(self, name: str) -> None:
        if name not in self.by_name:
            self.by_name[name] = LogStore(name, keeps_history=self._keeps_history)

    def named(self, name: str) -> LogStore:
        try:
            return self.by_name[name]
        except KeyError:
            raise EngineFailed(f"There is no log {name!r}.", hint="Create it first.") from None


class MemoryLog:
    """The port Log for one connection."""

    def __init__(self, link: Link, stores: LogStores) -> None:
        self._link = link
        self._server = link.server
        self._stores = stores

    async def create(self, name: str) -> None:
        await self._link.call(
            "log-create", lambda: self._stores.create(name), faults=self._server.faults.read
        )

    async def append(self, name: str, data: bytes, *, expected: int) -> int:
        limit = self._server.limits.message_bytes
        if len(data) > limit:
            raise PayloadTooLarge(f"A frame of {len(data)} bytes is above the engine's {limit}.")
        fate = self._server.scripted.popleft() if self._server.scripted else None
        try:
            return await self._link.call(
                "log-append",
                lambda: self._stores.named(name).append(data, expected=expected, server=self._server),
                faults=self._server.faults.append,
                fate=fate,
            )
        except EngineUnavailable as error:
            raise AppendUnresolved(
                f"The append to {name!r} after {expected} is unresolved: {error.message}",
                hint="Read the log at the expected sequence, or send the same bytes again.",
            ) from error

    async def read(self, name: str, *, first: int, limit: int) -> list[Entry]:
        return await self._link.call(
            "log-read",
            lambda: self._stores.named(name).read(first=first, limit=limit),
            faults=self._server.faults.read,
        )

    async def bounds(self, name: str) -> Bounds:
        return await self._link.call(
            "log-bounds", lambda: self._stores.named(name).bounds, faults=self._server.faults.read
        )

    async def trim(self, name: str, *, before: int) -> None:
        await self._link.call(
            "log-trim", lambda: self._stores.named(name).trim(before=before), faults=self._server.faults.read
        )
