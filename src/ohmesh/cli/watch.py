"""`--watch`: a verb that reads, asked again and again over one connection.

On a terminal the form for people is a page that is redrawn in place, on the terminal's other screen, so what stood
there before is back afterwards. Anywhere else, and in the forms for programs, a result is printed when its text differs
from that of the last one. A mesh that goes away is waited for; one that was never
reached, and a question that is wrong, end the watch.
"""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn, TextIO

import click
from msgspec import Struct

from ohmesh.cli.output import Output, OutputForm
from ohmesh.cli.presentation import present
from ohmesh.cli.text_width import text_width
from ohmesh.errors import EngineUnavailable, InvalidArgument, MeshUnreachable
from ohmesh.operations.command import Command, Risk

DEFAULT_S = 2.0
SHORTEST_S = 0.1
LONGEST_S = 86_400.0
_WAITING_VERBS = ("events", "result", "tasks wait")
_HELP = (
    "Ask again every so many seconds, until interrupted: on a terminal redrawn in place, elsewhere printed when what "
    f"would be printed has changed (--fields leaves out what always does). Without a number: {DEFAULT_S:g}."
)
_ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l"  # the other screen, no cursor, long lines are cut
_LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"

Ask = Callable[[], Awaitable[Struct]]


def watch_options(verb: Command) -> list[click.Parameter]:
    """`--watch`, of verbs that read and are done at once."""
    if verb.risk is not Risk.READ or verb.name in _WAITING_VERBS:
        return []
    return [
        click.Option(
            ["--watch", "watch_s"],
            is_flag=False,
            flag_value=DEFAULT_S,
            type=click.FLOAT,
            metavar="[SECONDS]",
            help=_HELP,
        )
    ]


def interval(given: object) -> float:
    """Seconds between two questions; 0 where it was not asked to watch."""
    if given is None:
        return 0.0
    if not isinstance(given, float) or not SHORTEST_S <= given <= LONGEST_S:
        raise InvalidArgument(
            f"--watch: {given} is no number of seconds from {SHORTEST_S:g} to {LONGEST_S:g}.",
            hint=f"--watch alone is {DEFAULT_S:g}.",
        )
    return given


class Changes:
    """What is printed of a sequence of results: those that differ from the one before."""

    def __init__(self, form: OutputForm) -> None:
        self._form = form
        self._last: Struct | None = None

    def is_news(self, result: Struct) -> bool:
        """Whether it is to be printed; it is then the one that the next is compared with."""
        is_first, is_same = self._last is None, result == self._last
        self._last = result
        return is_first or not is_same

    def framed(self, text: str, *, is_first: bool) -> str:
        """Tables stand apart by an empty line; the names of csv stand once, at the top."""
        if is_first:
            return text
        if self._form is OutputForm.CSV:
            return text.partition("\r\n")[2]
        return f"\n{text}" if self._form is OutputForm.TABLE else text


def page(head: str, text: str, *, height: int) -> str:
    """The bytes that redraw a screen of `height` lines without a flicker; what has no room is counted."""
    lines = text.splitlines()
    room = max(1, height - 2)
    if len(lines) > room:
        lines = [*lines[: room - 1], f"... {len(lines) - room + 1} more lines"]
    return "\x1b[H" + "\x1b[K\r\n".join([head, "", *lines]) + "\x1b[K\x1b[J"


def head_line(command: str, mesh: str, clock: str, *, width: int) -> str:
    """The command at the left; the mesh and the time at the right, where there is room."""
    right = f"{mesh}   {clock}"
    return command + " " * max(3, width - text_width(command) - text_width(right)) + right


async def watch(ask: Ask, output: Output, interval_s: float, *, command: str, mesh: str) -> NoReturn:
    """Ask and show until cancelled; raises what the first question raises, and later what no waiting mends."""
    view: _Screen | _Lines
    if output.form is OutputForm.TABLE and output.out.isatty() and os.environ.get("TERM") != "dumb":
        view = _Screen(output, command, mesh)
    else:
        view = _Lines(output)
    result = await ask()
    with view.opened():
        view.show(result)
        while True:
            await asyncio.sleep(interval_s)
            try:
                result = await ask()
            except (EngineUnavailable, MeshUnreachable) as error:
                view.lost(str(error))
            else:
                view.show(result)


class _Lines:
    """Further results below those that were printed."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._changes = Changes(output.form)
        self._is_first = True
        self._text = ""
        self._is_lost = False

    @contextmanager
    def opened(self) -> Iterator[None]:
        yield

    def show(self, result: Struct) -> None:
        if self._is_lost:
            self._output.say("The mesh answers again.")
        self._is_lost = False
        if not self._changes.is_news(result):
            return
        talk = io.StringIO()
        text = rendered(result, self._output, io.StringIO(), talk)
        if not self._is_first and text == self._text:
            return
        self._text = text
        self._output.talk.write(talk.getvalue())
        self._output.out.write(self._changes.framed(text, is_first=self._is_first))
        self._output.out.flush()
        self._is_first = False

    def lost(self, reason: str) -> None:
        if not self._is_lost:
            self._output.error(f"{reason} Watching goes on until it is back.")
        self._is_lost = True


class _Screen:
    """One page on a terminal, always the latest; talk and trouble stand on it too."""

    def __init__(self, output: Output, command: str, mesh: str) -> None:
        self._output = output
        self._command = command
        self._mesh = mesh
        self._text = ""

    @contextmanager
    def opened(self) -> Iterator[None]:
        self._write(_ENTER)
        try:
            yield
        finally:
            self._write(_LEAVE)

    def show(self, result: Struct) -> None:
        paper = _Paper()
        self._text = rendered(result, self._output, paper, paper)
        self._draw(self._text)

    def lost(self, reason: str) -> None:
        self._draw(f"{reason} This was last seen:\n\n{self._text}")

    def _draw(self, text: str) -> None:
        columns, lines = shutil.get_terminal_size()
        head = head_line(self._command, self._mesh, time.strftime("%H:%M:%S"), width=columns)
        self._write(page(head, text, height=lines))

    def _write(self, text: str) -> None:
        self._output.out.write(text)
        self._output.out.flush()


class _Paper(io.StringIO):
    """Text that will stand on a terminal, so it is laid out for one."""

    def isatty(self) -> bool:
        return True


def rendered(result: Struct, output: Output, out: io.StringIO, talk: TextIO) -> str:
    """What the verb prints of it on stdout, in the form of `output`."""
    copy = Output(form=output.form, quiet=output.quiet, out=out, talk=talk)
    copy.fields = output.fields
    present(result, copy)
    return out.getvalue()
