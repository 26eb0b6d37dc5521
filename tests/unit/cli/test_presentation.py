"""Results as people read them, and the exit code that each means."""

from __future__ import annotations

import io

import pytest
from msgspec import Struct, structs

from ohmesh.cli.exit_codes import ExitCode
from ohmesh.cli.output import Output
from ohmesh.cli.presentation import present
from ohmesh.model.agent import Duty, HostView, Liveness
from ohmesh.model.task import TaskState
from ohmesh.model.webhook import WebhookState, WebhookView
from ohmesh.operations import results as r
from ohmesh.operations.locks import ReleasedLock
from ohmesh.operations.schedule_results import ScheduleDescription

DONE = r.TaskOutcome("A", TaskState.SUCCEEDED, {"label": "POSITIVE"}, attempts=1)
DEAD = r.TaskOutcome("B", TaskState.DEAD, failure=r.Failure("ValueError", "no.", "Traceback ..."), attempts=4)
WAITING = r.TaskOutcome("C", TaskState.QUEUED)
TASK = r.TaskDescription("A", "text", TaskState.QUEUED, "NORMAL", 0, 4, 1)
HOST = HostView("mine", Liveness.ACTIVE, Duty.READY, 1, 2, 8, 5, 1, ("nap", "echo"), pid=7)
STATUS = r.MeshStatus(
    "default",
    [r.DispatcherStatus(0, 3, "node-1-9", 12, 1)],
    [r.QueueDepth("text", 4, 2, 1)],
    {"dead": 1},
    1,
    2,
)


def shown(result: Struct) -> tuple[str, str, ExitCode]:
    out, talk = io.StringIO(), io.StringIO()
    code = present(result, Output(out=out, talk=talk))
    return out.getvalue(), talk.getvalue(), code


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        ({"label": "POSITIVE", "score": 0.12345}, '{"label":"POSITIVE","score":0.12345}'),
        ([{"a": [1, None]}, {"b": {"c": True}}], '[{"a":[1,null]},{"b":{"c":true}}]'),
        ("plain text", "plain text"),
        (0.12345, "0.12345"),
        (True, "true"),
        (None, "null"),
    ],
)
def test_a_value_is_printed_bare_a_text_as_it_is_and_all_else_as_json(value: object, printed: str) -> None:
    outcome = r.TaskOutcome("A", TaskState.SUCCEEDED, value)
    assert shown(outcome) == (f"{printed}\n", "", ExitCode.OK)


def test_a_failure_without_a_message_is_named_by_its_kind() -> None:
    failed = r.TaskOutcome("A", TaskState.DEAD, failure=r.Failure("KeyboardInterrupt", ""), attempts=1)
    assert shown(failed)[1].endswith("KeyboardInterrupt.\n")


def test_a_submission_prints_its_id_and_nothing_else_on_stdout() -> None:
    out, talk, code = shown(WAITING)
    assert (out, code) == ("C\n", ExitCode.OK)
    assert "ohmesh result C" in talk


def test_a_failed_task_is_an_error_with_its_reason_and_without_a_traceback() -> None:
    out, talk, code = shown(DEAD)
    assert (out, code) == ("", ExitCode.FAILED)
    assert "ended dead after 4 attempts: ValueError: no." in talk
    assert "Traceback" not in talk


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (r.TaskOutcomes([DONE]), ExitCode.OK),
        (r.TaskOutcomes([DONE, DEAD]), ExitCode.PARTIAL),
        (r.TaskOutcomes([DEAD]), ExitCode.FAILED),
        (r.TaskOutcomes([DONE], unfinished=["C"]), ExitCode.PARTIAL),
        (r.TaskOutcomes([], unknown=["X"]), ExitCode.NOTHING_MATCHED),
        (r.Cancellation(["A"]), ExitCode.OK),
        (r.Cancellation(["A"], too_late=["B"]), ExitCode.PARTIAL),
        (r.Cancellation([], too_late=["B"]), ExitCode.FAILED),
        (r.Cancellation([], unknown=["X"]), ExitCode.NOTHING_MATCHED),
        (r.TaskList([TASK], total=1), ExitCode.OK),
        (r.TaskList([], unknown=["X"]), ExitCode.NOTHING_MATCHED),
        (r.TaskList([]), ExitCode.OK),
        (r.TaskList([TASK], total=9, filter="kind=text"), ExitCode.OK),
        (r.TaskList([], total=9, filter="kind=text"), ExitCode.NOTHING_MATCHED),
        (r.TaskList([], filter="kind=text"), ExitCode.NOTHING_MATCHED),
        (r.WorkerList([HOST]), ExitCode.OK),
        (r.WorkerList([]), ExitCode.OK),
        (r.WorkerList([HOST], total=2, filter="state=active"), ExitCode.OK),
        (r.WorkerList([], total=2, filter="state=active"), ExitCode.NOTHING_MATCHED),
        (STATUS, ExitCode.OK),
    ],
)
def test_the_exit_code_tells_all_some_or_none(result: Struct, code: ExitCode) -> None:
    assert shown(result)[2] is code


def test_a_page_says_how_much_it_shows_and_how_to_go_on() -> None:
    out, talk, _ = shown(r.TaskList([TASK], after="7.-", total=900))
    assert "A" in out
    assert "showing 1 of 900 tasks; more: --after 7.-" in talk


def test_workers_are_a_table_that_fits() -> None:
    out, _, _ = shown(r.WorkerList([HOST]))
    assert "mine" in out
    assert "2/8" in out
    assert "nap, echo" in out
    assert all(len(line) <= 100 for line in out.splitlines())


def test_status_shows_queues_and_dispatchers() -> None:
    out, _, _ = shown(STATUS)
    assert "1 of 2 workers alive" in out
    assert "node-1-9" in out
    assert "1 dead" in out


def test_a_filtered_list_says_what_it_shows_and_not_how_many_tasks_do_not_match() -> None:
    _, talk, _ = shown(r.TaskList([TASK], "7", 9, filter="kind=text"))
    assert talk == "showing 1 that match: kind=text; more: --after 7\n"
    assert shown(r.TaskList([], total=17, filter="kind=x"))[1] == "no task matches: kind=x\n"
    _, talk, _ = shown(r.WorkerList([], total=2, filter="kind=x"))
    assert talk == "showing 0 of 2 workers; filter: kind=x\n"


SCHEDULE = ScheduleDescription("nightly", "text", "@daily", "UTC", 0, 1_769_853_600_000)
WEBHOOK = WebhookView("wh_1", "https://example.org/", WebhookState.ACTIVE, created_ms=1_769_853_600_250)


@pytest.mark.parametrize(("verb", "result"), [("schedules remove", SCHEDULE), ("webhooks remove", WEBHOOK)])
def test_what_was_removed_is_said_to_be_so(verb: str, result: Struct) -> None:
    out, talk = io.StringIO(), io.StringIO()
    assert present(result, Output(out=out, talk=talk), verb=verb) is ExitCode.OK
    assert "removed" in out.getvalue()
    assert "active" not in out.getvalue()
    assert "DUE" not in out.getvalue()


def test_a_lock_that_nobody_held_was_not_released() -> None:
    out, talk, code = shown(ReleasedLock("mine", was_held=False))
    assert (out, code) == ("", ExitCode.NOTHING_MATCHED)
    assert "nobody holds lock 'mine'" in talk
    assert shown(ReleasedLock("mine", was_held=True, holder="box"))[2] is ExitCode.OK


def test_times_of_a_webhook_are_times() -> None:
    out, _, _ = shown(WEBHOOK)
    assert "2026-01-31T10:00:00Z" in out
    assert "never" in out
    assert "1769853600" not in out


def test_one_attempt_is_one() -> None:
    task = structs.replace(TASK, state=TaskState.DEAD, attempts=1)
    assert "after 1 attempt\n" in shown(r.DeadLetterDetails([task]))[0]
