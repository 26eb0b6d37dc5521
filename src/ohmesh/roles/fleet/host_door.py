"""What one process of the fleet is asked by itself, past leads and coordinators: whether it is there, and to grow."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import msgspec

from ohmesh.errors import EngineError, InvalidArgument, OhmeshError
from ohmesh.model.fleet_care import Grow, StillHere, decode_process_question
from ohmesh.model.fleet_request import encode_answer
from ohmesh.model.message import Problem
from ohmesh.ports.bus import Bus, Message
from ohmesh.ports.population import Rows
from ohmesh.roles.fleet.config import Seat
from ohmesh.roles.fleet.places import rows_of_spans

Start = Callable[[Rows], Awaitable[None]]


class HostDoor:
    """`start` begins simulated agents at some places, and returns once they have joined; None where only others' agents
    live."""

    def __init__(self, bus: Bus, seat: Seat, *, start: Start | None = None) -> None:
        self._bus = bus
        self._seat = seat
        self._start = start
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until it is cancelled."""
        subject = self._seat.subjects.fleet_door(self._seat.name)
        subscription = await self._bus.subscribe(subject, self._receive)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            for task in self._tasks:
                task.cancel()
            with contextlib.suppress(EngineError):
                await subscription.unsubscribe()

    def _receive(self, message: Message) -> None:
        if message.reply:
            task = asyncio.ensure_future(self._answer(message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, message: Message) -> None:
        answer: msgspec.Struct = StillHere(self._seat.name)
        try:
            question = decode_process_question(message.data)
            if isinstance(question, Grow):
                if self._start is None:
                    raise InvalidArgument(f"Process {self._seat.name} simulates no agents.")
                await self._start(rows_of_spans(question.spans, self._seat.topology))
        except OhmeshError as error:
            answer = Problem(error.code, str(error))
        with contextlib.suppress(EngineError):  # it is asked again
            await self._bus.publish(message.reply, encode_answer(answer))
