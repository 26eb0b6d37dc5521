"""Whose code is running right now, for every step of every coroutine in an event loop.

A coroutine is wrapped in an object whose `send` and `throw` write the task's number into the shared page before they
delegate and restore what was there after. Coroutines that user code makes tasks of (gather, TaskGroup, wait_for ...)
inherit the number through the loop's task factory. Plain callbacks (`call_soon`, `call_later`) and threads that user
code starts are not attributed.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from types import TracebackType
from typing import Any

from ohmesh.runners.page import CURRENT, SINCE


class AttributedCoroutine(Coroutine[Any, Any, Any]):
    """`inner`, each step of which is marked as `number`'s."""

    __slots__ = ("_inner", "_is_nested", "_number", "_pid", "_started_ns", "_words")

    def __init__(
        self, inner: Coroutine[Any, Any, Any], words: memoryview, *, number: int, since_ns: int = 0
    ) -> None:
        """`since_ns`: when the task's code started, where this is a part of it; 0 is at the first step."""
        self._inner = inner
        self._words = words
        self._number = number
        self._started_ns = since_ns
        self._is_nested = since_ns > 0
        self._pid = os.getpid()

    def send(self, value: Any) -> Any:
        return self._step(self._inner.send, value)

    def throw(self, kind: Any, value: Any = None, trace: TracebackType | None = None) -> Any:
        return self._step(self._inner.throw, kind if value is None else value)

    def _step(self, step: Callable[[Any], Any], argument: Any) -> Any:
        words = self._words
        if not self._started_ns:
            self._started_ns = time.monotonic_ns()
        before, before_since = words[CURRENT], words[SINCE]
        words[SINCE] = self._started_ns
        words[CURRENT] = self._number
        try:
            return step(argument)
        except (SystemExit, KeyboardInterrupt) as error:
            if not self._is_nested:
                raise
            # asyncio would end the loop, and with it the other tasks; whoever awaits this one hears it instead.
            raise RuntimeError(
                f"{type(error).__name__} was raised in a task of the handler: {error}"
            ) from error
        finally:
            if os.getpid() != self._pid:
                os._exit(0)  # a fork of user code came back to the loop, where other tasks live
            words[CURRENT] = before
            words[SINCE] = before_since

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._inner.__await__()

    @property
    def cr_code(self) -> object:
        """Read by asyncio when it describes a task."""
        return getattr(self._inner, "cr_code", None)


def inherit_attribution(loop: asyncio.AbstractEventLoop, words: memoryview) -> None:
    """From now on each task made in `loop` while a task's code runs counts as that task's code."""

    def make(
        loop: asyncio.AbstractEventLoop, coroutine: Any, *, context: Context | None = None, **options: Any
    ) -> asyncio.Task[Any]:
        number = words[CURRENT]
        if number and not isinstance(coroutine, AttributedCoroutine) and isinstance(coroutine, Coroutine):
            coroutine = AttributedCoroutine(coroutine, words, number=number, since_ns=words[SINCE])
        return asyncio.Task(coroutine, loop=loop, context=context, **options)

    loop.set_task_factory(make)
