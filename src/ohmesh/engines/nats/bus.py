"""The bus on core NATS. A frame is handed to its receiver as it came: no copy, no decoding, no task of its own."""

from __future__ import annotations

from collections.abc import Callable

from nats.aio.msg import Msg

from ohmesh.engines.nats.connection import Connection, Interest
from ohmesh.errors import InvalidArgument
from ohmesh.ports.bus import SUBJECT_LENGTH_MAX, Message, Receive


class NatsSubscription:
    def __init__(self, connection: Connection, interest: Interest) -> None:
        self._connection = connection
        self._interest = interest

    async def unsubscribe(self) -> None:
        await self._connection.unsubscribe(self._interest)


class NatsBus:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def publish(self, subject: str, data: bytes) -> None:
        if "*" in subject or ">" in subject:
            raise InvalidArgument(f"{subject!r} cannot be published to: wildcards are for subscribing.")
        if len(subject) > SUBJECT_LENGTH_MAX:
            raise InvalidArgument(
                f"A subject of {len(subject)} characters ({subject[:20]}...); {SUBJECT_LENGTH_MAX} are allowed."
            )
        await self._connection.publish(subject, data)

    async def subscribe(self, subject: str, receive: Receive, *, group: str = "") -> NatsSubscription:
        async def deliver(message: Msg) -> None:
            receive(Message(message.subject, message.data, message.reply))

        interest = await self._connection.subscribe(subject, deliver, group=group)
        return NatsSubscription(self._connection, interest)

    async def request(self, subject: str, data: bytes, *, timeout_s: float) -> bytes:
        answer = await self._connection.request(subject, data, timeout_s=timeout_s)
        return answer.data

    def watch_connection(self, notice: Callable[[bool], None]) -> None:
        self._connection.watch(notice)

    async def close(self) -> None:
        await self._connection.close()
