"""What a dispatcher makes of the filter of a question."""

from __future__ import annotations

import pytest

from ohmesh.errors import InvalidSelector
from ohmesh.model.message import Describe, ListTasks
from ohmesh.model.task import TaskState, TaskView
from ohmesh.roles.task_sieve import SCANNED_TASKS, sieve_of

HOUR_MS = 3_600_000
TASK = TaskView("01JD", "text", TaskState.QUEUED, 1, 0, 4, submitted_ms=HOUR_MS)


def test_a_question_without_a_filter_needs_no_sieve() -> None:
    assert sieve_of(ListTasks(kind="text"), 0) is None
    assert sieve_of(Describe(), 0) is None


def test_ages_are_those_at_the_time_of_the_question() -> None:
    for now_ms, is_meant in ((2 * HOUR_MS, False), (2 * HOUR_MS + 1, True)):
        sieve = sieve_of(ListTasks(filter="age>1h"), now_ms)
        assert sieve is not None
        assert sieve.matches(TASK) is is_meant


def test_a_long_filter_looks_at_fewer_tasks_at_a_time() -> None:
    short = sieve_of(ListTasks(filter="kind=text"), 0)
    long = sieve_of(ListTasks(filter=" or ".join(["kind=text"] * 200)), 0)
    assert short is not None
    assert long is not None
    assert SCANNED_TASKS // 20 < long.scan_tasks * 2 < short.scan_tasks <= SCANNED_TASKS


def test_a_filter_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(InvalidSelector, match="Did you mean state"):
        sieve_of(ListTasks(filter="stat=dead"), 0)
