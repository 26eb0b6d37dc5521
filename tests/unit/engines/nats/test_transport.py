"""The socket below the client, against a peer that resets it."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlparse

from ohmesh.engines.nats.transport import WatchedTransport

Run = Callable[[Coroutine[Any, Any, bool]], bool]
LINGER_NOT = struct.pack("ii", 1, 0)
"""SO_LINGER of no seconds: closing sends a reset instead of an end of stream."""


async def reset_at_once(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    peer: socket.socket = writer.get_extra_info("socket")
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
    writer.transport.abort()


async def reset_was_retrieved() -> bool:
    server = await asyncio.start_server(reset_at_once, "127.0.0.1", 0)
    async with server:
        transport = WatchedTransport()
        port = server.sockets[0].getsockname()[1]
        await transport.connect(urlparse(f"nats://127.0.0.1:{port}"), 1, 5)
        # Asyncio reports this future with a stack trace when it happens to be collected before its protocol.
        end = transport._io_writer._protocol._closed  # type: ignore[union-attr]
        try:
            await transport.read(1)
        except ConnectionResetError:
            await asyncio.sleep(0)
            return end.done() and not end._log_traceback
        raise AssertionError("no reset was seen")


def test_a_reset_leaves_no_exception_that_nobody_retrieved(run: Run) -> None:
    assert run(reset_was_retrieved())
