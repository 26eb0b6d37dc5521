"""Every field that can be asked for has a value, in its unit."""

from __future__ import annotations

import pytest

from ohmesh.model.agent import AgentView, Duty, HostView, Liveness
from ohmesh.model.task import TaskFailure, TaskState, TaskView
from ohmesh.registry.fields import AGENTS, EVENTS, FLEET, TASKS, WORKERS
from ohmesh.registry.rows import (
    AGENT_SOURCES,
    EVENT_SOURCES,
    FLEET_SOURCES,
    TASK_SOURCES,
    WORKER_SOURCES,
    matcher,
)
from ohmesh.registry.selector import compile_selector

NOW_MS = 1_767_232_800_000  # 2026-01-01T02:00Z
TASK = TaskView(
    task_id="01JD",
    kind="text",
    state=TaskState.DEAD,
    priority=2,
    attempts=4,
    max_attempts=4,
    submitted_ms=NOW_MS - 7_200_000,
    started_ms=NOW_MS - 5_000,
    finished_ms=NOW_MS - 3_500,
    host="box-1",
    agent="box-1/text",
    failures=(TaskFailure("ValueError", "first"), TaskFailure("timeout", "last")),
    complexity="large",
)
WAITING = TaskView("02", "text", TaskState.QUEUED, 9, 0, 4, NOW_MS + 1)
WORKER = HostView("box-1", Liveness.ACTIVE, Duty.READY, NOW_MS - 900, 7, 8, 20, 1, ("text", "image"), pid=42)
SILENT = HostView("box-2", Liveness.OFFLINE, Duty.READY, 0, 0, 0, 0, 0)


def test_every_field_has_a_source_and_every_source_a_field() -> None:
    assert set(TASK_SOURCES) == set(TASKS.names)
    assert set(WORKER_SOURCES) == set(WORKERS.names)
    assert set(AGENT_SOURCES) == set(AGENTS.names)
    assert set(EVENT_SOURCES) == set(EVENTS.names)
    assert set(FLEET_SOURCES) == set(FLEET.names)
    schemas = (TASKS, WORKERS, AGENTS, EVENTS, FLEET)
    assert all(field.help.endswith(".") for schema in schemas for field in schema.fields)


AGENT = AgentView(
    "box-1/text", "box-1", "text", "text", ("gpu", "big"), 6, 8, Liveness.ACTIVE, Duty.READY, NOW_MS - 900
)
NO_AGENT = AgentView("box-2/x", "box-2", "x", "y", (), 0, 0, Liveness.OFFLINE, Duty.DRAINING, 0)


@pytest.mark.parametrize(
    "text",
    [
        "agent=box-1/text and name=text and worker=box-*",
        "kind=text",
        "capability=gpu and capability=b* and capability!=tpu",
        "running=6 and slots=8 and free=2",
        "load=75%",
        "state=active and duty=ready",
        "seen=900ms",
    ],
)
def test_an_agent_is_found_by_each_of_its_fields(text: str) -> None:
    selector = compile_selector(text, AGENTS)
    assert matcher(selector, AGENT_SOURCES, NOW_MS)(AGENT)
    assert not matcher(selector, AGENT_SOURCES, NOW_MS)(NO_AGENT)


@pytest.mark.parametrize(
    "text",
    [
        "id=01JD and kind=text and state=dead",
        "priority=high and priority>normal and priority<critical",
        "complexity=large and complexity>small",
        "attempts=4",
        "host=box-1 and agent=box-1/* and agent=*/text",
        "age=2h and submitted=2026-01-01",
        "took=1.5s",
        "failure=timeout",
    ],
)
def test_a_task_is_found_by_each_of_its_fields(text: str) -> None:
    selector = compile_selector(text, TASKS)
    assert matcher(selector, TASK_SOURCES, NOW_MS)(TASK)
    assert not matcher(selector, TASK_SOURCES, NOW_MS)(WAITING)


def test_a_task_that_waits_took_no_time_and_is_not_younger_than_now() -> None:
    for text in (
        "not took",
        "not took>=0",
        "age=0",
        "host=''",
        "not failure",
        "priority!=low",
        "not priority>=low",
    ):
        assert matcher(compile_selector(text, TASKS), TASK_SOURCES, NOW_MS)(WAITING), text


@pytest.mark.parametrize(
    "text",
    [
        "name=box-1 and state=active and duty=ready",
        "running=7 and slots=8 and load=87.5%",
        "done>=20 and failed>0",
        "kind=image and kind=text and kind!=audio",
        "pid=42 and seen<1s",
    ],
)
def test_a_worker_is_found_by_each_of_its_fields(text: str) -> None:
    selector = compile_selector(text, WORKERS)
    assert matcher(selector, WORKER_SOURCES, NOW_MS)(WORKER)
    assert not matcher(selector, WORKER_SOURCES, NOW_MS)(SILENT)


def test_a_worker_without_slots_has_no_load_and_one_never_heard_of_was_not_seen() -> None:
    for text in ("not load>=0", "not seen>=0", "kind!=text", "state=offline"):
        assert matcher(compile_selector(text, WORKERS), WORKER_SOURCES, NOW_MS)(SILENT), text


def test_a_state_that_only_a_client_knows_cannot_be_asked_for() -> None:
    field = TASKS.find("state")
    assert field is not None
    assert set(field.choices) == {state.value for state in TaskState} - {"submitted"}
