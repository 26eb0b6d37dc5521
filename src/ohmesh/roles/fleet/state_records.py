"""The state of agents as it is kept in blobs, one record for each process: nothing is written for one agent alone.

agents/<process>            who lives there, their contexts and duties: what it starts with
frozen/<freeze>/<process>   the same at the moment of a freeze, with what the agents themselves carry
contexts/<content>          a content too large for a message, by its name
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from ohmesh.errors import EngineFailed
from ohmesh.model.context import ContextVersion, hash_content
from ohmesh.ports.blobs import Blobs

VERSION = 1
Index = NDArray[np.intp]


class _Record(Struct, array_like=True, frozen=True):
    version: int
    rows: bytes
    duty: bytes
    head: bytes
    good: bytes
    freeze_of: bytes
    names: list[bytes]
    freezes: list[str]
    history: list[ContextVersion]
    contents: list[bytes]
    carried: bytes


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class StateRecord:
    """Columns of shape (n,), rows ascending. duty: codes. head, good: places in `names`. freeze_of: places in
    `freezes`, of which the first is "" for none. carried: what the population made of the state of all these rows."""

    rows: NDArray[np.int64]
    duty: NDArray[np.uint8]
    head: NDArray[np.uint32]
    good: NDArray[np.uint32]
    freeze_of: NDArray[np.uint32]
    names: list[bytes]
    freezes: list[str]
    history: list[ContextVersion]
    contents: list[bytes]
    carried: bytes = b""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Record).decode


class StateRecords:
    """Of one process. Its methods raise EngineError; EngineFailed for what cannot be read."""

    def __init__(self, blobs: Blobs, process: str) -> None:
        self._blobs = blobs
        self._process = process

    async def put_current(self, record: StateRecord) -> None:
        await self._blobs.put(f"agents/{self._process}", _pack(record))

    async def current(self) -> StateRecord | None:
        return await self._get(f"agents/{self._process}")

    async def put_frozen(self, freeze: str, record: StateRecord) -> None:
        await self._blobs.put(self._frozen(freeze), _pack(record))

    async def frozen(self, freeze: str) -> StateRecord | None:
        return await self._get(self._frozen(freeze))

    async def forget_frozen(self, freeze: str) -> None:
        await self._blobs.delete(self._frozen(freeze))

    async def content(self, name: bytes) -> bytes | None:
        return await get_content(self._blobs, name)

    def _frozen(self, freeze: str) -> str:
        return f"frozen/{freeze}/{self._process}"

    async def _get(self, key: str) -> StateRecord | None:
        data = await self._blobs.get(key)
        return None if data is None else _unpack(key, data)


async def put_content(blobs: Blobs, content: bytes) -> None:
    await blobs.put(f"contexts/{hash_content(content).hex()}", content)


async def get_content(blobs: Blobs, name: bytes) -> bytes | None:
    return await blobs.get(f"contexts/{name.hex()}")


def _pack(record: StateRecord) -> bytes:
    columns = (
        record.rows.astype("<i8"),
        record.duty.astype("u1"),
        record.head.astype("<u4"),
        record.good.astype("<u4"),
        record.freeze_of.astype("<u4"),
    )
    rows, duty, head, good, freeze_of = (column.tobytes() for column in columns)
    kept = _Record(
        VERSION,
        rows,
        duty,
        head,
        good,
        freeze_of,
        record.names,
        record.freezes,
        record.history,
        record.contents,
        record.carried,
    )
    return zlib.compress(_encode(kept), 1)


def _unpack(key: str, data: bytes) -> StateRecord:
    try:
        kept = _decode(zlib.decompress(data))
        if kept.version != VERSION:
            raise ValueError(f"it is of version {kept.version}, this process reads {VERSION}")
        rows = np.frombuffer(kept.rows, "<i8").astype(np.int64)
        record = StateRecord(
            rows=rows,
            duty=np.frombuffer(kept.duty, np.uint8).copy(),
            head=np.frombuffer(kept.head, "<u4").astype(np.uint32),
            good=np.frombuffer(kept.good, "<u4").astype(np.uint32),
            freeze_of=np.frombuffer(kept.freeze_of, "<u4").astype(np.uint32),
            names=kept.names,
            freezes=kept.freezes,
            history=kept.history,
            contents=kept.contents,
            carried=kept.carried,
        )
        columns = (record.duty, record.head, record.good, record.freeze_of)
        if any(len(column) != len(rows) for column in columns):
            raise ValueError("its columns differ in length")
    except (zlib.error, msgspec.MsgspecError, ValueError) as error:
        raise EngineFailed(
            f"The state of agents in blob {key} cannot be read: {error}.",
            hint="Agents come up without it; `ohmesh heal` gives them the context of the others.",
        ) from error
    return record
