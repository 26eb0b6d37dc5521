"""How far tasks are, as somebody watches it: the latest step of each, until the task ends.

A watcher holds one step at most: whoever is slow skips to the latest. What comes late, from an attempt that was
replaced or out of order, is dropped. The end is heard as by any other waiter, so a task without a word
ends the watch too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import suppress

from ohmesh.errors import EngineUnavailable, InvalidArgument
from ohmesh.model.frame import decode_progress
from ohmesh.model.message import Progress
from ohmesh.model.subject import Subjects
from ohmesh.ports.bus import Bus, Message


class ProgressLine:
    """Where a client hears of progress."""

    def __init__(self, bus: Bus, subjects: Subjects) -> None:
        self._bus = bus
        self._subjects = subjects

    async def steps(
        self, name: Callable[[], Awaitable[str]], end: Callable[[], Coroutine[object, object, object]]
    ) -> AsyncGenerator[Progress]:
        """The latest step of task `name()` when there is one, until `end()` returns; what it raises is raised."""
        latest = _Latest()
        ending = asyncio.ensure_future(end())
        ending.add_done_callback(lambda _: latest.changed.set())
        subscription = None
        try:
            subject = self._subjects.progress(await name())
            subscription = await self._bus.subscribe(subject, latest.receive)
            while not ending.done():
                await latest.changed.wait()
                step = latest.take()
                if step is not None:
                    yield step
            ending.result()
        finally:
            ending.cancel()
            if subscription is not None:
                with suppress(EngineUnavailable):  # then there is nobody to tell
                    await subscription.unsubscribe()


class _Latest:
    """One step, and whether it, or the end, is news."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self._step: Progress | None = None
        self._newest = (0, 0)

    def receive(self, message: Message) -> None:
        try:
            frame = decode_progress(message.data)
        except InvalidArgument:
            return  # of no version that we know; the next one may be
        for step in frame.bodies:
            if (step.lease, step.count) > self._newest:
                self._newest = (step.lease, step.count)
                self._step = step
                self.changed.set()

    def take(self) -> Progress | None:
        step, self._step = self._step, None
        self.changed.clear()
        return step
