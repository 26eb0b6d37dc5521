"""An iterator here over what is made in the loop there."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncGenerator

import pytest

from ohmesh.mesh.background import BackgroundLoop, stepped


def test_leaving_early_closes_what_is_iterated() -> None:
    closed = threading.Event()

    async def steps() -> AsyncGenerator[int]:
        try:
            for number in range(10):
                yield number
        finally:
            closed.set()

    background = BackgroundLoop()
    try:
        for number in stepped(background, steps()):
            if number == 3:
                break
    finally:
        background.stop()
    assert closed.is_set()


def test_an_interrupt_while_a_step_is_awaited_is_told_as_such() -> None:
    """The generator still tidies up when it is to be closed."""
    waiting, closed = threading.Event(), threading.Event()

    async def steps() -> AsyncGenerator[int]:
        try:
            waiting.set()
            await asyncio.Event().wait()
            yield 1
        finally:
            for _ in range(10):
                await asyncio.sleep(0)
            closed.set()

    def interrupt() -> None:
        waiting.wait(30)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    background = BackgroundLoop()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Thread(target=interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            next(stepped(background, steps()))
    finally:
        signal.signal(signal.SIGINT, before)
        background.stop()
    assert closed.is_set()
