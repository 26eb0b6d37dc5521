"""Dead letters and queues on a terminal: what is asked before, what is shown after."""

from __future__ import annotations

import io
import sys

import pytest
from msgspec import Struct

from ohmesh.cli import verbs
from ohmesh.cli.application import run
from ohmesh.cli.exit_codes import ExitCode
from ohmesh.cli.output import Output
from ohmesh.cli.presentation import present
from ohmesh.model.task import TaskState
from ohmesh.operations import results as r
from ohmesh.operations.command import Command

LETTER = r.TaskDescription(
    "A",
    "text",
    TaskState.DEAD,
    "NORMAL",
    4,
    4,
    1,
    finished_ms=2,
    failures=[r.Failure("ValueError", "no", "Traceback\n  line 1")],
)


def shown(result: Struct) -> tuple[str, str, ExitCode]:
    out, talk = io.StringIO(), io.StringIO()
    code = present(result, Output(out=out, talk=talk))
    return out.getvalue(), talk.getvalue(), code


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The verbs that a mesh was asked for."""
    calls: list[str] = []

    async def call(verb: Command, arguments: Struct, flags: object, file: object) -> Struct:
        calls.append(verb.name)
        return r.ChangedTasks(["A"])

    monkeypatch.setattr(verbs, "_call", call)
    return calls


@pytest.mark.parametrize(
    "typed", [["dlq", "purge", "--all"], ["dlq", "purge", "A"], ["queues", "purge", "text"]]
)
@pytest.mark.parametrize(
    ("answer", "flags", "code"),
    [("y\n", [], 0), ("n\n", [], 5), ("", [], 5), ("", ["--yes"], 0), ("y\n", ["--no-input"], 5)],
)
def test_a_purge_is_done_when_it_is_confirmed(
    typed: list[str],
    answer: str,
    flags: list[str],
    code: int,
    done: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    assert run([*typed, *flags]) == code
    assert done == ([" ".join(typed[:2])] if code == 0 else [])
    said = capsys.readouterr()
    assert ("--yes" in said.err) == (code == ExitCode.NOT_CONFIRMED)
    assert ("mesh 'default': " in said.err) == (not flags)


def test_what_is_meant_has_to_be_said_before_anything_is_asked(
    done: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["dlq", "purge", "--yes"]) == ExitCode.USAGE
    assert "--all --kind" in capsys.readouterr().err
    assert done == []


def test_dead_letters_are_a_table_with_the_reason() -> None:
    out, talk, code = shown(r.DeadLetters([LETTER], "7", 3))
    assert "ValueError: no" in out
    assert "Traceback" not in out
    assert "showing 1 of 3 dead letters; more: --after 7" in talk
    assert code is ExitCode.OK
    assert "no dead letters" in shown(r.DeadLetters([]))[1]


def test_one_dead_letter_is_shown_with_its_tracebacks() -> None:
    out, talk, code = shown(r.DeadLetterDetails([LETTER], total=1, unknown=["B"]))
    assert "A text dead after 4 attempts\n  1. ValueError: no\n     Traceback\n       line 1\n" in out
    assert "B is no dead letter" in talk
    assert code is ExitCode.PARTIAL
    assert shown(r.DeadLetterDetails([], unknown=["B"]))[2] is ExitCode.NOTHING_MATCHED


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        (r.ChangedTasks(["A"]), ExitCode.OK),
        (r.ChangedTasks([]), ExitCode.OK),
        (r.ChangedTasks(["A"], ["B"]), ExitCode.PARTIAL),
        (r.ChangedTasks([], ["B"]), ExitCode.FAILED),
        (r.ChangedTasks([], [], ["C"]), ExitCode.NOTHING_MATCHED),
    ],
)
def test_the_exit_code_says_whether_all_were_changed(changed: r.ChangedTasks, code: ExitCode) -> None:
    out, talk, shown_code = shown(changed)
    assert shown_code is code
    for task_id in (*changed.done, *changed.too_late, *changed.unknown):
        assert task_id in out
    assert ("nothing to do" in talk) == (not out)


def test_queues_are_a_table_that_says_what_is_paused() -> None:
    out, _, _ = shown(
        r.QueueList([r.QueueState("text", 4, 2, 1, 3, paused_ms=5), r.QueueState("image", 0, 1, 0)])
    )
    assert "since" in out
    assert len(out.splitlines()) == 3
    assert "text" in shown(r.QueueState("text", 1, 0, 0))[0]
    limited = r.QueueState("text", 1, 0, 0, rate="100/s", burst=200, concurrency=5, held_back="rate")
    assert "100/s, 200 at once, 5 at a time; rate holds back" in shown(limited)[0]
    assert "held back by its limit of rate" in str(limited)
    assert "7" in shown(r.PurgedQueue("text", 7))[0]
    assert "no queues" in shown(r.QueueList([]))[1]
