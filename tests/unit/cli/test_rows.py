"""A result as rows: in jsonl and csv, narrowed by `--fields`, and never with names that do not exist."""

from __future__ import annotations

import csv
import io
import json

import pytest
from msgspec import Struct

from ohmesh.cli.exit_codes import ExitCode
from ohmesh.cli.output import Output, OutputForm
from ohmesh.cli.presentation import COLUMNS, present
from ohmesh.cli.rows import checked_fields, field_names, rows_of
from ohmesh.cli.text_width import text_width
from ohmesh.errors import InvalidArgument
from ohmesh.model.agent import Duty, HostView, Liveness
from ohmesh.model.task import TaskState
from ohmesh.operations import results as r
from ohmesh.operations.commands import COMMANDS

ID = "01JD3Y9Q8K2M4N6P8R0S2T4V6W"
TASK = r.TaskDescription(
    ID, "text", TaskState.RUNNING, "NORMAL", 1, 4, 1, agent="here/text", value={"a": [1, None]}
)
HOST = HostView("here", Liveness.ACTIVE, Duty.READY, 1, 2, 8, 5, 1, ("nap", "echo"), pid=7)
DONE = r.TaskOutcome("A", TaskState.SUCCEEDED, 'say "hi",\r\nplease', attempts=1)
LONG = "k" * 64
LONG_TASK = r.TaskDescription(
    ID, LONG, TaskState.SUCCEEDED, "BACKGROUND", 10, 10, 1, 2, 90_000_000, agent=f"{LONG}/{LONG}",
    failures=[r.Failure("ValueError", "日本語 \x1b[2J" * 40)], complexity="large",
)  # fmt: skip
LONG_HOST = HostView(
    "名" * 20, Liveness.SUSPECT, Duty.READY, 1, 2, 8, 10**9, 10**9, (LONG, LONG), pid=4_194_304
)
LISTS: list[Struct] = [
    r.TaskList([LONG_TASK] * 2, total=2, unknown=["X"]),
    r.DeadLetters([LONG_TASK], total=1),
    r.TaskOutcomes([r.TaskOutcome(ID, TaskState.SUCCEEDED, "語" * 300)], unfinished=[ID], unknown=["X"]),
    r.Cancellation([ID], ["B"], ["C"]),
    r.ChangedTasks([ID], ["B"], ["C"]),
    r.QueueList([r.QueueState(LONG, 10**9, 10**9, 10**9, 10**9, 5)]),
    r.QueueState(LONG, 1, 2, 3),
    r.PurgedQueue(LONG, 7),
    r.WorkerList([LONG_HOST], total=1),
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def printed(
    result: Struct, form: str = "table", fields: str = "", *, quiet: bool = False
) -> tuple[str, str, ExitCode]:
    out, talk = io.StringIO(), io.StringIO()
    output = Output(form=OutputForm(form), quiet=quiet, out=out, talk=talk)
    known = (*COLUMNS.get(type(result), ()), *field_names(type(result)))
    output.fields = checked_fields(fields, known)
    code = present(result, output)
    return out.getvalue(), talk.getvalue(), code


def test_jsonl_is_one_object_for_each_record_and_the_talk_still_says_that_there_is_more() -> None:
    out, talk, code = printed(r.TaskList([TASK, TASK], after="7", total=9, unknown=["X"]), "jsonl")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["task_id"] for row in rows] == [ID, ID, "X"]
    assert rows[0]["value"] == {"a": [1, None]}
    assert rows[2]["state"] == "unknown"
    assert "--after 7" in talk
    assert code is ExitCode.PARTIAL


def test_csv_has_a_header_and_keeps_every_value_exactly() -> None:
    out, _, _ = printed(r.TaskOutcomes([DONE], unfinished=["B"]), "csv")
    header, first, second = csv.reader(io.StringIO(out, newline=""))
    assert header == ["task_id", "state", "value", "failure", "attempts", "joined", "existed", "unserved"]
    assert first == ["A", "succeeded", 'say "hi",\r\nplease', "", "1", "false", "false", "false"]
    assert second == ["B", "unfinished", "", "", "", "", "", ""]
    assert out.startswith("task_id,state,value,failure,attempts,joined,existed,unserved\r\n")


def test_an_empty_list_is_a_header_in_csv_and_nothing_in_jsonl() -> None:
    assert printed(r.QueueList([]), "csv")[0] == (
        "kind,queued,running,retrying,dead_letters,paused_ms,rate,burst,concurrency,held_back,unknown\r\n"
    )
    assert printed(r.QueueList([]), "jsonl")[0] == ""


def test_nested_values_are_json_in_csv() -> None:
    out, _, _ = printed(r.TaskList([TASK], total=1), "csv", "value,failures,task_id")
    assert list(csv.reader(io.StringIO(out)))[1] == ['{"a":[1,null]}', "[]", ID]


def test_fields_choose_and_order_in_every_form() -> None:
    listed = r.WorkerList([HOST], total=1)
    assert printed(listed, "csv", "pid,host")[0] == "pid,host\r\n7,here\r\n"
    assert printed(listed, "jsonl", "pid,host")[0] == '{"pid":7,"host":"here"}\n'
    document = json.loads(printed(listed, "json", "pid,host")[0])
    assert document == {"workers": [{"pid": 7, "host": "here"}], "total": 1, "filter": ""}
    assert printed(listed, "table", "pid,worker")[0] == "PID  WORKER\n  7  here\n"


def test_a_table_shows_its_own_columns_and_the_fields_of_json() -> None:
    out, _, _ = printed(r.TaskList([TASK], total=1, unknown=["X"]), "table", "max_attempts,task,agent")
    assert [line.split() for line in out.splitlines()] == [
        ["MAX", "ATTEMPTS", "TASK", "AGENT"],
        ["4", ID, "here/text"],
        ["X"],
    ]


def test_fields_of_one_record_are_chosen_too() -> None:
    outcome = r.TaskOutcome("A", TaskState.QUEUED)
    assert printed(outcome, "json", "task_id")[0] == '{\n  "task_id": "A"\n}\n'
    assert printed(outcome, "table", "state,task_id")[0] == "STATE   TASK ID\nqueued  A\n"


def test_a_field_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(InvalidArgument, match="Did you mean state") as caught:
        checked_fields("task_id,sate", ("task_id", "state"))
    assert "task_id, state" in caught.value.hint


@pytest.mark.parametrize("result", LISTS, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("columns", [60, 80, 100])
def test_every_table_fits_its_terminal_and_keeps_its_ids(
    result: Struct, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    out = Terminal()
    present(result, Output(out=out, talk=io.StringIO()))
    lines = out.getvalue().splitlines()
    ids = LONG if LONG in lines[-1] else ID
    assert all(text_width(line) <= max(columns, len(LONG)) for line in lines)
    assert any(line.startswith((ids, "名" * 20)) for line in lines)
    assert "\x1b" not in out.getvalue()


@pytest.mark.parametrize("result", LISTS, ids=lambda one: type(one).__name__)
def test_a_table_shows_the_rows_in_the_order_of_the_other_forms(result: Struct) -> None:
    field = next(iter(field_names(type(result))))
    shown = printed(result, "table", field)[0].splitlines()[1:]
    assert [line.strip() for line in shown] == [str(row[field]) for row in rows_of(result)]


@pytest.mark.parametrize("verb", COMMANDS, ids=lambda verb: verb.name)
def test_the_fields_of_every_result_are_known_before_it_is_asked_for(verb: object) -> None:
    names = field_names(verb.result_type())  # type: ignore[attr-defined]  # parametrised
    assert names
    assert len(set(names)) == len(names)


def test_quiet_leaves_data_and_errors() -> None:
    out, talk, _ = printed(r.TaskOutcome("A", TaskState.QUEUED), quiet=True)
    assert (out, talk) == ("A\n", "")
    dead = r.TaskOutcome("A", TaskState.DEAD, failure=r.Failure("ValueError", "no"), attempts=1)
    assert "error: Task A ended dead" in printed(dead, quiet=True)[1]
