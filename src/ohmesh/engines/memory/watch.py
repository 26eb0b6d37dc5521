"""One watch: changes on their way to it in order, and those it has not taken yet, bounded."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Container
from functools import partial

from ohmesh.engines.memory.faults import Range, draw
from ohmesh.engines.memory.link import Link
from ohmesh.errors import EngineUnavailable
from ohmesh.ports.state import StateEntry


class Watcher:
    """What is sent while the link does not hear is missed; the store shows everything again when it is back.

    Beyond `watch_backlog` waiting changes only the newest of each key is kept.
    """

    def __init__(self, prefix: str, link: Link) -> None:
        self.prefix = prefix
        self._link = link
        self._waiting: deque[StateEntry] = deque()
        self._sent: dict[str, int] = {}
        self._busy_until = 0.0
        self._wake: asyncio.Future[None] | None = None
        self._is_ended = False

    def gone(self, present: Container[str]) -> list[str]:
        """Keys that were sent to it, whose end it has not seen, and that are not present."""
        return [key for key in self._sent if key not in present]

    def send(self, entry: StateEntry, *, delay_ms: Range) -> None:
        server = self._link.server
        now = server.now()
        when = now + draw(self._link.rng, delay_ms)
        if self._busy_until > now:
            when = max(when, math.nextafter(self._busy_until, math.inf))
        self._busy_until = when
        self._sent[entry.key] = entry.revision
        server.schedule_at(when, partial(self._arrive, self._link.generation, entry))

    async def next(self) -> StateEntry:
        """The next change; EngineUnavailable once the connection is closed."""
        while not self._waiting:
            if self._is_ended:
                raise EngineUnavailable(
                    "The connection of this watch was closed.", hint="Watch again on a new one."
                )
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        return self._waiting.popleft()

    def end(self) -> None:
        self._is_ended = True
        self._waiting.clear()
        self._notify()

    def _arrive(self, generation: int, entry: StateEntry) -> None:
        if self._is_ended or generation != self._link.generation or not self._link.hears:
            return
        if entry.value is None and self._sent.get(entry.key) == entry.revision:
            del self._sent[entry.key]
        if len(self._waiting) >= self._link.server.limits.watch_backlog:
            newest = {waiting.key: waiting for waiting in self._waiting}
            self._waiting = deque(newest.values())
        self._waiting.append(entry)
        self._notify()

    def _notify(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
