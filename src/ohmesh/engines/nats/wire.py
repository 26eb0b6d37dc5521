"""One physical connection: a nats-py client that never reconnects, on a transport that knows when it is lost.

nats-py could reconnect by itself. It then sends what it had gathered before the loss (a ghost append), keeps the seed
and URL of its beginning, gives up for good on some errors of the server, and can hang on a stopped one. So each
connection gets a client of its own, and `connection.py` decides when there is a next one.

All of it that reaches below nats-py's public names: `_transport`, set before `connect`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nats.aio.client import Client
from nats.errors import NoServersError

from ohmesh.engines.nats.config import ConnectionConfig, Notice
from ohmesh.engines.nats.credentials import client_options
from ohmesh.engines.nats.translation import translated
from ohmesh.engines.nats.transport import WatchedTransport
from ohmesh.errors import InvalidArgument

_NEVER_S = 10**6
_LAST_LOOK_S = 0.05
_SAY_AGAIN_S = 1.0

# nats-py logs with stack traces what it also tells its error callback; without this they reach stderr.
logging.getLogger("nats").addHandler(logging.NullHandler())


class _Client(Client):
    def __init__(self, transport: WatchedTransport) -> None:
        super().__init__()
        self._transport = transport


class Wire:
    def __init__(self, config: ConnectionConfig, notice: Notice) -> None:
        self.transport = WatchedTransport()
        self.client = _Client(self.transport)
        self._config = config
        self._notice = notice
        self._open = False
        self._last_error: Exception | None = None
        self._said: type[Exception] | None = None
        self._said_at = 0.0
        self._unsaid = 0
        self._keeper: asyncio.Task[None] | None = None

    async def open(self, urls: Sequence[str], seed_file: Path | None, name: str) -> None:
        """Connect and authenticate at the first of `urls` that answers; raises our errors."""
        doing = f"connecting to {', '.join(_without_secrets(url) for url in urls)}"
        options = self._options(seed_file, name)
        try:
            async with asyncio.timeout(self._config.connect_timeout_ms / 1000 * (1 + len(urls))):
                await self.client.connect(servers=list(urls), **options)
        except BaseException as error:
            self.transport.lose("could not connect")
            end_if_cancelled()
            if not isinstance(error, Exception):
                raise
            raise translated(self._explained(error), doing) from error
        self._open = True
        self._keeper = asyncio.create_task(self._keep_alive(), name="nats-keep-alive")

    @property
    def lost(self) -> asyncio.Future[str]:
        return self.transport.lost

    def servers(self) -> list[str]:
        """Every server known by now: the given ones and those that a cluster told us of."""
        return [url.geturl() for url in self.client.servers]

    async def flush(self, timeout_s: float) -> None:
        """Return when the server has handled everything that was sent before."""
        async with asyncio.timeout(timeout_s):
            await self.client.flush(timeout=_NEVER_S)

    async def close(self) -> None:
        """Release everything; what is not sent yet is dropped (flush before if it matters)."""
        if self._keeper is not None:
            self._keeper.cancel()
        self.transport.lose("closed on our side")
        with contextlib.suppress(Exception):  # the socket is gone; nothing that the client says now is news
            async with asyncio.timeout(self._config.close_timeout_ms / 1000):
                await self.client.close()

    def _options(self, seed_file: Path | None, name: str) -> dict[str, Any]:
        return {
            "name": name,
            "error_cb": self._on_error,
            "allow_reconnect": False,
            "max_reconnect_attempts": 1,
            "reconnect_time_wait": 0,
            "connect_timeout": self._config.connect_timeout_ms / 1000,
            "ping_interval": _NEVER_S,
            "pending_size": 0,
            **client_options(seed_file),
        }

    async def _on_error(self, error: Exception) -> None:
        """A slow consumer errs with every message it drops, so what repeats is counted and said at intervals."""
        self._last_error = error
        if not self._open or self.lost.done():
            return
        self._unsaid += 1
        now = asyncio.get_running_loop().time()
        if type(error) is not self._said or now > self._said_at + _SAY_AGAIN_S:
            self._notice(f"nats: {error!r}" + (f" ({self._unsaid} times)" if self._unsaid > 1 else ""))
            self._said, self._said_at, self._unsaid = type(error), now, 0

    def _explained(self, error: Exception) -> Exception:
        """nats-py says "no servers available"; what kept it from the last one says more."""
        return self._last_error if isinstance(error, NoServersError) and self._last_error else error

    async def _keep_alive(self) -> None:
        """Ping every interval; give the connection up when nothing at all arrives for several of them."""
        silent = 0
        interval_s = self._config.ping_interval_ms / 1000
        while not self.lost.done():
            before = self.transport.received
            self.transport.ping()
            await asyncio.sleep(interval_s)
            if self.transport.received == before:
                # This process may itself have been stopped or busy: let bytes that wait in the socket count.
                await asyncio.sleep(_LAST_LOOK_S)
            silent = silent + 1 if self.transport.received == before else 0
            if silent > self._config.pings_unanswered:
                self.transport.lose(f"the server was silent for {silent} pings")


def end_if_cancelled() -> None:
    """Raise CancelledError when this task was asked to end and something below has swallowed it: asyncio.wait_for
    does (Python 3.11, when what it waits for ends in the same turn of the loop), nats-py's flushing does."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def checked_url(url: str) -> str:
    if not url.startswith(("nats://", "tls://")) or not _names_a_host(url):
        raise InvalidArgument(
            f"{_without_secrets(url)!r} is not a NATS URL.", hint="Write nats://host:port or tls://host:port."
        )
    return url


def _names_a_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none
        return False


def _without_secrets(url: str) -> str:
    scheme, at, host = url.rpartition("@")
    return f"{scheme.split('://')[0]}://...@{host}" if at else url
