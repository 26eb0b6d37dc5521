"""What `--watch` prints for a sequence of answers, and when it ends."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Sequence

import click
import pytest
from msgspec import Struct

from ohmesh.cli.application import run
from ohmesh.cli.output import Output, OutputForm
from ohmesh.cli.verbs import command_of
from ohmesh.cli.watch import head_line, interval, page, watch
from ohmesh.errors import InvalidArgument, MeshUnreachable
from ohmesh.operations.results import QueueList, QueueState

AWAY = MeshUnreachable("No dispatcher answered.")
OVER = InvalidArgument("no more answers")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def queues(queued: int) -> QueueList:
    return QueueList([QueueState("text", queued=queued, running=0, retrying=0)])


def watched(
    answers: Sequence[Struct | Exception], form: OutputForm, out: io.StringIO | None = None
) -> tuple[str, str]:
    """stdout and stderr of a watch that is given these answers, then a usage error."""
    coming = iter([*answers, OVER])

    async def ask() -> Struct:
        answer = next(coming)
        if isinstance(answer, Exception):
            raise answer
        return answer

    out, talk = out or io.StringIO(newline=""), io.StringIO()
    output = Output(form=form, out=out, talk=talk)
    with pytest.raises(InvalidArgument, match="no more answers"):
        asyncio.run(watch(ask, output, 0.0, command="ohmesh queues list", mesh="mesh 'm'"))
    return out.getvalue(), talk.getvalue()


def test_a_result_is_printed_when_it_differs_from_the_last() -> None:
    lines, _ = watched([queues(1), queues(1), queues(2), queues(2), queues(1)], OutputForm.JSONL)
    assert [json.loads(line)["queued"] for line in lines.splitlines()] == [1, 2, 1]


def test_tables_stand_apart_by_an_empty_line() -> None:
    text, _ = watched([queues(1), queues(2)], OutputForm.TABLE)
    first, second = text.split("\n\n")
    assert first.splitlines()[0] == second.splitlines()[0]
    assert first.splitlines()[1] != second.splitlines()[1]


def test_the_names_of_csv_stand_once() -> None:
    lines, _ = watched([queues(1), queues(2)], OutputForm.CSV)
    assert lines.count("queued") == 1
    assert len(lines.splitlines()) == 3


def test_json_is_a_document_for_each_result() -> None:
    text, _ = watched([queues(1), queues(2)], OutputForm.JSON)
    first, end = json.JSONDecoder().raw_decode(text)
    second = json.loads(text[end:])
    assert [one["queues"][0]["queued"] for one in (first, second)] == [1, 2]


def test_a_mesh_that_is_away_is_said_once_and_waited_for() -> None:
    lines, talk = watched([queues(1), AWAY, AWAY, queues(2), AWAY, queues(2)], OutputForm.JSONL)
    assert len(lines.splitlines()) == 2
    assert (
        talk.splitlines()
        == [
            "error: No dispatcher answered. Watching goes on until it is back.",
            "The mesh answers again.",
        ]
        * 2
    )


def test_a_mesh_that_never_answered_ends_the_watch() -> None:
    async def ask() -> Struct:
        raise AWAY

    with pytest.raises(MeshUnreachable):
        asyncio.run(watch(ask, Output(out=io.StringIO()), 0.0, command="ohmesh status", mesh="mesh 'm'"))


def test_a_terminal_is_redrawn_in_place_and_restored_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    drawn, _ = watched([queues(1), AWAY, queues(1)], OutputForm.TABLE, Terminal())
    assert drawn.startswith("\x1b[?1049h")
    assert drawn.endswith("\x1b[?1049l")
    assert "\x1b[?25h" in drawn
    pages = drawn.split("\x1b[H")[1:]
    assert len(pages) == 3
    assert all(one.startswith("ohmesh queues list") and "mesh 'm'" in one for one in pages)
    assert "No dispatcher answered." in pages[1]
    assert "text" in pages[1]
    assert "No dispatcher answered." not in pages[2]


def test_a_page_is_no_higher_than_its_screen() -> None:
    drawn = page("head", "\n".join(str(number) for number in range(50)), height=10)
    lines = drawn.split("\x1b[K\r\n")
    assert len(lines) == 10
    assert lines[-1] == "... 43 more lines\x1b[K\x1b[J"


def test_the_time_stands_at_the_right_of_the_head() -> None:
    assert head_line("ohmesh status", "mesh 'm'", "12:00:00", width=40) == (
        "ohmesh status        mesh 'm'   12:00:00"
    )


@pytest.mark.parametrize("given", [0.0, -1.0, 0.01, float("nan"), float("inf")])
def test_an_interval_that_cannot_be_is_refused(given: float) -> None:
    with pytest.raises(InvalidArgument, match="--watch"):
        interval(given)


def test_a_wrong_interval_is_wrongly_called(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status", "--watch", "0"]) == 2
    assert "--watch" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "is_watchable"),
    [
        ("status", True),
        ("workers", True),
        ("tasks list", True),
        ("explain", True),
        ("events", False),
        ("result", False),
        ("tasks wait", False),
        ("submit", False),
        ("dlq purge", False),
    ],
)
def test_verbs_that_read_and_end_can_be_watched(words: str, is_watchable: bool) -> None:
    first, *rest = words.split()
    command = command_of(first)
    for word in rest:
        assert isinstance(command, click.Group)
        command = command.commands[word]
    assert any("--watch" in parameter.opts for parameter in command.params) is is_watchable
