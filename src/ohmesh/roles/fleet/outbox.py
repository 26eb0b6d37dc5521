"""What one process says in one turn of its loop: one frame for each of those that it speaks to.

Nothing waits on a timer: what has been put in leaves as soon as the loop comes round, and what gathers while frames are
being handed to the engine goes into the next ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ohmesh.errors import EngineUnavailable, UsageError
from ohmesh.model.fleet_frame import FleetBody, FleetFrame, encode_fleet_frame
from ohmesh.model.frame import FRAME_VERSION, MAX_FRAME_BYTES
from ohmesh.ports.bus import Bus


class Outbox:
    """`stamp`: the hybrid time that a frame bears, asked for as it is made. sent, lost: frames."""

    def __init__(self, bus: Bus, *, sender: str, term: int, stamp: Callable[[], int]) -> None:
        self.sent = 0
        self.lost = 0
        self._bus = bus
        self._sender = sender
        self._term = term
        self._stamp = stamp
        self._bodies: dict[str, list[FleetBody]] = {}
        self._wake = asyncio.Event()

    def put(self, subject: str, body: FleetBody) -> None:
        bodies = self._bodies.get(subject)
        if bodies is None:
            bodies = self._bodies[subject] = []
            self._wake.set()
        bodies.append(body)

    async def now(self, subject: str, body: FleetBody) -> None:
        """By itself and before what has gathered: for what bears the time of its sending."""
        await self._send(subject, [body])

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            gathered, self._bodies = self._bodies, {}
            for subject, bodies in gathered.items():
                await self._send(subject, bodies)

    async def _send(self, subject: str, bodies: list[FleetBody]) -> None:
        frame = FleetFrame(FRAME_VERSION, self._sender, self._term, self._stamp(), bodies)
        data = encode_fleet_frame(frame)
        if len(data) > MAX_FRAME_BYTES and len(bodies) > 1:
            middle = len(bodies) // 2
            await self._send(subject, bodies[:middle])
            await self._send(subject, bodies[middle:])
            return
        try:
            await self._bus.publish(subject, data)
            self.sent += 1
        except (EngineUnavailable, UsageError):  # whoever misses it asks again
            self.lost += 1
