"""The socket below nats-py's client, in our hands, so that a loss is noticed and acted upon.

Invariants (each was needed with nats-py 2.16 against a server that was stopped with SIGSTOP):
* `lost` is resolved once, with the reason, whoever notices first: end of stream, an error, or our own `lose`.
* Closing aborts: what was not sent is thrown away. nats-py's own transport waits for a stopped server to take it.
* After the loss nothing raises and nothing blocks, so the client's tasks come to their end.
* `received` counts what arrived: life is judged by bytes, not by the client's reading of them.
* Each stream's end is awaited. Else a reset that came with the last bytes is reported by asyncio as an exception that
  nobody retrieved, with a stack trace, when the stream is collected.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from urllib.parse import ParseResult

from nats.aio.transport import TcpTransport

_READ_BYTES = 1 << 20
_PING = b"PING\r\n"


class WatchedTransport(TcpTransport):
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.received = 0
        self._taken: list[asyncio.Future[None]] = []
        self._ends: set[asyncio.Task[None]] = set()

    def __bool__(self) -> bool:
        # nats-py replaces a transport that is false, which its own is until it has connected.
        return True

    async def connect(self, uri: ParseResult, buffer_size: int, connect_timeout: int) -> None:
        await super().connect(uri, _READ_BYTES, connect_timeout)
        writer = self._io_writer
        assert writer is not None
        end = asyncio.create_task(_see_to_its_end(writer), name="nats-stream-end")
        self._ends.add(end)
        end.add_done_callback(self._ends.discard)

    async def read(self, buffer_size: int) -> bytes:
        try:
            data: bytes = await super().read(_READ_BYTES)
        except OSError as error:
            self.lose(str(error) or type(error).__name__)
            raise
        self.received += len(data)
        if not data:
            self.lose("the server closed the connection")
        return data

    def write(self, payload: bytes) -> None:
        if not self.lost.done():
            super().write(payload)  # type: ignore[no-untyped-call]

    def writelines(self, payload: Sequence[bytes]) -> None:
        if not self.lost.done():
            super().writelines(payload)  # type: ignore[no-untyped-call]
        self._release()

    async def drain(self) -> None:
        if self.lost.done():
            return
        try:
            await super().drain()  # type: ignore[no-untyped-call]
        except OSError as error:
            self.lose(str(error) or type(error).__name__)

    def close(self) -> None:
        self.lose("closed on our side")

    async def wait_closed(self) -> None:
        return

    def ping(self) -> None:
        """Ask for a sign of life; the answer shows in `received`."""
        self.write(_PING)

    def lose(self, reason: str) -> None:
        """Give this connection up now; unsent bytes go nowhere."""
        if not self.lost.done():
            self.lost.set_result(reason)
        self._release()
        writer = self._io_writer
        if writer is not None:
            with contextlib.suppress(OSError, RuntimeError):  # the loop or the socket is gone already
                writer.transport.abort()

    async def taken(self) -> None:
        """Wait until the client has handed over what it gathered, or the connection is lost."""
        if self.lost.done():
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._taken.append(future)
        await future

    def _release(self) -> None:
        waiting, self._taken = self._taken, []
        for future in waiting:
            if not future.done():
                future.set_result(None)


async def _see_to_its_end(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):  # `read` has told why it ended
        await writer.wait_closed()
