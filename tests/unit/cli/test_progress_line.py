"""How far a task is, on one line that is gone afterwards."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncGenerator

import pytest

from ohmesh.cli.map_lines import progress
from ohmesh.cli.output import Output
from ohmesh.cli.progress_line import ProgressLine, progress_text, shown
from ohmesh.errors import UnknownTask
from ohmesh.model.message import Progress
from tests.waiting import eventually


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def step(done: float, total: float | None = None, note: str = "") -> Progress:
    return Progress("T", 1, done, total, note)


def test_a_step_is_a_bar_counts_a_note_and_the_time() -> None:
    assert progress_text(step(10, 40, "resizing"), 3.2, width=80) == (
        "[#####               ] 10/40 resizing, 3.2 s"
    )


def test_a_step_without_a_total_has_no_bar() -> None:
    assert progress_text(step(7), 3.2, width=80) == "7, 3.2 s"


def test_before_the_first_step_there_is_the_time() -> None:
    assert progress_text(None, 3.2, width=80) == "waiting, 3.2 s"


@pytest.mark.parametrize(("done", "cells"), [(-1, 0), (0, 0), (4, 20), (9, 20)])
def test_a_bar_is_never_longer_than_whole(done: float, cells: int) -> None:
    assert progress_text(step(done, 4), 0, width=80).startswith(f"[{('#' * cells).ljust(20)}]")


def test_a_note_keeps_to_the_line() -> None:
    text = progress_text(step(1, 2, "long\nnote " * 30), 3.2, width=40)
    assert len(text) <= 40
    assert "\n" not in text


async def _steps(error: UnknownTask | None = None) -> AsyncGenerator[Progress]:
    yield step(1, 2, "half")
    if error is not None:
        raise error


def test_the_line_is_rewritten_and_erased_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    talk = Terminal()

    async def wait() -> None:
        async with shown(_steps(), Output(talk=talk)):
            await eventually(lambda: "1/2 half" in talk.getvalue(), what="a step on the terminal")

    asyncio.run(wait())
    assert talk.getvalue().startswith("\r\x1b[K")
    assert talk.getvalue().endswith("\r\x1b[K")


def test_what_cannot_be_followed_is_left_to_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    talk = Terminal()

    async def wait() -> None:
        async with shown(_steps(UnknownTask("There is no such task.")), Output(talk=talk)):
            await eventually(lambda: "half" in talk.getvalue(), what="a step on the terminal")

    asyncio.run(wait())
    assert "no such task" not in talk.getvalue()


@pytest.mark.parametrize(("talk", "is_quiet"), [(io.StringIO(), False), (Terminal(), True)])
def test_off_a_terminal_and_when_quiet_nothing_is_shown(talk: io.StringIO, is_quiet: bool) -> None:
    async def wait() -> None:
        async with shown(_steps(), Output(talk=talk, quiet=is_quiet)):
            await asyncio.sleep(0)

    asyncio.run(wait())
    assert not talk.getvalue()


def test_a_map_counts_its_results_and_those_that_failed() -> None:
    assert progress(1, 0, 2.0) == "1 result, 2.0 s"
    assert progress(3, 1, 2.0) == "3 results, 1 of them failed, 2.0 s"


def test_a_line_is_erased_when_its_block_is_left() -> None:
    talk = Terminal()
    with ProgressLine(talk) as line:
        line.show("1 result")
    assert talk.getvalue() == "\r\x1b[K1 result\r\x1b[K"
