"""Dead letters are found, queued again once for each wish, and purged; nothing else is touched."""

from __future__ import annotations

import pytest

from ohmesh.errors import Backpressure, InvalidArgument, LogCorrupt
from ohmesh.model.message import (
    DEAD_LETTER,
    ChangeTasks,
    ListTasks,
    Outcomes,
    Problem,
    TaskChange,
    TasksChanged,
)
from ohmesh.model.task import Outcome, OutcomeStatus, TaskState
from ohmesh.protocols.queue import dead_letters, queries
from ohmesh.protocols.queue import rows as r
from ohmesh.protocols.queue.shard import ShardConfig
from ohmesh.protocols.queue.snapshot import decode_snapshot, encode_snapshot
from tests.unit.protocols.queue.shard_driver import ShardDriver

FAIL = OutcomeStatus.FAILED_PERMANENTLY


def change(driver: ShardDriver, change: TaskChange, *task_ids: str, **fields: object) -> TasksChanged:
    values: dict[str, object] = {"request": "wish", "task_ids": list(task_ids)}
    wish = ChangeTasks(change=change, **(values | fields))  # type: ignore[arg-type]  # fields are named by the test
    answer = dead_letters.change_tasks(driver.shard, wish, driver.now_ms)
    driver.settle()
    assert isinstance(answer, TasksChanged)
    return answer


def refused(driver: ShardDriver, **fields: object) -> str:
    values: dict[str, object] = {"change": TaskChange.REPLAY, "request": "wish"}
    wish = ChangeTasks(**(values | fields))  # type: ignore[arg-type]  # fields are named by the test
    answer = dead_letters.change_tasks(driver.shard, wish, driver.now_ms)
    assert isinstance(answer, Problem)
    assert not driver.shard.take_step()
    return answer.code


def listed(driver: ShardDriver, **fields: object) -> list[str]:
    query = ListTasks(state=DEAD_LETTER, **fields)  # type: ignore[arg-type]  # fields are named by the test
    return [task.task_id for task in queries.list_tasks(driver.shard, query).tasks]


def with_dead(*names: str, config: ShardConfig | None = None) -> ShardDriver:
    """One host, and these tasks failed for good in this order."""
    driver = ShardDriver(config)
    driver.join()
    for name in names:
        driver.submit(name)
        fail_next(driver)
    return driver


def fail_next(driver: ShardDriver) -> None:
    driver.finish("host", driver.granted()[-1], FAIL)


def test_dead_letters_are_those_that_failed_for_good_died_or_ran_out_of_time() -> None:
    driver = with_dead("failed")
    for name, status in (("dead", OutcomeStatus.FAILED), ("timed out", OutcomeStatus.TIMED_OUT)):
        driver.submit(name, max_attempts=1)
        driver.finish("host", driver.granted()[-1], status)
    driver.submit("good", "cancelled")
    driver.finish("host", driver.granted()[-1])
    driver.cancel("cancelled")
    assert listed(driver) == ["timed out", "dead", "failed"]


def test_they_are_listed_newest_first_by_kind_and_page_by_page() -> None:
    driver = with_dead("a", "b", "c")
    first = queries.list_tasks(driver.shard, ListTasks(state=DEAD_LETTER, limit=2))
    assert ([task.task_id for task in first.tasks], first.total) == (["c", "b"], 3)
    assert listed(driver, after=first.after) == ["a"]
    assert listed(driver, kind="other") == []


def test_a_replayed_task_runs_again_with_fresh_attempts_and_its_history() -> None:
    driver = with_dead("a")
    driver.wait(5_000)
    assert change(driver, TaskChange.REPLAY, "a").done == ["a"]
    task = driver.shard.table.tasks["a"]
    assert (task.state, task.attempts, task.losses) == (TaskState.RUNNING, 1, 0)
    assert [failure.kind for failure in task.failures] == ["Oops"]
    assert driver.granted()[-1].attempt == 1
    driver.finish("host", driver.granted()[-1])
    assert driver.state("a") is TaskState.SUCCEEDED
    assert listed(driver) == []
    assert driver.shard.table.ended == {TaskState.FAILED: 0, TaskState.SUCCEEDED: 1}


def test_it_waits_behind_those_that_wait_already() -> None:
    driver = with_dead("a")
    driver.submit("running", "first")
    driver.wait(9_000)
    change(driver, TaskChange.REPLAY, "a")
    driver.submit("last")
    for _ in range(3):
        driver.finish("host", driver.granted()[-1])
    assert [grant.task_id for grant in driver.granted()[1:]] == ["running", "first", "a", "last"]


def test_the_same_wish_is_one_run_even_if_the_task_failed_again_in_between() -> None:
    driver = with_dead("a")
    change(driver, TaskChange.REPLAY, "a")
    fail_next(driver)
    assert change(driver, TaskChange.REPLAY, "a").done == ["a"]
    assert change(driver, TaskChange.REPLAY, everything=True).done == []
    assert driver.state("a") is TaskState.FAILED
    assert change(driver, TaskChange.REPLAY, "a", request="another").done == ["a"]
    assert driver.state("a") is TaskState.RUNNING
    assert change(driver, TaskChange.REPLAY, "a", request="a third").too_late == ["a"]


def test_the_same_wish_is_one_run_for_a_successor_too() -> None:
    driver = with_dead("a")
    change(driver, TaskChange.REPLAY, "a")
    fail_next(driver)
    table, _, _ = decode_snapshot(encode_snapshot(driver.shard.table, 1, b""))
    driver.take_over(table)
    change(driver, TaskChange.REPLAY, "a")
    assert (driver.state("a"), listed(driver)) == (TaskState.FAILED, ["a"])


def test_each_id_is_accounted_for_once() -> None:
    driver = with_dead("dead")
    driver.submit("cancelled")
    driver.cancel("cancelled")
    driver.submit("waiting")
    answer = change(driver, TaskChange.REPLAY, "dead", "cancelled", "waiting", "nobody", "dead", "nobody")
    assert answer == TasksChanged(["dead"], ["cancelled", "waiting"], ["nobody"], answer.up_to)


def test_a_cancelled_task_may_be_retried_once_its_host_has_let_go() -> None:
    driver = ShardDriver()
    driver.join()
    driver.submit("running", "waiting")
    grant = driver.granted()[0]
    driver.cancel("running", "waiting")
    answer = change(driver, TaskChange.RETRY, "running", "waiting")
    assert (answer.done, answer.too_late) == (["waiting"], ["running"])
    driver.finish("host", grant, OutcomeStatus.CANCELLED)
    assert change(driver, TaskChange.RETRY, "running").done == ["running"]
    for _ in range(2):
        driver.finish("host", driver.granted()[-1])
    assert [grant.task_id for grant in driver.granted()] == ["running", "waiting", "running"]
    assert len(driver.shard.waiting.lanes("kind")) == 0, "what was cancelled in a lane did not come twice"


def test_what_succeeded_is_not_run_again() -> None:
    driver = ShardDriver()
    driver.join()
    driver.submit("good")
    driver.finish("host", driver.granted()[0])
    assert change(driver, TaskChange.RETRY, "good").too_late == ["good"]


def test_everything_is_done_in_parts_and_what_came_later_is_not_meant() -> None:
    names = [f"t{number}" for number in range(dead_letters.EVERYTHING_AT_ONCE + 5)]
    driver = ShardDriver()
    driver.join(slots=len(names))
    driver.submit(*names)
    failures = [Outcome(grant.lease, grant.task_id, FAIL) for grant in driver.granted()]
    driver.shard.outcomes(Outcomes("host", 1, failures), driver.now_ms)
    driver.settle()
    first = change(driver, TaskChange.PURGE_DEAD_LETTERS, everything=True)
    assert (len(first.done), first.has_more) == (dead_letters.EVERYTHING_AT_ONCE, True)
    driver.submit("later")
    fail_next(driver)
    rest = change(driver, TaskChange.PURGE_DEAD_LETTERS, everything=True, up_to=first.up_to)
    assert (rest.done, rest.has_more) == (names[-5:], False)
    assert listed(driver) == ["later"]


def test_a_purged_dead_letter_stays_as_it_ended_and_is_listed_no_more() -> None:
    driver = with_dead("a", "b")
    assert change(driver, TaskChange.PURGE_DEAD_LETTERS, "a").done == ["a"]
    assert change(driver, TaskChange.PURGE_DEAD_LETTERS, "a").done == ["a"]
    driver.take_over(decode_snapshot(encode_snapshot(driver.shard.table, 1, b""))[0])
    assert (driver.state("a"), listed(driver)) == (TaskState.FAILED, ["b"])
    assert change(driver, TaskChange.REPLAY, "a").too_late == ["a"]
    driver.submit("a")
    assert driver.state("a") is TaskState.FAILED, (
        "its id is remembered: no late retry of the submission runs it"
    )


def test_purging_a_kind_cancels_what_waits_and_leaves_what_runs() -> None:
    driver = ShardDriver()
    driver.join()
    driver.submit("running", "a", "b")
    driver.submit("delayed", due_ms=driver.now_ms + 60_000)
    driver.submit("other", kind="other")
    answer = change(driver, TaskChange.PURGE_WAITING, everything=True, kind="kind")
    assert answer.done == ["a", "b", "delayed"]
    assert [driver.state(name) for name in ("running", "other")] == [TaskState.RUNNING, TaskState.QUEUED]
    assert driver.heard.finished == dict.fromkeys(answer.done, "cancelled")
    assert driver.shard.waiting.lanes("kind") == []


def test_a_replay_into_a_full_kind_is_told_to_come_back() -> None:
    driver = with_dead("a", config=ShardConfig(depth_tasks=1))
    driver.submit("waiting")
    assert refused(driver, task_ids=["a"]) == Backpressure.code
    assert listed(driver) == ["a"]


@pytest.mark.parametrize(
    "fields",
    [
        {"request": ""},
        {"request": "x" * 65},
        {"task_ids": ["t"] * (dead_letters.MAX_CHANGES + 1)},
        {"task_ids": ["t"], "everything": True},
        {"change": TaskChange.RETRY, "everything": True},
    ],
)
def test_a_wish_that_cannot_be_meant_changes_nothing(fields: dict[str, object]) -> None:
    assert refused(with_dead("t"), **fields) == InvalidArgument.code


def test_rows_that_do_not_fit_are_a_damaged_log() -> None:
    driver = with_dead("dead")
    driver.submit("running", "waiting")
    change(driver, TaskChange.PURGE_DEAD_LETTERS, "dead")
    for row in (
        r.Requeued(driver.now_ms, ["waiting"]),
        r.Requeued(driver.now_ms, ["running"]),
        r.Requeued(driver.now_ms, ["nobody"]),
        r.Requeued(driver.now_ms, ["dead", "dead"]),
        r.DeadLettersPurged(driver.now_ms, ["dead"]),
        r.DeadLettersPurged(driver.now_ms, ["waiting"]),
    ):
        with pytest.raises(LogCorrupt):
            driver.replayed().apply(row)


def test_a_replayed_task_is_forgotten_when_its_second_end_is_old() -> None:
    driver = with_dead("a", config=ShardConfig(retention_ms=60_000))
    driver.wait(50_000)
    driver.heartbeat()
    change(driver, TaskChange.REPLAY, "a")
    driver.wait(9_000)
    fail_next(driver)
    driver.wait(50_000)
    assert listed(driver) == ["a"]
    driver.wait(11_000)
    assert "a" not in driver.shard.table.tasks
    assert listed(driver) == []
