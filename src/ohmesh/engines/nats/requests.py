"""Answers to requests: one inbox for all of a connection, a token in the subject for each request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nats.aio.msg import Msg
from nats.nuid import NUID

from ohmesh.engines.nats.translation import unavailable
from ohmesh.errors import EngineUnavailable

_NOBODY_LISTENS = "503"


def status_of(message: Msg) -> str:
    """The status line of an answer by the server itself ("503", "204", ...); "" for an ordinary message."""
    if not message.headers:
        return ""
    status: str = message.headers.get("Status", "")
    return status


class Pending:
    """One request in flight: what came so far, and a future for all of it."""

    def __init__(self, reply: str, is_last: Callable[[Msg], bool]) -> None:
        self.reply = reply
        self.received: list[Msg] = []
        self.answers: asyncio.Future[list[Msg]] = asyncio.get_running_loop().create_future()
        self._is_last = is_last

    def receive(self, message: Msg) -> None:
        if self.answers.done():
            return
        if not message.data and status_of(message) == _NOBODY_LISTENS:
            self.fail(EngineUnavailable("Nobody listens there: no process serves the request now."))
            return
        self.received.append(message)
        if self._is_last(message):
            self.answers.set_result(self.received)

    async def answered_within(self, timeout_s: float, subject: str) -> list[Msg]:
        try:
            async with asyncio.timeout(timeout_s):
                return await self.answers
        except TimeoutError as error:
            raise EngineUnavailable(
                f"No answer from {subject} within {timeout_s:g} s ({len(self.received)} parts came).",
                hint="It may or may not have been handled.",
            ) from error

    def fail(self, error: EngineUnavailable) -> None:
        if not self.answers.done():
            self.answers.set_exception(error)
            self.answers.exception()  # it may have no one left to hear it


class Requests:
    """`subject` is to be subscribed with `answer` on every physical connection."""

    def __init__(self, limit: int) -> None:
        self._nuid = NUID()
        self._prefix = f"_INBOX.{self._nuid.next().decode()}."
        self._limit = limit
        self._count = 0
        self._pending: dict[str, Pending] = {}
        self.subject = f"{self._prefix}*"

    @contextmanager
    def begin(self, is_last: Callable[[Msg], bool]) -> Iterator[Pending]:
        if len(self._pending) >= self._limit:
            raise EngineUnavailable(f"{self._limit} requests are waiting for their answers already.")
        self._count += 1
        token = str(self._count)
        pending = Pending(self._prefix + token, is_last)
        self._pending[token] = pending
        try:
            yield pending
        finally:
            del self._pending[token]

    async def answer(self, message: Msg) -> None:
        pending = self._pending.get(message.subject[len(self._prefix) :])
        if pending is not None:
            pending.receive(message)

    def fail(self, reason: str) -> None:
        """The connection is gone, and with it every answer."""
        for pending in list(self._pending.values()):
            pending.fail(unavailable("waiting for an answer", reason))
