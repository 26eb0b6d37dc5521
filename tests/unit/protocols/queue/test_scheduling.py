"""Schedules in the shard's machine: every occurrence becomes one task, whoever dispatches and whenever that ends."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmesh.errors import Backpressure, InvalidArgument, LogCorrupt
from ohmesh.model.message import Problem
from ohmesh.model.schedule import (
    CatchUp,
    ChangeSchedule,
    ListSchedules,
    Overlap,
    Schedule,
    ScheduleChange,
    SchedulePage,
    ScheduleView,
    SetSchedule,
)
from ohmesh.model.task import TaskState
from ohmesh.protocols.queue import rows as r
from ohmesh.protocols.queue import scheduling
from ohmesh.protocols.queue.events import EventFold
from ohmesh.protocols.queue.rows import decode_log_frame
from ohmesh.protocols.queue.shard import ShardConfig
from ohmesh.protocols.queue.snapshot import decode_snapshot, encode_snapshot
from ohmesh.protocols.queue.task_table import TaskTable
from tests.unit.protocols.queue.shard_driver import START_MS, ShardDriver

MINUTE_MS = 60_000
REQUESTS = count()


def schedule(name: str = "report", **fields: object) -> Schedule:
    values: dict[str, object] = {"kind": "kind", "payload": b"payload", "every_ms": MINUTE_MS}
    return Schedule(name, **(values | fields))  # type: ignore[arg-type]  # fields are named by the test


def add(
    driver: ShardDriver, name: str = "report", *, replaces: bool = False, **fields: object
) -> ScheduleView:
    wish = SetSchedule(schedule(name, **fields), replaces)
    answer = scheduling.set_schedule(driver.shard, wish, driver.now_ms)
    driver.settle()
    assert isinstance(answer, SchedulePage), answer
    return answer.schedules[0]


def change(
    driver: ShardDriver, wish: ScheduleChange, request: str = "", name: str = "report"
) -> SchedulePage:
    named = ChangeSchedule(name, wish, request or f"wish-{next(REQUESTS)}")
    answer = scheduling.change_schedule(driver.shard, named, driver.now_ms)
    driver.settle()
    assert isinstance(answer, SchedulePage), answer
    return answer


def held(driver: ShardDriver, name: str = "report") -> ScheduleView:
    answer = scheduling.list_schedules(driver.shard, ListSchedules(name))
    return answer.schedules[0]


def dues(driver: ShardDriver) -> list[int]:
    """Minutes after the start of the occurrences that became tasks."""
    made = [task.due_ms for row in driver.rows() if isinstance(row, r.ScheduleRan) for task in row.tasks]
    return [(due_ms - START_MS) // MINUTE_MS for due_ms in made]


def test_a_due_occurrence_is_an_ordinary_task() -> None:
    driver = ShardDriver()
    driver.join()
    assert add(driver, every_ms=5_000).next_due_ms == START_MS + 5_000
    driver.wait(4_999)
    assert driver.granted() == []
    driver.wait(1)
    (grant,) = driver.granted()
    assert grant.payload == b"payload"
    driver.watch(grant.task_id)
    driver.finish("host", grant)
    assert driver.heard.finished == {grant.task_id: "succeeded"}
    view = held(driver)
    assert (view.last_task_id, view.last_state, view.runs) == (grant.task_id, "succeeded", 1)
    assert view.next_due_ms == START_MS + 10_000


@settings(deadline=None, max_examples=80)
@given(
    catch_up=st.sampled_from(CatchUp),
    waits_s=st.lists(st.integers(1, 400), min_size=1, max_size=8),
    cut=st.integers(0, 30),
    by_snapshot=st.booleans(),
)
def test_whenever_a_dispatcher_ends_no_occurrence_is_lost_or_runs_twice(
    catch_up: CatchUp, waits_s: list[int], cut: int, by_snapshot: bool
) -> None:
    """After each stretch of time a dispatcher decides and ends after any number of its frames; one that never ends is
    the measure. Those cut off at once miss nothing as long as the next one is there within the same moment."""
    alone, taken_over = ShardDriver(ShardConfig(depth_tasks=10_000)), ShardDriver()
    for driver in (alone, taken_over):
        add(driver, catch_up=catch_up)
    for wait_s in waits_s:
        alone.wait(wait_s * 1000)
        frames = len(taken_over.frames)
        taken_over.wait(wait_s * 1000)
        # kill -9: what is behind the cut was decided and never appended; its successor begins with the log as it is.
        del taken_over.frames[frames + cut % (len(taken_over.frames) - frames + 1) :]
        taken_over.mirror = taken_over.replayed()
        table = None
        if by_snapshot:
            table = decode_snapshot(encode_snapshot(taken_over.replayed(), 1, b""))[0]
        taken_over.take_over(table)
        taken_over.wait(0)
    assert dues(taken_over) == dues(alone)
    ids = [t.task_id for row in taken_over.rows() if isinstance(row, r.ScheduleRan) for t in row.tasks]
    assert len(set(ids)) == len(ids)


def test_each_prefix_of_the_log_has_an_occurrence_dealt_with_or_still_due() -> None:
    driver = ShardDriver()
    add(driver)
    for _ in range(3):
        driver.wait(MINUTE_MS)
    for length in range(1, len(driver.frames) + 1):
        table = TaskTable()
        for sequence, data in enumerate(driver.frames[:length], 1):
            table.apply_all(decode_log_frame(data, sequence).rows)
        for record in table.schedules.records.values():
            made = len(table.tasks)
            assert record.next_due_ms == START_MS + (made + 1) * MINUTE_MS


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [(CatchUp.NONE, []), (CatchUp.LAST, [5]), (CatchUp.ALL, [1, 2, 3, 4, 5])],
)
def test_what_nobody_dispatched_is_caught_up_as_the_schedule_says(
    catch_up: CatchUp, expected: list[int]
) -> None:
    driver = ShardDriver(ShardConfig(schedule_late_ms=20_000))
    add(driver, catch_up=catch_up)
    driver.wait(5 * MINUTE_MS + 30_000)
    assert dues(driver) == expected
    assert held(driver).skipped == 5 - len(expected)
    driver.wait(30_000)
    assert dues(driver) == [*expected, 6]


def test_an_occurrence_that_is_a_little_late_has_not_been_missed() -> None:
    driver = ShardDriver(ShardConfig(schedule_late_ms=20_000))
    add(driver, catch_up=CatchUp.NONE)
    driver.wait(MINUTE_MS + 20_000)
    assert dues(driver) == [1]


def test_catching_up_is_bounded_and_large_payloads_come_in_several_rows() -> None:
    driver = ShardDriver(ShardConfig(step_bytes=200_000))
    add(driver, catch_up=CatchUp.ALL, payload=b"x" * 10_000)
    driver.wait(5_000 * MINUTE_MS)
    for _ in range(100):
        driver.wait(0)
    assert dues(driver) == list(range(4_001, 5_001))
    assert max(len(row.tasks) for row in driver.rows() if isinstance(row, r.ScheduleRan)) < 30
    assert driver.shard.table.schedules.records["report"].runs == 1_000


def test_with_overlap_skip_none_starts_while_the_former_one_lives() -> None:
    driver = ShardDriver()
    driver.join()
    add(driver, overlap=Overlap.SKIP)
    driver.wait(MINUTE_MS)
    for _ in range(2):
        driver.heartbeat()
        driver.wait(5_000)
    driver.now_ms += MINUTE_MS - 10_000
    driver.heartbeat()
    driver.wait(0)
    assert (dues(driver), held(driver).skipped) == ([1], 1)
    driver.finish("host", driver.granted()[0])
    driver.now_ms += MINUTE_MS - 1_000
    driver.heartbeat()
    driver.wait(1_000)
    assert dues(driver) == [1, 3]


def test_a_full_kind_keeps_an_occurrence_waiting_and_loses_none() -> None:
    driver = ShardDriver(ShardConfig(depth_tasks=1))
    driver.submit("before")
    add(driver)
    driver.wait(MINUTE_MS + 1)
    assert dues(driver) == []
    wish = ChangeSchedule("report", ScheduleChange.RUN, "w")
    refused = scheduling.change_schedule(driver.shard, wish, driver.now_ms)
    assert isinstance(refused, Problem)
    assert refused.code == Backpressure.code
    driver.cancel("before")
    driver.wait(0)
    assert dues(driver) == [1]


def test_a_paused_schedule_has_no_occurrences_and_catches_none_up() -> None:
    driver = ShardDriver()
    add(driver, catch_up=CatchUp.ALL)
    paused = change(driver, ScheduleChange.PAUSE).schedules[0]
    assert (paused.paused_ms, paused.next_due_ms) == (driver.now_ms, 0)
    driver.wait(3 * MINUTE_MS)
    driver.take_over()
    driver.wait(0)
    assert dues(driver) == []
    assert change(driver, ScheduleChange.RESUME).schedules[0].next_due_ms == START_MS + 4 * MINUTE_MS
    driver.wait(MINUTE_MS)
    assert dues(driver) == [4]


def test_a_wish_to_run_it_now_is_one_task_however_often_it_is_heard() -> None:
    driver = ShardDriver()
    add(driver)
    first = change(driver, ScheduleChange.RUN, "wish").schedules[0]
    driver.take_over()
    again = change(driver, ScheduleChange.RUN, "wish").schedules[0]
    assert again.last_task_id == first.last_task_id
    assert list(driver.shard.table.tasks) == [first.last_task_id]
    assert change(driver, ScheduleChange.RUN, "other").schedules[0].last_task_id != first.last_task_id
    assert held(driver).next_due_ms == START_MS + MINUTE_MS


def test_adding_it_again_changes_nothing_and_another_one_of_its_name_is_refused() -> None:
    driver = ShardDriver()
    first = add(driver)
    driver.wait(MINUTE_MS)
    assert add(driver).generation == first.generation
    other = scheduling.set_schedule(driver.shard, SetSchedule(schedule(priority=3)), driver.now_ms)
    assert isinstance(other, Problem)
    assert "--replace" in other.message
    change(driver, ScheduleChange.PAUSE)
    replaced = add(driver, replaces=True, priority=3)
    assert replaced.generation > first.generation
    assert (replaced.runs, replaced.paused_ms) == (1, driver.now_ms)


def test_removed_and_added_again_it_begins_anew() -> None:
    driver = ShardDriver()
    driver.join(slots=5)
    add(driver, cron="* * * * *", every_ms=0)
    driver.wait(MINUTE_MS)
    assert len(change(driver, ScheduleChange.REMOVE).schedules) == 1
    assert change(driver, ScheduleChange.REMOVE).schedules == []
    driver.wait(MINUTE_MS)
    assert len(driver.shard.table.tasks) == 1
    add(driver, cron="* * * * *", every_ms=0)
    driver.wait(MINUTE_MS)
    assert len(driver.shard.table.tasks) == 2


def test_an_id_that_somebody_else_took_costs_the_occurrence_and_not_the_shard() -> None:
    driver = ShardDriver()
    add(driver)
    record = driver.shard.table.schedules.records["report"]
    stolen = scheduling.occurrence_id(record, str(record.next_due_ms))
    driver.submit(stolen)
    driver.wait(MINUTE_MS)
    driver.wait(MINUTE_MS)
    assert dues(driver) == [2]
    assert driver.state(stolen) is TaskState.QUEUED


def test_schedules_are_listed_by_name_a_page_at_a_time_without_their_payload() -> None:
    driver = ShardDriver()
    for name in ("c", "a", "b"):
        add(driver, name=name)
    add(driver, name="d", kind="other")
    first = scheduling.list_schedules(driver.shard, ListSchedules(kind="kind", limit=2))
    assert [view.schedule.name for view in first.schedules] == ["a", "b"]
    assert (first.after, first.total) == ("b", 3)
    assert first.schedules[0].schedule.payload == b""
    assert held(driver, "a").schedule.payload == b"payload"
    rest = scheduling.list_schedules(driver.shard, ListSchedules(after=first.after))
    assert [view.schedule.name for view in rest.schedules] == ["c", "d"]
    assert rest.after == ""


def test_events_tell_of_a_schedule_and_which_tasks_are_of_it() -> None:
    driver = ShardDriver()
    add(driver, overlap=Overlap.SKIP)
    driver.wait(2 * MINUTE_MS)
    driver.wait(MINUTE_MS)
    for wish in (ScheduleChange.PAUSE, ScheduleChange.RESUME, ScheduleChange.REMOVE):
        change(driver, wish)
    fold = EventFold(0)
    told = [
        event
        for sequence, data in enumerate(driver.frames, 1)
        for event in fold.take(sequence, decode_log_frame(data, sequence))
    ]
    of_it = [(event.what, event.kind) for event in told if event.subject == "report"]
    assert of_it == [
        (f"schedule.{what}", "kind") for what in ("set", "skipped", "skipped", "paused", "resumed", "removed")
    ]
    (submitted,) = [event for event in told if event.what == "task.submitted"]
    assert submitted.data["schedule"] == "report"


@pytest.mark.parametrize(
    "bad",
    [
        schedule("no name"),
        schedule(kind=""),
        schedule(payload=b"x" * 65_537),
        schedule(every_ms=0),
        schedule(every_ms=999),
        schedule(cron="* * * * *"),
        schedule(every_ms=0, cron="61 * * * *"),
        schedule(every_ms=0, cron="* * * * *", timezone="Nowhere"),
        schedule(priority=4),
    ],
)
def test_what_cannot_be_is_refused_and_writes_nothing(bad: Schedule) -> None:
    driver = ShardDriver()
    before = len(driver.rows())
    answer = scheduling.set_schedule(driver.shard, SetSchedule(bad), driver.now_ms)
    driver.settle()
    assert isinstance(answer, Problem)
    assert answer.code == InvalidArgument.code
    assert len(driver.rows()) == before


def test_schedules_are_bounded() -> None:
    driver = ShardDriver(ShardConfig(schedules=1))
    add(driver)
    answer = scheduling.set_schedule(driver.shard, SetSchedule(schedule("second")), driver.now_ms)
    assert isinstance(answer, Problem)
    assert add(driver).generation == 1


def test_rows_that_do_not_fit_are_a_damaged_log() -> None:
    driver = ShardDriver()
    add(driver)
    for row in (
        r.ScheduleRemoved(driver.now_ms, "other", "kind"),
        r.SchedulePaused(driver.now_ms, "other", "kind", True),
        r.ScheduleRan(driver.now_ms, "other", "kind", 1, 2, []),
        r.ScheduleSet(driver.now_ms, schedule("late"), 1, 1),
    ):
        with pytest.raises(LogCorrupt):
            driver.replayed().apply(row)
