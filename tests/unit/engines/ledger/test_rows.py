"""Rows: what goes in comes out, within the bounds, whatever the texts hold."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.engines.ledger.config import LedgerConfig
from ohmesh.engines.ledger.rows import event_of, event_row, task_row, task_view
from ohmesh.engines.ledger.schema import events, tasks
from ohmesh.errors import InvalidArgument
from ohmesh.model.task import FINAL_STATES, TaskFailure, TaskState, TaskView
from ohmesh.ports.ledger import Event

CONFIG = LedgerConfig(value_bytes_max=64, failures_chars_max=2_000, detail_chars_max=100)

whole = st.integers(min_value=0, max_value=(1 << 63) - 1)
sound_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
any_text = st.text(st.characters(), max_size=40)
failures = st.builds(TaskFailure, any_text, any_text, st.text(st.characters(), max_size=400))
views = st.builds(
    TaskView,
    task_id=sound_text,
    kind=sound_text,
    state=st.sampled_from(sorted(FINAL_STATES)),
    priority=st.integers(0, 3),
    attempts=whole,
    max_attempts=whole,
    submitted_ms=whole,
    started_ms=whole,
    finished_ms=whole,
    due_ms=whole,
    host=sound_text,
    agent=sound_text,
    failures=st.just(()),
    value=st.binary(max_size=64),
    order=whole,
    value_omitted_bytes=whole,
)


@given(views)
def test_a_task_comes_back_from_its_row(view: TaskView) -> None:
    row = task_row(7, view, CONFIG)
    assert len(row) == len(tasks.columns)
    assert {type(each) for each in row} <= {int, str, bytes}, (
        "no subclass: drivers and hashes see plain values"
    )
    assert task_view(row) == view


@given(views, st.lists(failures, max_size=30))
def test_failures_are_kept_newest_last_within_the_bound(
    view: TaskView, all_failures: list[TaskFailure]
) -> None:
    failed = msgspec.structs.replace(view, failures=tuple(all_failures))
    row = task_row(7, failed, CONFIG)
    found = task_view(row).failures
    told = sum(len(each.kind) + len(each.message) + len(each.traceback) for each in found)
    assert told <= CONFIG.failures_chars_max + 300 * len(found)
    assert bool(found) == bool(all_failures)
    if sum(len(each.message) + len(each.traceback) for each in all_failures) < 100 and len(all_failures) < 7:
        assert [storable(each.message) for each in all_failures] == [each.message for each in found]


def storable(text: str) -> str:
    """Only lone surrogates are lost; JSON writes every other character, NUL too, in a form that databases take."""
    return (
        text.encode("utf-8", "replace").decode()
        if any("\ud800" <= each <= "\udfff" for each in text)
        else text
    )


def test_the_last_of_too_many_failures_survives() -> None:
    many = tuple(TaskFailure("ValueError", f"number {number}", "x" * 5_000) for number in range(500))
    view = TaskView("id", "text", TaskState.DEAD, 1, 4, 4, 1, failures=many)
    found = task_view(task_row(7, view, CONFIG)).failures
    assert found[-1].message == "number 499"
    assert found[-1].traceback.endswith("(cut)")
    assert len(str(task_row(7, view, CONFIG)[13])) < 3 * CONFIG.failures_chars_max


@given(st.builds(Event, whole, any_text, any_text, any_text))
def test_an_event_is_storable_whatever_it_says(event: Event) -> None:
    row = event_row(7, event, CONFIG)
    assert len(row) == len(events.columns)
    for text in row:
        if isinstance(text, str):
            assert "\x00" not in text
            assert text.encode("utf-8").decode("utf-8") == text
    assert event_of(row).at_ms == event.at_ms


def test_a_result_above_the_bound_leaves_its_size() -> None:
    view = TaskView("id", "text", TaskState.SUCCEEDED, 1, 1, 4, 1, value=b"x" * 65)
    found = task_view(task_row(7, view, CONFIG))
    assert (found.value, found.value_omitted_bytes) == (b"", 65)


@pytest.mark.parametrize("state", sorted(set(TaskState) - FINAL_STATES))
def test_a_task_that_has_not_ended_is_no_history(state: TaskState) -> None:
    with pytest.raises(InvalidArgument, match=state.value):
        task_row(7, TaskView("id", "text", state, 1, 1, 4, 1), CONFIG)
