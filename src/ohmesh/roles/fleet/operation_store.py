"""Operations that must not be lost: what was begun and how it ended in `state`, the column of every target in `blobs`.

fleet.operation.<id>      request, targets as a bitmap, start          while it is under way
                          the view of it                               once it is decided
operations/<id>           states and times of every target, compressed once it is decided
"""

from __future__ import annotations

import zlib

import msgspec
import numpy as np
from msgspec import Struct

from ohmesh.model.fleet_request import OperationView, StartOperation
from ohmesh.model.topology import Topology
from ohmesh.ports.blobs import Blobs
from ohmesh.ports.population import Rows
from ohmesh.ports.state import State
from ohmesh.protocols.arrival.operation import SectorRecord
from ohmesh.protocols.arrival.operation_wire import decode_record, encode_record
from ohmesh.roles.fleet.operation import Operation

PREFIX = "fleet.operation."
BLOBS = "operations/"
RETENTION_MS = 7 * 86_400_000


class _Kept(Struct, array_like=True, frozen=True):
    request: StartOperation
    started_ms: float
    targets: bytes = b""
    view: OperationView | None = None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Kept).decode


class OperationStore:
    def __init__(self, state: State, blobs: Blobs, topology: Topology) -> None:
        self._state = state
        self._blobs = blobs
        self._topology = topology

    async def begin(self, operation: Operation) -> None:
        """Before anything of it is sent. Raises EngineUnavailable: nothing was sent, it may be tried again."""
        mask = np.zeros(self._topology.size, bool)
        mask[operation.rows] = True
        kept = _Kept(operation.request, operation.started_ms, zlib.compress(np.packbits(mask).tobytes(), 1))
        await self._state.put(PREFIX + operation.id, _encode(kept))

    async def end(self, operation: Operation, view: OperationView) -> None:
        parts = [encode_record(record) for record in operation.records]
        await self._blobs.put(BLOBS + operation.id, zlib.compress(msgspec.msgpack.encode(parts), 1))
        kept = _Kept(operation.request, operation.started_ms, b"", view)
        await self._state.put(PREFIX + operation.id, _encode(kept), ttl_ms=RETENTION_MS)

    async def find(self, operation_id: str) -> OperationView | None:
        """One that has ended."""
        entry = await self._state.get(PREFIX + operation_id)
        return _decode(entry.value).view if entry is not None and entry.value is not None else None

    async def records(self, operation_id: str) -> list[SectorRecord]:
        """Of one that has ended; none where it is not kept any more."""
        data = await self._blobs.get(BLOBS + operation_id)
        if data is None:
            return []
        parts: list[bytes] = msgspec.msgpack.decode(zlib.decompress(data), type=list[bytes])
        return [decode_record(part) for part in parts]

    async def newest(self, limit: int) -> list[OperationView]:
        """Those that have ended, the newest first: ids rise with time."""
        keys = sorted(await self._state.keys(PREFIX), reverse=True)[:limit]
        entries = [await self._state.get(key) for key in keys]
        views = [
            _decode(entry.value).view for entry in entries if entry is not None and entry.value is not None
        ]
        return [view for view in views if view is not None]

    async def unended(self) -> list[tuple[StartOperation, Rows, float]]:
        found = []
        for key in await self._state.keys(PREFIX):
            entry = await self._state.get(key)
            if entry is None or entry.value is None:
                continue
            kept = _decode(entry.value)
            if kept.view is None:
                bits = np.frombuffer(zlib.decompress(kept.targets), np.uint8)
                mask = np.unpackbits(bits, count=self._topology.size)
                found.append((kept.request, np.flatnonzero(mask), kept.started_ms))
        return found
