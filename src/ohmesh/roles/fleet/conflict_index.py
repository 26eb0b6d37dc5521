"""Where in the conflict log something may be: a summary of each stretch of entries, by time, type, agent and conflict.

A stretch is 500 entries, from 1, 501, 1001 on. Its summary says when, of which types, and hashes of the agents and the
conflicts in it, so a question reads the stretches that may hold an answer, the latest first, and no others. Summaries
of full stretches are kept in `blobs`; one that is missing, cannot be read, or ends with another entry than the log does
there is made anew. They are no truth: what is answered is read from the log.

    conflicts/index/<log>/<number>     a summary
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from hashlib import blake2b

import msgspec
from msgspec import Struct

from ohmesh.errors import EngineError
from ohmesh.model.conflict import Conflict, ConflictType
from ohmesh.ports.blobs import Blobs

STRETCH = 500
_HASH_BYTES = 8


class ConflictEntry(Struct, array_like=True, frozen=True):
    """change: opened, raised, moved, overdue, ended. conflict: as it was then."""

    at_ms: int
    change: str
    conflict: Conflict


@dataclass(frozen=True, slots=True, kw_only=True)
class ConflictQuery:
    """What is asked of the log; mesh time, both ends included. agent: that reported it, was quarantined or blamed."""

    since_ms: float = 0
    until_ms: float = float("inf")
    agent: str = ""
    type: ConflictType | None = None
    limit: int = 100

    def fits(self, conflict: Conflict) -> bool:
        if not (self.since_ms <= conflict.last_ms and conflict.at_ms <= self.until_ms):
            return False
        if self.type is not None and conflict.detail.type is not self.type:
            return False
        return not self.agent or self.agent in _agents(conflict)


class _Kept(Struct, array_like=True, frozen=True):
    first_ms: int
    last_ms: int
    types: tuple[str, ...]
    agents: bytes
    conflicts: bytes
    count: int
    end: bytes


@dataclass(slots=True)
class Summary:
    """first_ms: the earliest first report of a conflict in it. last_ms: of the latest entry."""

    first_ms: int = 1 << 62
    last_ms: int = 0
    types: set[str] = field(default_factory=set)
    agents: set[int] = field(default_factory=set)
    conflicts: set[int] = field(default_factory=set)
    count: int = 0
    end: bytes = b""

    def add(self, entry: ConflictEntry | None) -> None:
        """None: an entry that cannot be read."""
        self.count += 1
        self.end = _digest(entry)
        if entry is None:
            return
        conflict = entry.conflict
        self.first_ms = min(self.first_ms, conflict.at_ms)
        self.last_ms = max(self.last_ms, entry.at_ms, conflict.last_ms)
        self.types.add(conflict.detail.type.value)
        self.agents.update(map(_hash, _agents(conflict)))
        self.conflicts.add(_hash(conflict.id))

    def may_answer(self, query: ConflictQuery) -> bool:
        if self.last_ms < query.since_ms or self.first_ms > query.until_ms:
            return False
        if query.type is not None and query.type.value not in self.types:
            return False
        return not query.agent or _hash(query.agent) in self.agents

    def kept(self) -> bytes:
        return _encode(
            _Kept(
                self.first_ms,
                self.last_ms,
                tuple(sorted(self.types)),
                _packed(self.agents),
                _packed(self.conflicts),
                self.count,
                self.end,
            )
        )


Read = Callable[[int, int], Awaitable[list[ConflictEntry | None]]]
"""So many entries from this sequence on, fewer where the log ends."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Kept).decode


class ConflictIndex:
    """Of the log `name`; `read` reads a stretch of it. blobs: None keeps summaries as long as this lives."""

    def __init__(self, name: str, read: Read, blobs: Blobs | None) -> None:
        self._name = name
        self._read = read
        self._blobs = blobs
        self._summaries: list[Summary] = []
        self._unkept: set[int] = set()

    async def load(self, last: int) -> None:
        """Know all that stands up to the sequence `last`; what is known is not read again. Raises EngineError."""
        while self.entries < last:
            number = self.entries // STRETCH
            is_full = last >= (number + 1) * STRETCH
            summary = await self._kept(number) if is_full and self.entries % STRETCH == 0 else None
            if summary is None:
                summary = Summary()
                for entry in await self._read(number * STRETCH + 1, STRETCH):
                    summary.add(entry)
                if is_full:
                    await self._keep(number, summary)
            del self._summaries[number:]
            self._summaries.append(summary)
            if summary.count < min(last - number * STRETCH, STRETCH):
                return  # the log ends before it should; `verify` says so

    @property
    def entries(self) -> int:
        return max(0, len(self._summaries) - 1) * STRETCH + (
            self._summaries[-1].count if self._summaries else 0
        )

    async def add(self, entry: ConflictEntry) -> None:
        """It was appended, right behind all that is known."""
        if self.entries % STRETCH == 0:
            self._summaries.append(Summary())
        self._summaries[-1].add(entry)
        if self._summaries[-1].count == STRETCH:
            await self._keep(len(self._summaries) - 1, self._summaries[-1])

    async def query(self, query: ConflictQuery) -> list[Conflict]:
        """As each stood last, the latest report first. Raises EngineError."""
        found: list[Conflict] = []
        seen: set[int] = set()
        for number in range(len(self._summaries) - 1, -1, -1):
            summary = self._summaries[number]
            if summary.last_ms < query.since_ms or self._is_enough(found, summary, query):
                break
            if summary.may_answer(query):
                for entry in reversed(await self._read(number * STRETCH + 1, STRETCH)):
                    if entry is not None and _hash(entry.conflict.id) not in seen:
                        seen.add(_hash(entry.conflict.id))
                        found += [entry.conflict] if query.fits(entry.conflict) else []
            # How one stands in an older stretch is not how it stood last, whether it was read here or not.
            seen |= summary.conflicts
        found.sort(key=lambda one: (one.last_ms, one.id), reverse=True)
        return found[: query.limit]

    async def find(self, conflict_id: str) -> list[ConflictEntry]:
        """Its story, oldest first. Raises EngineError."""
        wanted = _hash(conflict_id)
        story = []
        for number, summary in enumerate(self._summaries):
            if wanted in summary.conflicts:
                entries = await self._read(number * STRETCH + 1, STRETCH)
                story += [
                    entry for entry in entries if entry is not None and entry.conflict.id == conflict_id
                ]
        return story

    def _is_enough(self, found: list[Conflict], summary: Summary, query: ConflictQuery) -> bool:
        """Nothing older was reported later than what was found, since an entry is written after its last report."""
        if len(found) < query.limit:
            return False
        return sorted((one.last_ms for one in found), reverse=True)[query.limit - 1] > summary.last_ms

    # What is kept

    def _key(self, number: int) -> str:
        return f"conflicts/index/{self._name}/{number}"

    async def _kept(self, number: int) -> Summary | None:
        data = await self._blobs.get(self._key(number)) if self._blobs is not None else None
        if data is None:
            return None
        try:
            kept = _decode(data)
        except msgspec.MsgspecError:
            return None
        end = await self._read((number + 1) * STRETCH, 1)
        if kept.count != STRETCH or kept.end != _digest(*end):
            return None
        agents, conflicts = _unpacked(kept.agents), _unpacked(kept.conflicts)
        return Summary(kept.first_ms, kept.last_ms, set(kept.types), agents, conflicts, kept.count, kept.end)

    async def _keep(self, number: int, summary: Summary) -> None:
        if self._blobs is None:
            return
        try:
            await self._blobs.put(self._key(number), summary.kept())
        except EngineError:  # it is made anew by who needs it
            return


def _digest(entry: ConflictEntry | None = None) -> bytes:
    return blake2b(_encode(entry), digest_size=_HASH_BYTES).digest()


def _agents(conflict: Conflict) -> tuple[str, ...]:
    return (*conflict.agents, *conflict.quarantined, *conflict.blamed)


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=_HASH_BYTES).digest(), "little")


def _packed(hashes: Iterable[int]) -> bytes:
    return b"".join(one.to_bytes(_HASH_BYTES, "little") for one in sorted(hashes))


def _unpacked(data: bytes) -> set[int]:
    return {int.from_bytes(data[at : at + _HASH_BYTES], "little") for at in range(0, len(data), _HASH_BYTES)}
