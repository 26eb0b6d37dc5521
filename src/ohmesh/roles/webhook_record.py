"""The record of one webhook in `state`, as the role that delivers holds it.

Only that role writes it, each time at the revision that it knows: a predecessor that was replaced and does not know it
yet is refused (Fenced), and what it has told meanwhile is told again.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from ohmesh.errors import EngineFailed, Fenced, RevisionConflict
from ohmesh.model.webhook import WEBHOOK_PREFIX, WebhookRecord
from ohmesh.ports.state import State, StateEntry

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(WebhookRecord).decode


class KeptRecord:
    """`now` is what was done, `save` writes it down."""

    def __init__(self, state: State, record: WebhookRecord, revision: int = 0) -> None:
        self.now = record
        self.lock = asyncio.Lock()
        self._state = state
        self._key = WEBHOOK_PREFIX + record.id
        self._revision = revision
        self._saved = record if revision else None

    @classmethod
    def of(cls, state: State, entry: StateEntry) -> KeptRecord:
        try:
            return cls(state, _decode(entry.value or b""), entry.revision)
        except msgspec.MsgspecError as error:
            raise EngineFailed(
                f"The webhook at state key {entry.key} cannot be read: {error}.",
                hint="Delete that key and add the webhook again.",
            ) from error

    def change(self, **fields: Any) -> None:
        self.now = msgspec.structs.replace(self.now, **fields)

    async def save(self) -> None:
        """Raises Fenced, and EngineUnavailable where it is to be tried again."""
        async with self.lock:
            if self.now != self._saved:
                await self._write(self.now)

    async def delete(self) -> None:
        if self._revision:
            await self._state.delete(self._key)
            self._revision = 0

    async def _write(self, record: WebhookRecord) -> None:
        value = _encode(record)
        try:
            self._revision = await self._state.put(self._key, value, expected=self._revision)
        except RevisionConflict as conflict:
            entry = await self._state.get(self._key)
            if entry is None or entry.value != value:  # where an answer was lost it is ours
                raise Fenced(f"Webhook {record.id} was changed by another process.") from conflict
            self._revision = entry.revision
        self._saved = record


async def kept_records(state: State) -> list[KeptRecord]:
    """All, in the order in which they were added."""
    entries = [await state.get(key) for key in await state.keys(WEBHOOK_PREFIX)]
    found = [KeptRecord.of(state, entry) for entry in entries if entry is not None]
    return sorted(found, key=lambda kept: (kept.now.created_ms, kept.now.id))
