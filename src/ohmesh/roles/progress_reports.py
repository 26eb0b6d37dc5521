"""What running tasks say of themselves, on its way from the host to whoever listens.

Lossy by design: the latest report of each lease waits, one round is published at a time with a pause after it, and what
is beyond the bound is forgotten. It is no row of any log and nothing waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ohmesh.errors import EngineUnavailable
from ohmesh.model.frame import encode_frame
from ohmesh.model.message import Progress
from ohmesh.model.subject import Subjects
from ohmesh.ports.bus import Bus
from ohmesh.ports.clock import Clock

ROUND_MESSAGES = 100  # 1,000 messages a second and host at most
ROUND_S = 0.1
WAITING_MAX = 2_000


class ProgressReports:
    def __init__(self, bus: Bus, clock: Clock, *, subjects: Subjects, host: str, incarnation: int) -> None:
        self._bus = bus
        self._clock = clock
        self._subjects = subjects
        self._host = host
        self._incarnation = incarnation
        self._waiting: dict[int, Progress] = {}
        self._wake = asyncio.Event()

    def put(self, steps: Sequence[Progress]) -> None:
        """Tell of these soon; a later step of the same lease replaces the one that waits."""
        for step in steps:
            if step.lease in self._waiting or len(self._waiting) < WAITING_MAX:
                self._waiting[step.lease] = step
        self._wake.set()

    async def publish_for_ever(self) -> None:
        while True:
            await self._wake.wait()
            leases = list(self._waiting)[:ROUND_MESSAGES]
            for step in [self._waiting.pop(lease) for lease in leases]:
                await self._publish(step)
            if not self._waiting:
                self._wake.clear()
            await asyncio.sleep(ROUND_S)

    async def _publish(self, step: Progress) -> None:
        frame = encode_frame(self._host, self._incarnation, self._clock.now_ms(), [step])
        try:
            await self._bus.publish(self._subjects.progress(step.task_id), frame)
        except EngineUnavailable:
            return  # lossy: the next step tells more than this one
