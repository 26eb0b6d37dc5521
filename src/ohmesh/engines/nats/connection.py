"""A connection that always comes back: one physical connection after the other, subscriptions carried over.

Invariants:
* Reconnecting never gives up; waits grow from reconnect_least_ms to reconnect_most_ms, less up to a half by chance.
* Before each try the runtime file is read again, so a server that came back elsewhere, or with another key, is found.
* When a connection is lost, every request in flight fails at once; nothing of it is sent again on the next one.
* While there is none, published messages are kept up to offline_bytes (later ones are dropped); a request, and with
  offline_bytes = 0 a publication too, is refused at once.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from ohmesh.engines.nats.config import ConnectionConfig, Notice, log_notice
from ohmesh.engines.nats.offline import OfflineMessages
from ohmesh.engines.nats.requests import Requests
from ohmesh.engines.nats.runtime_file import read_runtime_file
from ohmesh.engines.nats.translation import LIBRARY_ERRORS, translated, unavailable
from ohmesh.engines.nats.wire import Wire, checked_url, end_if_cancelled
from ohmesh.errors import EngineUnavailable, OhmeshError

Deliver = Callable[[Msg], Awaitable[None]]
Headers = dict[str, str]


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect. A runtime file, where given and present, has the last word."""

    urls: tuple[str, ...]
    seed_file: Path | None = None
    runtime_file: Path | None = None

    def current(self) -> tuple[tuple[str, ...], Path | None]:
        runtime = read_runtime_file(self.runtime_file) if self.runtime_file is not None else None
        if runtime is not None:
            return (checked_url(runtime.url),), Path(runtime.seed_file)
        if not self.urls:
            raise EngineUnavailable(
                f"No mesh runs here: there is no runtime file {self.runtime_file}, and no URL was given.",
                hint="Start one with `ohmesh up`, or give the URL of a NATS server.",
            )
        return tuple(checked_url(url) for url in self.urls), self.seed_file


@dataclass(slots=True, eq=False)
class Interest:
    """A subscription as this side keeps it; `live` is nats-py's own on the present connection."""

    subject: str
    group: str
    deliver: Deliver
    live: Subscription | None = None
    is_over: bool = False


class Connection:
    def __init__(
        self, target: Target, name: str, *, config: ConnectionConfig, notice: Notice = log_notice
    ) -> None:
        self._target = target
        self._name = name
        self._config = config
        self._notice = notice
        self._wire: Wire | None = None
        self._closed = False
        self._connected = asyncio.Event()
        self._interests: dict[Interest, None] = {}
        self._watchers: list[Callable[[bool], None]] = []
        self._closings: list[Callable[[], None]] = []
        self._offline = OfflineMessages(config.offline_bytes)
        self._learned: list[str] = []
        self._rng = random.Random()
        self._keeper: asyncio.Task[None] | None = None
        self._requests = Requests(config.requests_in_flight)

    async def open(self) -> None:
        """Connect for the first time; a failure is raised, not repeated."""
        await self._connect()
        self._keeper = asyncio.create_task(self._keep(), name=f"connection {self._name}")

    @property
    def is_connected(self) -> bool:
        return self._wire is not None and not self._wire.lost.done()

    @property
    def max_payload_bytes(self) -> int:
        """What the server takes; the default of servers while there is no connection."""
        return self._wire.client.max_payload if self._wire is not None else 1 << 20

    async def wait_connected(self) -> None:
        """Return when there is a connection; raise EngineUnavailable when there will be none any more."""
        await self._connected.wait()
        self._check_open("waiting for a connection")

    def watch(self, notice: Callable[[bool], None]) -> None:
        """Hear of each loss (False) and each reconnect (True)."""
        self._watchers.append(notice)

    def at_close(self, call: Callable[[], None]) -> None:
        """Call it when this side closes; `forget` undoes that and `watch`."""
        self._closings.append(call)

    def forget(self, *, notice: Callable[[bool], None], at_close: Callable[[], None]) -> None:
        """Idempotent."""
        self._watchers = [watcher for watcher in self._watchers if watcher != notice]
        self._closings = [closing for closing in self._closings if closing != at_close]

    async def publish(self, subject: str, data: bytes) -> None:
        """Send, waiting only while too much waits to be sent; kept for later while disconnected, if anything is."""
        self._check_open(f"publishing to {subject}")
        try:
            await self._send(subject, data)
        except EngineUnavailable:
            if self._closed or not self._offline.is_wanted:
                raise
            self._offline.keep(subject, data)
            if self._offline.dropped == 1:
                self._notice(f"{self._name}: too much waits for a connection; dropping what is published now")

    async def request(
        self, subject: str, data: bytes, *, timeout_s: float, headers: Headers | None = None
    ) -> Msg:
        """The first answer; EngineUnavailable when nobody listens, none comes in time or the connection goes."""
        with self._requests.begin(lambda _: True) as pending:
            await self._send(subject, data, pending.reply, headers)
            return (await pending.answered_within(timeout_s, subject))[0]

    async def gather(
        self, subject: str, data: bytes, is_last: Callable[[Msg], bool], *, timeout_s: float
    ) -> list[Msg]:
        """Every answer up to and including the one that `is_last`. Errors as for `request`."""
        with self._requests.begin(is_last) as pending:
            await self._send(subject, data, pending.reply)
            return await pending.answered_within(timeout_s, subject)

    async def subscribe(self, subject: str, deliver: Deliver, *, group: str = "") -> Interest:
        """Deliver what the server gets from the return of this call on, over every later connection too."""
        self._check_open(f"subscribing to {subject}")
        interest = Interest(subject, group, deliver)
        self._interests[interest] = None
        wire = self._wire
        if wire is not None and not wire.lost.done():
            try:
                await self._attach(wire, interest)
                await self._pass_through()
            except (*LIBRARY_ERRORS, OhmeshError) as error:
                if not wire.lost.done():
                    del self._interests[interest]
                    raise translated(error, f"subscribing to {subject}") from error
        return interest

    async def unsubscribe(self, interest: Interest) -> None:
        """Idempotent."""
        self._interests.pop(interest, None)
        interest.is_over = True
        live, interest.live = interest.live, None
        if live is not None and self.is_connected:
            try:
                await live.unsubscribe()
            except LIBRARY_ERRORS as error:
                if self.is_connected:
                    raise translated(error, f"unsubscribing from {interest.subject}") from error

    async def close(self, *, flush: bool = True) -> None:
        """Send what is gathered (`flush`), bounded in time, then stop for good; idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper], timeout=self._config.close_timeout_ms / 1000)
        wire, self._wire = self._wire, None
        if wire is not None:
            try:
                if flush and not wire.lost.done():
                    await wire.flush(self._config.close_timeout_ms / 1000)
            except LIBRARY_ERRORS as error:
                self._notice(f"{self._name}: perhaps closed with unsent messages: {error!r}")
            await wire.close()
        self._requests.fail("this connection was closed")
        self._connected.set()
        for closing in self._closings:
            closing()

    def _check_open(self, doing: str) -> None:
        if self._closed:
            raise EngineUnavailable(f"This connection is closed; {doing} is not possible.")

    async def _send(self, subject: str, data: bytes, reply: str = "", headers: Headers | None = None) -> None:
        wire = self._wire
        if wire is None or wire.lost.done():
            self._check_open(f"sending to {subject}")
            raise unavailable(f"sending to {subject}", "disconnected")
        while wire.client.pending_data_size > max(0, self._config.outgoing_bytes - len(data)):
            await wire.transport.taken()
            if wire.lost.done():
                raise unavailable(f"sending to {subject}", wire.lost.result())
        try:
            await wire.client.publish(subject, data, reply=reply, headers=headers)
        except LIBRARY_ERRORS as error:
            raise translated(error, f"sending to {subject}") from error

    async def _pass_through(self) -> None:
        """Return when the server has handled what this connection sent before: a message to ourselves has come."""
        with self._requests.begin(lambda _: True) as pending:
            await self._send(pending.reply, b"")
            await pending.answered_within(self._config.connect_timeout_ms / 1000, "ourselves")

    async def _keep(self) -> None:
        """Hold a connection, for ever."""
        while True:
            wire = self._wire
            if wire is not None:
                reason = await asyncio.shield(wire.lost)
                self._wire = None
                self._connected.clear()
                self._requests.fail(reason)
                self._notice(f"{self._name}: connection lost: {reason}")
                self._tell(False)
                await wire.close()
                end_if_cancelled()
            await self._reconnect()
            self._notice(f"{self._name}: connected again")
            self._tell(True)

    async def _reconnect(self) -> None:
        wait_ms = self._config.reconnect_least_ms
        said = ""
        while True:
            await asyncio.sleep(wait_ms * self._rng.uniform(0.5, 1.0) / 1000)
            try:
                await self._connect()
                return
            except OhmeshError as error:
                if str(error) != said:
                    said = str(error)
                    self._notice(f"{self._name}: {said}")
            wait_ms = min(2 * wait_ms, self._config.reconnect_most_ms)

    async def _connect(self) -> None:
        urls, seed_file = self._target.current()
        wire = Wire(self._config, self._notice)
        await wire.open([*urls, *(url for url in self._learned if url not in urls)], seed_file, self._name)
        try:
            await self._attach(wire, Interest(self._requests.subject, "", self._requests.answer))
            for interest in list(self._interests):
                await self._attach(wire, interest)
            await wire.flush(self._config.connect_timeout_ms / 1000)
            end_if_cancelled()
        except BaseException as error:
            await wire.close()
            end_if_cancelled()
            if isinstance(error, LIBRARY_ERRORS):
                raise translated(error, "setting up a connection") from error
            raise
        if self._target.runtime_file is None:
            self._learned = wire.servers()[: self._config.known_servers]
        self._wire = wire
        await self._send_kept(wire)
        self._connected.set()

    async def _send_kept(self, wire: Wire) -> None:
        if self._offline.dropped:
            self._notice(f"{self._name}: {self._offline.dropped} messages were dropped while disconnected")
        for subject, data in self._offline.take():
            try:
                await wire.client.publish(subject, data)
            except LIBRARY_ERRORS as error:
                self._notice(f"{self._name}: a kept message was dropped: {translated(error, 'sending it')}")

    async def _attach(self, wire: Wire, interest: Interest) -> None:
        live = await wire.client.subscribe(
            interest.subject,
            queue=interest.group,
            cb=interest.deliver,
            pending_msgs_limit=self._config.pending_messages,
            pending_bytes_limit=self._config.pending_bytes,
        )
        if interest.is_over:
            await live.unsubscribe()
        else:
            interest.live = live

    def _tell(self, connected: bool) -> None:
        """Each watcher in a call of its own: what one of them raises must not end the reconnecting."""
        for watcher in self._watchers:
            asyncio.get_running_loop().call_soon(watcher, connected)
