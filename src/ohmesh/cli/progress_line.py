"""How far a task is, as one line on stderr that is rewritten while a command waits for it.

Only on a terminal and not with `--quiet`; the line is erased before the command prints anything else.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Self, TextIO

from ohmesh.cli.durations import duration
from ohmesh.cli.output import Output
from ohmesh.cli.text_width import one_line, shortened
from ohmesh.errors import OhmeshError
from ohmesh.model.message import Progress

TICK_S = 1.0
BAR_CELLS = 20
_ERASED = "\r\x1b[K"


def progress_text(step: Progress | None, elapsed_s: float, *, width: int) -> str:
    """ "[#####     ] 12/40 resizing, 3.2 s", cut where the line ends; before the first step the time alone."""
    took = duration(elapsed_s * 1000)
    if step is None:
        return shortened(f"waiting, {took}", width)
    total = f"/{step.total:g}" if step.total else ""
    note = f" {one_line(step.note)}" if step.note else ""
    return shortened(f"{_bar(step)}{step.done:g}{total}{note}, {took}", width)


def _bar(step: Progress) -> str:
    if not step.total:
        return ""
    cells = round(BAR_CELLS * min(1.0, max(0.0, step.done / step.total)))
    return f"[{'#' * cells}{' ' * (BAR_CELLS - cells)}] "


class ProgressLine:
    """The line on a terminal; `erase` before anything else is written there. Leaving its block erases it too."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_shown = False

    def show(self, text: str) -> None:
        self._is_shown = True
        self._write(_ERASED + text)

    def erase(self) -> None:
        if self._is_shown:
            self._is_shown = False
            self._write(_ERASED)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.erase()

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def is_shown_to(output: Output) -> bool:
    """Whether somebody sees a line there that is rewritten, and wants to."""
    return not output.quiet and output.talk.isatty() and os.environ.get("TERM") != "dumb"


@asynccontextmanager
async def shown(steps: AsyncGenerator[Progress], output: Output) -> AsyncIterator[None]:
    """The latest of `steps` is shown, where it may be, for as long as the body waits."""
    if not is_shown_to(output):
        yield
        return
    line = ProgressLine(output.talk)
    drawing = asyncio.create_task(_draw(steps, line))
    try:
        yield
    finally:
        drawing.cancel()
        with suppress(asyncio.CancelledError):
            await drawing
        line.erase()


async def _draw(steps: AsyncGenerator[Progress], line: ProgressLine) -> None:
    """At each step, and each second so that the time goes on; until it is cancelled."""
    began_s = time.monotonic()
    latest: list[Progress] = []

    def draw() -> None:
        width = shutil.get_terminal_size().columns - 1
        line.show(progress_text(latest[-1] if latest else None, time.monotonic() - began_s, width=width))

    async def hear() -> None:
        with suppress(OhmeshError):  # the command itself says what is wrong
            async for step in steps:
                latest[:] = [step]
                draw()

    hearing = asyncio.create_task(hear())
    try:
        while True:
            await asyncio.sleep(TICK_S)
            draw()
    finally:
        hearing.cancel()
        with suppress(asyncio.CancelledError):
            await hearing
