"""A watch over keys: a push consumer that is made anew whenever something may have been missed.

Invariants:
* Revisions only rise. After a gap (a lost connection, missed heartbeats, a sequence left out, an overflow) a new
  consumer starts after the last revision shown; the bucket keeps the newest message of each key, so nothing newer is
  missed.
* A key that went, marker and all, while we were away is found by comparing what was shown with what the bucket has, and
  told as gone at the bucket's present revision.
* A bucket that ends before the last revision shown has lost its tail (a power cut): everything is shown again.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import AsyncIterator

from nats.aio.msg import Msg

from ohmesh.engines.nats.bucket import Bucket, is_deletion
from ohmesh.engines.nats.config import NatsConfig
from ohmesh.engines.nats.connection import Interest
from ohmesh.engines.nats.jetstream import JetStream
from ohmesh.engines.nats.requests import status_of
from ohmesh.errors import EngineError
from ohmesh.ports.state import StateEntry

_MISSED_HEARTBEATS = 2.5
_RETRY_LEAST_S = 0.05
_RETRY_MOST_S = 2.0


class _Attachment:
    """One consumer's life: what it delivered, in order, until `broken`."""

    def __init__(self, limit: int) -> None:
        self.arrived: asyncio.Queue[Msg | None] = asyncio.Queue(limit)
        self.broken = False
        self.consumed = 0

    async def deliver(self, message: Msg) -> None:
        self._put(message)

    def end(self) -> None:
        self._put(None)

    def _put(self, message: Msg | None) -> None:
        if self.broken:
            return
        try:
            self.arrived.put_nowait(message)
        except asyncio.QueueFull:
            self.broken = True  # what is in the queue still counts; then a new consumer goes on from there

    async def next(self, timeout_s: float) -> Msg | None:
        """The next message, without heartbeats; None when something may have been missed."""
        while not (self.broken and self.arrived.empty()):
            try:
                async with asyncio.timeout(timeout_s):
                    message = await self.arrived.get()
            except TimeoutError:
                return None
            if message is None:
                return None
            if status_of(message):
                if int((message.headers or {}).get("Nats-Last-Consumer", "0")) != self.consumed:
                    return None
                continue
            self.consumed += 1
            return message if message.metadata.sequence.consumer == self.consumed else None
        return None


class Watch:
    def __init__(self, jetstream: JetStream, bucket: Bucket, prefix: str, config: NatsConfig) -> None:
        self._jetstream = jetstream
        self._connection = jetstream.connection
        self._bucket = bucket
        self._prefix = prefix
        self._config = config
        self._notice = config.notice
        self._position = 0
        self._shown: set[str] = set()
        self._attachment: _Attachment | None = None
        self._interest: Interest | None = None
        self._rng = random.Random()

    async def entries(self) -> AsyncIterator[StateEntry]:
        """Present entries, then changes, for ever; EngineUnavailable once the connection is closed on our side."""
        timeout_s = self._config.watch_heartbeat_ms / 1000 * _MISSED_HEARTBEATS
        self._connection.watch(self._on_connection)
        self._connection.at_close(self._on_close)
        while True:
            for key, revision in await self._attach():
                self._shown.discard(key)
                yield StateEntry(key, None, revision)
            attachment = self._attachment
            while attachment is not None and (message := await attachment.next(timeout_s)) is not None:
                entry = self._entry(message)
                if entry is not None:
                    yield entry

    async def close(self) -> None:
        self._connection.forget(notice=self._on_connection, at_close=self._on_close)
        await self._detach()

    def _entry(self, message: Msg) -> StateEntry | None:
        key, revision = self._bucket.key(message.subject), message.metadata.sequence.stream
        if revision <= self._position:
            return None
        self._position = revision
        if not key.startswith(self._prefix):
            return None
        if is_deletion(message.headers):
            self._shown.discard(key)
            return StateEntry(key, None, revision)
        self._shown.add(key)
        return StateEntry(key, message.data, revision)

    def _on_connection(self, connected: bool) -> None:
        if not connected:
            self._on_close()

    def _on_close(self) -> None:
        if self._attachment is not None:
            self._attachment.end()

    async def _attach(self) -> list[tuple[str, int]]:
        """Have a consumer, however long it takes; returns what went meanwhile, with the revision to show."""
        wait_s = _RETRY_LEAST_S
        while True:
            await self._connection.wait_connected()
            try:
                await self._detach()
                gone = await self._what_went()
                await self._begin()
                return gone
            except EngineError as error:
                self._notice(f"watch of {self._prefix or 'all keys'}: {error}")
            await asyncio.sleep(wait_s * self._rng.uniform(0.5, 1.0))
            wait_s = min(2 * wait_s, _RETRY_MOST_S)

    async def _what_went(self) -> list[tuple[str, int]]:
        if not self._shown and not self._position:
            return []
        state, subjects = await self._jetstream.subjects(
            self._bucket.stream, self._bucket.filter(self._prefix)
        )
        if state.last_seq < self._position:
            self._notice(
                f"the state of the mesh ends at {state.last_seq}, before {self._position}: its tail was lost"
            )
            self._position = 0
        present = {self._bucket.key(subject) for subject in subjects}
        return [(key, state.last_seq) for key in sorted(self._shown - present)]

    async def _begin(self) -> None:
        attachment = _Attachment(self._config.watch_messages)
        name = secrets.token_hex(8)
        inbox = f"_INBOX.watch.{name}"
        self._interest = await self._connection.subscribe(inbox, attachment.deliver)
        self._attachment = attachment
        start: dict[str, object] = (
            {"deliver_policy": "by_start_sequence", "opt_start_seq": self._position + 1}
            if self._position
            else {"deliver_policy": "last_per_subject"}
        )
        await self._jetstream.push_consumer(
            self._bucket.stream,
            name,
            {
                **start,
                "deliver_subject": inbox,
                "filter_subject": self._bucket.filter(self._prefix),
                "idle_heartbeat": self._config.watch_heartbeat_ms * 10**6,
                "inactive_threshold": self._config.watch_heartbeat_ms * 10**6,
            },
        )

    async def _detach(self) -> None:
        """The server drops a consumer whose inbox nobody hears, so unsubscribing is enough."""
        interest, self._interest, self._attachment = self._interest, None, None
        if interest is not None:
            await self._connection.unsubscribe(interest)
