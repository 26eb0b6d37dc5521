"""The contexts that the fleet was given: branches by name, and the versions behind them.

fleet.contexts        branches and versions, in `state`
contexts/<content>    what a version holds, in `blobs`, before anybody is told of it

Agents may hold versions of their own beside these (a merge in place); the trunk knows only what went out from here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from ohmesh.errors import EngineFailed, InvalidArgument
from ohmesh.model.branch_values import entries_of
from ohmesh.model.context import (
    MARK_BYTES,
    ContextVersion,
    decode_content,
    encode_content,
    version_of,
)
from ohmesh.model.state_order import (
    MAIN,
    MAX_INLINE_BYTES,
    MAX_LINEAGE,
    EditContext,
    HoldContext,
    MergeBranch,
    Move,
)
from ohmesh.ports.blobs import Blobs
from ohmesh.ports.state import State
from ohmesh.protocols.context.history import ContextHistory
from ohmesh.protocols.context.merge import changed, merge
from ohmesh.roles.fleet.state_records import get_content, put_content

KEY = "fleet.contexts"
MAX_BRANCHES = 100
MAX_NAMED = 10


class _Kept(Struct, array_like=True, frozen=True):
    branches: dict[str, bytes]
    versions: list[ContextVersion]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Kept).decode


class ContextTrunk:
    def __init__(self, state: State, blobs: Blobs) -> None:
        self.history = ContextHistory()
        self.branches: dict[str, bytes] = {}
        self._state = state
        self._blobs = blobs
        self._lock = asyncio.Lock()

    async def load(self) -> None:
        """Raises EngineError."""
        entry = await self._state.get(KEY)
        if entry is None or entry.value is None:
            return
        try:
            kept = _decode(entry.value)
        except msgspec.MsgspecError as error:
            raise EngineFailed(
                f"The contexts of the fleet at state key {KEY} cannot be read: {error}.",
                hint="Delete that key; agents keep the contexts that they hold.",
            ) from error
        self.history.add_all(kept.versions)
        self.branches = dict(kept.branches)

    async def edit(self, wish: EditContext) -> HoldContext:
        """Raises InvalidArgument: another base than was meant, no such branch to begin from; EngineError."""
        async with self._lock:
            head = self.branches.get(wish.branch, self.branches.get(MAIN, b""))
            if wish.base and not head.startswith(wish.base):
                raise InvalidArgument(
                    f"Branch {wish.branch!r} stands at {_short(head)}, not at {_short(wish.base)}.",
                    hint="Look at it again (ohmesh context get), and change that.",
                )
            before = await self.entries(head)
            after = dict(wish.put) if wish.replaced else changed(before, wish.put, wish.removed)
            if head and after == before:
                await self._move(wish.branch, head)
                return await self.hold(head, wish.move)
            return await self.hold(await self._grow(wish.branch, after, head), wish.move)

    async def merge(self, wish: MergeBranch) -> HoldContext:
        """Raises InvalidArgument: no such branch, entries that both changed; EngineError."""
        async with self._lock:
            ours, theirs = self.head(wish.branch), self.head(wish.source)
            ways = self.history.divergence(ours, theirs)
            if not ways.theirs:
                return await self.hold(ours, Move.ADVANCE)
            if not ways.ours:
                await self._move(wish.branch, theirs)
                return await self.hold(theirs, Move.ADVANCE)
            base = await self.entries(ways.ancestor) if ways.ancestor else None
            found = merge(base, await self.entries(ours), await self.entries(theirs))
            if found.conflicts:
                keys = ", ".join(one.key for one in found.conflicts[:MAX_NAMED])
                raise InvalidArgument(
                    f"{wish.source!r} and {wish.branch!r} both changed {keys}.",
                    hint=f"Let one of them have what both shall hold: ohmesh context set --branch {wish.branch}.",
                )
            return await self.hold(await self._grow(wish.branch, found.entries, ours, theirs), Move.ADVANCE)

    async def adopt(
        self, values: Mapping[str, str], versions: tuple[bytes, ...]
    ) -> tuple[bytes, HoldContext] | None:
        """A conflict was reconciled: `values` come from these `versions`. Where `main` stands at one of them it goes
        on with what they were merged into: the version that it stood at, and the order to hold the new one. None: it is
        no matter of `main`, or a version that went out from elsewhere. Raises EngineError."""
        async with self._lock:
            before = self.branches.get(MAIN, b"")
            if before not in versions:
                return None
            try:
                sources = [await self.entries(version) for version in versions if version in self.history]
                entries = entries_of(values, sources)
            except InvalidArgument:
                return None
            merged = await self._grow(MAIN, entries, *versions)
            return before, await self.hold(merged, Move.ADVANCE)

    def head(self, branch: str) -> bytes:
        """Raises InvalidArgument."""
        found = self.branches.get(branch)
        if found is None:
            known = ", ".join(sorted(self.branches)) or "none yet"
            raise InvalidArgument(
                f"There is no context {branch!r}.", hint=f"Branches: {known}. `ohmesh context set` makes one."
            )
        return found

    def find(self, prefix: bytes) -> bytes:
        """The one version whose name begins so; what was asked for where it is not known here."""
        return self.history.find(prefix) or prefix

    async def entries(self, version: bytes) -> dict[str, bytes]:
        """Raises InvalidArgument: its content is not kept; EngineError."""
        return decode_content(await self._content(version)) if version else {}

    async def hold(self, version: bytes, move: Move) -> HoldContext:
        """The order to hold it. Raises as `entries`."""
        content = await self._content(version)
        lineage = tuple(self.history.lineage(version, MAX_LINEAGE))
        inline = content if len(content) <= MAX_INLINE_BYTES else b""
        return HoldContext(version=version, lineage=lineage, content=inline, move=move)

    async def _content(self, version: bytes) -> bytes:
        known = self.history.get(version)
        content = await get_content(self._blobs, known.content) if known is not None else None
        if content is None:
            raise InvalidArgument(f"The content of context {_short(version)} is not kept any more.")
        return content

    async def _grow(self, branch: str, entries: dict[str, bytes], *parents: bytes) -> bytes:
        if branch not in self.branches and len(self.branches) >= MAX_BRANCHES:
            raise InvalidArgument(f"There are {MAX_BRANCHES} branches of context already.")
        content = encode_content(entries)
        await put_content(self._blobs, content)
        version = self.history.add(version_of(content, *(parent for parent in parents if parent)))
        await self._move(branch, version)
        return version

    async def _move(self, branch: str, version: bytes) -> None:
        if self.branches.get(branch) == version:
            return
        branches = {**self.branches, branch: version}
        self.history.prune(branches.values())
        await self._state.put(KEY, _encode(_Kept(branches, self.history.versions())))
        self.branches = branches


def _short(version: bytes) -> str:
    return version[:MARK_BYTES].hex() or "none"
