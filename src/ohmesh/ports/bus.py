"""The bus: messages between processes, at most once, in order for one publisher and one subject.

A message that was published while the engine is away may be lost; roles repeat what matters until it is answered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

SUBJECT_LENGTH_MAX = 512


@dataclass(frozen=True, slots=True)
class Message:
    subject: str
    data: bytes
    reply: str = ""


Receive = Callable[[Message], None]


class Subscription(Protocol):
    async def unsubscribe(self) -> None: ...


class Bus(Protocol):
    async def publish(self, subject: str, data: bytes) -> None:
        """Hand `data` to the engine; suspends only while the outgoing buffer is full. Dropped while disconnected
        for longer than that buffer holds. Raises EngineUnavailable once closed, InvalidArgument for what is no subject
        (and a subject above SUBJECT_LENGTH_MAX: some servers end the whole connection for one)."""
        ...

    async def subscribe(self, subject: str, receive: Receive, *, group: str = "") -> Subscription:
        """Call `receive` (it must not block) for each message; with `group`, one member of it hears each.
        `*` stands for one word of the subject, `>` for all that follow. Survives reconnects."""
        ...

    async def request(self, subject: str, data: bytes, *, timeout_s: float) -> bytes:
        """First reply, or EngineUnavailable: nobody listens, or none came in time. A responder publishes to
        `message.reply`."""
        ...

    def watch_connection(self, notice: Callable[[bool], None]) -> None:
        """Call `notice(True)` after each reconnect and `notice(False)` when the connection is lost."""
        ...

    async def close(self) -> None:
        """Send what is buffered, then stop; idempotent."""
        ...
