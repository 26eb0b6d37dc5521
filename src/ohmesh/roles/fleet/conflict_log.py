"""The conflict log: every change of every conflict, chained by hashes, one log for a mesh, never trimmed.

`fleet.conflicts` in `state` notes the head of the chain, so that an end that was cut off is missed, and from where on
entries of conflicts stand that are open, so that a successor reads no more than it needs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import msgspec
from msgspec import Struct

from ohmesh.errors import AppendUnresolved, EngineError, Fenced, InvalidArgument, SequenceConflict
from ohmesh.model.conflict import Conflict, ConflictState
from ohmesh.ports.blobs import Blobs
from ohmesh.ports.log import Log
from ohmesh.ports.state import State
from ohmesh.protocols.conflict.chain import ChainVerdict, Head, link_after, read_link, verify_chain
from ohmesh.roles.fleet.conflict_index import ConflictEntry, ConflictIndex, ConflictQuery

MARK_KEY = "fleet.conflicts"
PAGE = 500
RETRY_S = 0.5


class _Mark(Struct, array_like=True, frozen=True):
    head: Head
    open_from: int = 1


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ConflictEntry).decode
_decode_mark = msgspec.msgpack.Decoder(_Mark).decode


class ConflictLog:
    """One writer at a time: the orchestrator; another one's entry fences it."""

    def __init__(
        self, log: Log, state: State, name: str, notice: Callable[[str], None], blobs: Blobs | None = None
    ) -> None:
        """blobs: where summaries of it are kept; without them a successor reads all of it for its first question."""
        self.name = name
        self.index = ConflictIndex(name, self._stretch, blobs)
        self.head = Head()
        self._log = log
        self._state = state
        self._notice = notice
        self._first_of: dict[str, int] = {}

    async def open(self) -> list[Conflict]:
        """Make it where there is none; the conflicts that are open, and what ended since the oldest of them began, as
        they stood last. What is not whole is told, and the chain goes on after its end: that it was tampered with stays
        visible, and the fleet goes on."""
        await self._log.create(self.name)
        mark = await self._mark()
        found: dict[str, Conflict] = {}
        after = await self._head_before(mark.open_from)
        async for page in self._pages(after.sequence + 1):
            verdict = verify_chain(page, after=after)
            if not verdict.is_whole:
                self._notice(f"Entry {verdict.sequence} of log {self.name} is wrong: {verdict.why}")
            for sequence, data in page:
                try:
                    entry = _entry(data)
                except InvalidArgument:
                    continue
                found[entry.conflict.id] = entry.conflict
                self._remember(sequence, entry.conflict)
            after = _head_of(page)
        if after.sequence < mark.head.sequence:
            self._notice(f"Log {self.name} ends at entry {after.sequence}; it had {mark.head.sequence}.")
        self.head = after
        return list(found.values())

    async def append(self, entry: ConflictEntry) -> None:
        """Until it is there. Raises Fenced: another orchestrator writes."""
        data, head = link_after(self.head, _encode(entry))
        while True:
            try:
                await self._log.append(self.name, data, expected=self.head.sequence)
                break
            except SequenceConflict as conflict:
                if await self._landed(head.sequence, data):
                    break
                raise Fenced("Another orchestrator has written to the conflict log.") from conflict
            except AppendUnresolved:
                if await self._landed(head.sequence, data):
                    break
            except EngineError as error:
                self._notice(f"A conflict could not be logged, it is tried again: {error}")
            await asyncio.sleep(RETRY_S)
        if self.index.entries == self.head.sequence:
            await self.index.add(entry)
        self.head = head
        self._remember(head.sequence, entry.conflict)
        try:
            await self._state.put(MARK_KEY, _encode(_Mark(head, self._open_from())))
        except EngineError as error:
            self._notice(f"The head of the conflict log could not be noted, the next one will be: {error}")

    async def verify(self) -> ChainVerdict:
        """Every entry from the first on, against the head that was noted."""
        mark = await self._mark()
        verdict = ChainVerdict(True, Head())
        async for page in self._pages(1):
            before = verdict.head
            verdict = verify_chain(page, _within(mark.head, page), after=before)
            if not verdict.is_whole:
                # With the entry after, it can be told which of two that do not fit was changed.
                more = await self._log.read(self.name, first=page[-1][0] + 1, limit=1)
                page += [(entry.sequence, entry.data) for entry in more]
                return verify_chain(page, _within(mark.head, page), after=before)
        return verify_chain((), mark.head, after=verdict.head)

    async def find(self, conflict_id: str) -> list[ConflictEntry]:
        """Its story, oldest first. Raises EngineError."""
        await self.index.load(self.head.sequence)
        return await self.index.find(conflict_id)

    async def query(self, query: ConflictQuery) -> list[Conflict]:
        """As each stood last, the latest report first. Raises EngineError."""
        await self.index.load(self.head.sequence)
        return await self.index.query(query)

    # Inside

    async def _stretch(self, first: int, count: int) -> list[ConflictEntry | None]:
        """None for what cannot be read; `verify` names it."""
        found: list[ConflictEntry | None] = []
        while len(found) < count:
            entries = await self._log.read(self.name, first=first + len(found), limit=count - len(found))
            if not entries:
                break
            for one in entries:
                found += [None] * (one.sequence - first - len(found))
                found.append(_readable(one.data))
        return found[:count]

    async def _pages(self, first: int) -> AsyncIterator[list[tuple[int, bytes]]]:
        while True:
            entries = await self._log.read(self.name, first=first, limit=PAGE)
            if not entries:
                return
            yield [(entry.sequence, entry.data) for entry in entries]
            first = entries[-1].sequence + 1

    async def _head_before(self, sequence: int) -> Head:
        if sequence <= 1:
            return Head()
        entries = await self._log.read(self.name, first=sequence - 1, limit=1)
        if not entries or entries[0].sequence != sequence - 1:
            return Head()
        return _head_of([(sequence - 1, entries[0].data)])

    async def _landed(self, sequence: int, data: bytes) -> bool:
        try:
            entries = await self._log.read(self.name, first=sequence, limit=1)
        except EngineError:
            return False
        return bool(entries) and entries[0].sequence == sequence and entries[0].data == data

    async def _mark(self) -> _Mark:
        entry = await self._state.get(MARK_KEY)
        return _decode_mark(entry.value) if entry is not None and entry.value is not None else _Mark(Head())

    def _remember(self, sequence: int, conflict: Conflict) -> None:
        is_held = conflict.state is ConflictState.DISCARDED and conflict.quarantined
        if conflict.is_ended and not is_held:
            self._first_of.pop(conflict.id, None)
        else:
            self._first_of.setdefault(conflict.id, sequence)

    def _open_from(self) -> int:
        return min(self._first_of.values(), default=self.head.sequence + 1)


def _entry(data: bytes) -> ConflictEntry:
    """Raises InvalidArgument."""
    try:
        return _decode(read_link(data).body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"An entry of the conflict log cannot be read: {error}.") from error


def _readable(data: bytes) -> ConflictEntry | None:
    try:
        return _entry(data)
    except InvalidArgument:
        return None


def _head_of(page: list[tuple[int, bytes]]) -> Head:
    """As the last entry stands there, whole or not."""
    sequence, data = page[-1]
    try:
        return Head(sequence, read_link(data).digest)
    except InvalidArgument:
        return Head(sequence)


def _within(head: Head, page: list[tuple[int, bytes]]) -> Head | None:
    """The noted head, where it lies in this page."""
    return head if page[0][0] <= head.sequence <= page[-1][0] else None
