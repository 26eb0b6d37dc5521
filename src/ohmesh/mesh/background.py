"""An event loop in a thread of its own, for programs that have none."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from ohmesh.errors import MeshUnreachable, OhmeshError, UsageError

Result = TypeVar("Result")


class BackgroundLoop:
    """Started when it is made; uvloop where it is installed."""

    def __init__(self) -> None:
        self._loop = new_event_loop()
        self._thread = threading.Thread(target=self._run, name="ohmesh", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do `work` in the loop and return its result. An interrupt (Ctrl-C) cancels it.

        Our own errors say what happened in words: where in here they arose is shown with OHMESH_DEBUG=1 only.
        """
        future = self.begin(work)
        try:
            return future.result()
        except OhmeshError as error:
            if os.environ.get("OHMESH_DEBUG") == "1":
                raise
            raise error.with_traceback(None) from None
        except BaseException:
            future.cancel()
            raise

    def begin(self, work: Coroutine[Any, Any, Result]) -> Future[Result]:
        """Do `work` in the loop without waiting for it; cancelling what is returned cancels it."""
        try:
            self._check()
            return asyncio.run_coroutine_threadsafe(work, self._loop)
        except BaseException:
            work.close()
            raise

    def call_soon(self, action: Callable[[], object]) -> None:
        self._check()
        self._loop.call_soon_threadsafe(action)

    def stop(self) -> None:
        """End the loop and its thread; what still runs in it is cancelled."""
        if self._loop.is_closed():
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _check(self) -> None:
        if self._loop.is_closed() or not self._thread.is_alive():
            raise MeshUnreachable("This Mesh is closed.", hint="Open another with Mesh.connect().")
        if threading.current_thread() is self._thread:
            raise UsageError("A Mesh was used in its own event loop.", hint="Use AsyncMesh in async code.")

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.get_loop().run_forever()


def stepped(background: BackgroundLoop, steps: AsyncGenerator[Result]) -> Iterator[Result]:
    """Iterate here over what is made in the loop; leaving early closes it there."""
    under_way: list[asyncio.Task[Result | None]] = []
    try:
        while (step := background.run(_next(steps, under_way))) is not None:
            yield step
    finally:
        with suppress(MeshUnreachable):  # the Mesh was closed first, and this with it
            background.run(_close(steps, under_way))


async def _next(steps: AsyncGenerator[Result], under_way: list[asyncio.Task[Result | None]]) -> Result | None:
    under_way[:] = [asyncio.create_task(_step(steps))]
    return await under_way[0]


async def _step(steps: AsyncGenerator[Result]) -> Result | None:
    return await anext(steps, None)


async def _close(steps: AsyncGenerator[Result], under_way: list[asyncio.Task[Result | None]]) -> None:
    """An interrupted step may still be tidying up, and a generator that runs cannot be closed."""
    for step in under_way:
        if not step.cancelling():
            step.cancel()
        await asyncio.wait([step])
    await steps.aclose()


def new_event_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:  # not on every platform
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
