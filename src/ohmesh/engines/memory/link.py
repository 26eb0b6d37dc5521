"""One client's connection: what it believes of the server, and what of it is on its way.

Reachable is a fact of the network, online a belief of the client: a partition swallows packets at once and is noticed
after `notice_ms`; a killed server is noticed at once. A generation ends when the client notices: what was on its way
belongs to the old one and is lost, so every call in flight fails although some have landed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from functools import partial
from typing import Any, TypeVar

from ohmesh.engines.memory.faults import CallFate, CallFaults, draw, draw_fate, happens
from ohmesh.engines.memory.server import Server
from ohmesh.errors import EngineUnavailable, OhmeshError

Result = TypeVar("Result")


class Call:
    """One operation on its way to the server and back."""

    __slots__ = ("answer", "fate", "faults", "generation", "operation", "return_s", "what")

    def __init__(
        self, what: str, operation: Callable[[], Any], answer: asyncio.Future[Any], faults: CallFaults
    ) -> None:
        self.what = what
        self.operation = operation
        self.answer = answer
        self.faults = faults
        self.fate = CallFate.LAND
        self.generation = 0
        self.return_s = 0.0


class Link:
    """See the module. `on_restored` are told when messages may have been missed and flow again, `on_lost` when the
    connection is given up, `on_closed` when it is closed by this side."""

    def __init__(self, server: Server, process: str, number: int, name: str) -> None:
        self.server = server
        self.process = process
        self.number = number
        self.rng = server.rng(name)
        self.generation = 0
        self.is_online = False
        self.is_partitioned = False
        self.is_closed = False
        self.on_restored: list[Callable[[], None]] = []
        self.on_lost: list[Callable[[], None]] = []
        self.on_closed: list[Callable[[], None]] = []
        self._notices: list[tuple[Callable[[bool], None], Context]] = []
        self._unanswered: dict[Call, None] = {}
        self._travelling: dict[Call, None] = {}

    @property
    def is_reachable(self) -> bool:
        """Packets arrive (a stopped server's socket takes them too)."""
        return self.server.is_up and not self.is_partitioned

    @property
    def hears(self) -> bool:
        """What the server sends now arrives."""
        return self.server.answers and not self.is_partitioned and not self.is_closed

    def check_open(self) -> None:
        if self.is_closed:
            raise EngineUnavailable(
                f"The connection of {self.process!r} to the memory engine is closed.", hint="Connect again."
            )

    def add_notice(self, notice: Callable[[bool], None]) -> None:
        self._notices.append((notice, copy_context()))

    async def call(
        self, what: str, operation: Callable[[], Result], *, faults: CallFaults, fate: CallFate | None = None
    ) -> Result:
        """Do `operation` at the server and return its result; raise what it raised.

        EngineUnavailable when no answer came in time: it may have happened, and may still happen. At once while
        disconnected: then it has not happened and will not.
        """
        self.check_open()
        if not self.is_online:
            raise EngineUnavailable(
                f"{what}: {self.process!r} is not connected.", hint="Try again when it is."
            )
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Result] = loop.create_future()
        call = Call(what, operation, answer, faults)
        call.fate = draw_fate(self.rng, faults) if fate is None else fate
        timeout_ms = self.server.limits.call_timeout_ms
        expiry = loop.call_later(
            timeout_ms / 1000.0, _expire, answer, f"{what}: no answer in {timeout_ms:.0f} ms."
        )
        self._unanswered[call] = None
        try:
            self._send(call)
            return await answer
        finally:
            expiry.cancel()
            self._unanswered.pop(call, None)

    def lost(self) -> None:
        """The client notices that the connection is gone."""
        if self.is_online and not self.is_closed and not self.hears:
            self.is_online = False
            self.generation += 1
            self._travelling.clear()
            self.server.record("link-lost", self.process)
            self._fail_calls("was lost")
            for lost in self.on_lost:
                lost()
            self._tell(False)

    def restored(self) -> None:
        """The client has connected again: publish what waited, and show watches what they missed."""
        if self.is_online or not self.hears:
            return
        self.is_online = True
        self.server.record("link-restored", self.process)
        self.refresh()
        self._tell(True)

    def refresh(self) -> None:
        for missed in self.on_restored:
            missed()

    def land_some(self) -> None:
        """The server or this process is being killed: of the calls on their way some land, unanswered."""
        travelling, self._travelling = self._travelling, {}
        for call in travelling:
            if self.is_reachable and happens(self.rng, self.server.faults.landed_in_crash):
                call.fate = CallFate.LOSE_ACK
                self.server.handle(partial(self._execute, call))

    def close(self) -> None:
        """What was sent arrives; nothing done from now on has effect, nothing is heard, what is awaited fails."""
        if self.is_closed:
            return
        self.is_closed = True
        self.is_online = False
        self._fail_calls("was closed")
        for closed in self.on_closed:
            closed()

    def _fail_calls(self, how: str) -> None:
        for call in self._unanswered:
            _expire(call.answer, f"{call.what}: the connection of {self.process!r} {how}.")

    def _send(self, call: Call) -> None:
        rng, faults, fate = self.rng, call.faults, call.fate
        trip_s = draw(rng, faults.delay_ms)
        if happens(rng, faults.slow):
            trip_s += draw(rng, faults.slow_ms)
        call.generation = self.generation
        call.return_s = trip_s / 2
        if fate is CallFate.LOSE_REQUEST:
            return
        if fate is CallFate.REFUSE:
            self.server.schedule(
                trip_s, partial(_expire, call.answer, f"{call.what}: the server refused it.")
            )
            return
        away_s = trip_s / 2
        if fate is CallFate.LATE:
            away_s = self.server.limits.call_timeout_ms / 1000.0 + draw(rng, faults.late_ms)
        else:
            self._travelling[call] = None
        self.server.schedule(away_s, partial(self._arrive, call))

    def _arrive(self, call: Call) -> None:
        if call.fate is not CallFate.LATE:
            if call not in self._travelling:
                return
            del self._travelling[call]
        if self.is_reachable:
            self.server.handle(partial(self._execute, call))

    def _execute(self, call: Call) -> None:
        result: Any = None
        failure: OhmeshError | None = None
        try:
            result = call.operation()
        except OhmeshError as error:
            failure = error
        self.server.record(call.what, f"{self.process} ({call.fate.value})")
        if call.fate is not CallFate.LOSE_ACK:
            self.server.schedule(call.return_s, partial(self._answer, call, result, failure))

    def _answer(self, call: Call, result: object, failure: OhmeshError | None) -> None:
        if call.generation != self.generation or not self.hears or call.answer.done():
            return
        if failure is None:
            call.answer.set_result(result)
        else:
            call.answer.set_exception(failure)

    def _tell(self, online: bool) -> None:
        loop = asyncio.get_running_loop()
        for notice, context in self._notices:
            loop.call_soon(notice, online, context=context)


def _expire(answer: asyncio.Future[Any], message: str) -> None:
    if not answer.done():
        answer.set_exception(
            EngineUnavailable(message, hint="The outcome is unknown: look before trying again.")
        )
