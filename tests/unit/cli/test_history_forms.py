"""History on a terminal: when things ended, what was asked for, and how far it is behind."""

from __future__ import annotations

import io

import pytest
from msgspec import Struct, structs

from ohmesh.cli.exit_codes import ExitCode
from ohmesh.cli.output import Output
from ohmesh.cli.presentation import present
from ohmesh.model.task import TaskState
from ohmesh.operations.history_results import HistoryEvent, HistoryEvents, TaskHistory
from ohmesh.operations.results import Failure, TaskDescription

DEAD = TaskDescription(
    "A",
    "text",
    TaskState.DEAD,
    "NORMAL",
    4,
    4,
    1,
    started_ms=1_769_853_600_000,
    finished_ms=1_769_853_600_250,
    agent="box/text",
    failures=[Failure("ValueError", "no", "Traceback")],
)


def shown(result: Struct) -> tuple[str, str, ExitCode]:
    out, talk = io.StringIO(), io.StringIO()
    code = present(result, Output(out=out, talk=talk))
    return out.getvalue(), talk.getvalue(), code


def test_a_task_is_shown_with_its_end_in_utc_and_its_reason() -> None:
    page, talk, code = shown(TaskHistory([DEAD], after="5-6", behind=0, filter="state=dead"))
    assert "2026-01-31T10:00:00Z  A" in page
    assert "250" in page
    assert talk.splitlines() == ["A: ValueError: no", "showing 1 that match: state=dead; more: --after 5-6"]
    assert code is ExitCode.OK


@pytest.mark.parametrize(
    ("behind", "said"), [(0, ""), (7, "7 log entries behind"), (-1, "how far history has come is not known")]
)
def test_an_empty_page_says_how_far_history_is_behind(behind: int, said: str) -> None:
    _, talk, code = shown(TaskHistory([], behind=behind))
    assert talk.splitlines()[0] == "no task has ended yet"
    assert said in talk
    assert ("may be missing" in talk) == bool(said)
    assert code is ExitCode.OK


def test_nothing_that_matches_is_an_exit_code() -> None:
    _, talk, code = shown(TaskHistory([], behind=0, filter="kind=text"))
    assert (talk, code) == ("nothing in history matches: kind=text\n", ExitCode.NOTHING_MATCHED)


def test_a_retried_success_does_not_show_its_old_failure() -> None:
    _, talk, _ = shown(TaskHistory([structs.replace(DEAD, state=TaskState.SUCCEEDED)], behind=0))
    assert talk == ""


def test_events_are_a_table_that_says_when_it_was_cut() -> None:
    event = HistoryEvent(1_769_853_600_250, "host_joined", "box", "Incarnation 1")
    table, talk, _ = shown(HistoryEvents([event], is_cut=True, behind=0))
    assert "2026-01-31T10:00:00Z  host_joined  box  Incarnation 1" in table
    assert talk == "showing 1; older ones did not fit: ask for one --kind\n"


def test_no_event_of_a_kind_is_an_exit_code_and_none_at_all_is_not() -> None:
    _, talk, code = shown(HistoryEvents([], behind=0, filter="kind=tail_lost"))
    assert (talk, code) == ("nothing in history matches: kind=tail_lost\n", ExitCode.NOTHING_MATCHED)
    assert shown(HistoryEvents([], behind=0))[2] is ExitCode.OK
