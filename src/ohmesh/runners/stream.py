"""The items that a streaming handler yields: numbered, sent to the parent at once, and gathered for the task's value.

A sync handler is asked to stop through the page (STOP) and that is looked at after each item, so its `finally` runs;
one that blocks between two items is killed after the grace as any other. In an event loop the items of one turn of the
loop leave together, and each gives way to the other tasks.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncGenerator, Callable, Generator

import msgspec

from ohmesh.errors import ResultRefused
from ohmesh.ports.handler import StreamMode
from ohmesh.runners.verdict import check_size
from ohmesh.runners.wire import Items

GATHERED_BYTES = 64 * 1024
ITEM_OVERHEAD_BYTES = 8
_LIST_HEAD = struct.Struct(">BI")
_ARRAY_32 = 0xDD
_encode = msgspec.msgpack.Encoder().encode

Send = Callable[[Items], None]


class Stopped(BaseException):
    """Raised between two items of a task that was asked to stop; no `except Exception` of user code is to hold it."""


class Stream:
    """The items of one attempt. `send` is called with each; the value is that of the task."""

    def __init__(self, number: int, mode: StreamMode, send: Send, *, max_bytes: int) -> None:
        self._number = number
        self._is_kept = mode is StreamMode.KEEP
        self._send = send
        self._max_bytes = max_bytes
        self._kept: list[bytes] = []
        self._bytes = _LIST_HEAD.size
        self._count = 0

    def add(self, item: bytes) -> None:
        """Raises ResultRefused when it, or with the others what is kept, is larger than one task may return."""
        check_size(item, self._max_bytes)
        if self._is_kept:
            self._bytes += len(item)
            if self._bytes > self._max_bytes:
                raise ResultRefused(
                    f"{self._count + 1} items take {self._bytes} bytes; at most {self._max_bytes} are stored.",
                    hint='Put @agent(stream="discard") on the handler: then items are sent and not stored.',
                )
            self._kept.append(item)
        self._send(Items(self._number, self._count, [item], self._is_kept))
        self._count += 1

    def value(self) -> bytes:
        if not self._is_kept:
            return _encode({"discarded_items": self._count})
        return _LIST_HEAD.pack(_ARRAY_32, self._count) + b"".join(self._kept)


def run_stream(
    items: Generator[bytes] | AsyncGenerator[bytes], stream: Stream, must_stop: Callable[[], bool]
) -> bytes:
    """All items, sync. Raises Stopped, after the handler's `finally`, once `must_stop` says so."""
    assert isinstance(items, Generator), "a sync handler makes sync items"
    try:
        for item in items:
            stream.add(item)
            if must_stop():
                raise Stopped
    finally:
        items.close()
    return stream.value()


async def run_stream_async(items: Generator[bytes] | AsyncGenerator[bytes], stream: Stream) -> bytes:
    """All items, of a sync handler too where it shares the loop."""
    items = items if isinstance(items, AsyncGenerator) else _in_turn(items)
    try:
        async for item in items:
            stream.add(item)
            await asyncio.sleep(0)
    finally:
        await items.aclose()
    return stream.value()


async def _in_turn(items: Generator[bytes]) -> AsyncGenerator[bytes]:
    try:
        for item in items:
            yield item
    finally:
        items.close()


class Gathering:
    """Items of all tasks of one loop; those of one turn leave together."""

    def __init__(self, send: Callable[[Items], None]) -> None:
        self._send = send
        self._waiting: list[Items] = []
        self._bytes = 0

    def add(self, items: Items) -> None:
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self.flush)
        last = self._waiting[-1] if self._waiting else None
        if last is not None and last.number == items.number:
            last.values.extend(items.values)
        else:
            self._waiting.append(items)
        self._bytes += sum(map(len, items.values)) + ITEM_OVERHEAD_BYTES
        if self._bytes > GATHERED_BYTES:
            self.flush()

    def flush(self) -> None:
        waiting, self._waiting, self._bytes = self._waiting, [], 0
        for items in waiting:
            self._send(items)
