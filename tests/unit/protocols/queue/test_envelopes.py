"""Envelopes in a shard, scene by scene; test_shard_machine.py plays them against everything else at random."""

from __future__ import annotations

from ohmesh.model.agent import Duty
from ohmesh.model.envelope import item_id, join, split
from ohmesh.model.limit import KindLimit
from ohmesh.model.message import LimitKind, ListTasks, Outcomes
from ohmesh.model.task import (
    Grant,
    ItemFailure,
    OpenedItems,
    Outcome,
    OutcomeStatus,
    TaskFailure,
    TaskState,
)
from ohmesh.protocols.queue import limiting, queries
from ohmesh.protocols.queue.rows import Opened, Succeeded
from tests.unit.protocols.queue.shard_driver import ShardDriver

QUEUED, RUNNING, RETRYING = TaskState.QUEUED, TaskState.RUNNING, TaskState.RETRYING
SUCCEEDED, CANCELLED = TaskState.SUCCEEDED, TaskState.CANCELLED


def one(number: int) -> bytes:
    return bytes([number])


def with_envelope(items: int = 4, *, slots: int = 20, takes_envelopes: bool = True) -> ShardDriver:
    driver = ShardDriver()
    driver.join(slots=slots, takes_envelopes=takes_envelopes)
    driver.submit("e", payload=join(map(one, range(items)), items), items=items)
    return driver


def end(
    driver: ShardDriver, grant: Grant, status: OutcomeStatus, value: bytes, opened: OpenedItems | None = None
) -> None:
    outcome = Outcome(grant.lease, grant.task_id, status, value, None, 5, 6, opened=opened)
    driver.shard.outcomes(Outcomes("host", 1, [outcome]), driver.now_ms)
    driver.settle()


def state_of(driver: ShardDriver, index: int) -> TaskState:
    task = driver.shard.table.find(item_id("e", index))
    assert task is not None
    return task.state


def test_an_envelope_that_succeeds_is_one_row_and_every_item_has_its_value() -> None:
    driver = with_envelope()
    (grant,) = driver.granted()
    assert (grant.items, split(grant.payload)) == (4, [one(n) for n in range(4)])
    end(driver, grant, OutcomeStatus.SUCCEEDED, join([b"\x07", b"\x08", b"\x09", b"\x0a"], 4))
    assert sum(isinstance(row, Succeeded) for row in driver.rows()) == 1
    item = driver.shard.table.find("e.2")
    assert item is not None
    assert (item.state, item.value) == (SUCCEEDED, b"\x09")
    assert driver.shard.table.find("e.4") is None
    assert driver.shard.table.ended[SUCCEEDED] == 4
    driver.watch("e.3")
    assert driver.heard.values["e.3"] == b"\x0a"


def test_one_that_fails_is_a_task_of_its_own_that_waits_for_its_next_attempt() -> None:
    driver = with_envelope()
    failed = [ItemFailure(1, OutcomeStatus.FAILED, TaskFailure("E", "oops"))]
    end(driver, driver.granted()[0], OutcomeStatus.OPENED, join([b"\x07"], 1), OpenedItems([0], failed))
    assert [state_of(driver, index) for index in range(4)] == [SUCCEEDED, RETRYING, RUNNING, RUNNING]
    assert driver.heard.results["e"].opened == (1, 2, 3)
    assert [grant.task_id for grant in driver.granted()[1:]] == ["e.2", "e.3"], "at once, one by one"
    (task,) = [driver.shard.table.tasks["e.1"]]
    assert (task.attempts, task.failures) == (1, (TaskFailure("E", "oops"),))


def test_a_host_that_dies_takes_no_result_along_and_each_item_counts_the_loss() -> None:
    driver = with_envelope()
    driver.wait(10_001)
    assert [state_of(driver, index) for index in range(4)] == [RETRYING] * 4
    assert all(driver.shard.table.tasks[f"e.{index}"].losses == 1 for index in range(4))
    assert isinstance(driver.rows()[-2], Opened)


def test_a_host_that_takes_no_envelopes_gets_the_items_one_by_one_in_their_order() -> None:
    driver = with_envelope(takes_envelopes=False)
    assert [(grant.task_id, grant.items) for grant in driver.granted()] == [(f"e.{n}", 0) for n in range(4)]


def test_a_limited_kind_counts_items() -> None:
    driver = ShardDriver()
    limiting.limit_kind(driver.shard, LimitKind("kind", KindLimit(concurrency=2)), driver.now_ms)
    driver.join(slots=20, takes_envelopes=True)
    driver.submit("e", payload=join(map(one, range(4)), 4), items=4)
    assert [grant.task_id for grant in driver.granted()] == ["e.0", "e.1"]


def test_an_item_that_waits_is_cancelled_alone() -> None:
    driver = with_envelope(slots=0)
    driver.cancel("e.2")
    assert driver.heard.cancelled == ["e.2"]
    assert [state_of(driver, index) for index in range(4)] == [QUEUED, QUEUED, CANCELLED, QUEUED]


def test_an_item_that_is_cancelled_while_its_envelope_runs_has_no_result_whatever_comes() -> None:
    driver = with_envelope()
    driver.cancel("e.1")
    assert (state_of(driver, 1), state_of(driver, 0)) == (CANCELLED, RUNNING)
    assert driver.heard.revoked["host"] == [driver.granted()[0].lease]
    end(driver, driver.granted()[0], OutcomeStatus.SUCCEEDED, join(map(one, range(4)), 4))
    assert [state_of(driver, index) for index in range(4)] == [SUCCEEDED, CANCELLED, SUCCEEDED, SUCCEEDED]
    item = driver.shard.table.find("e.3")
    assert item is not None
    assert item.value == one(3)


def test_an_envelope_takes_as_many_slots_as_its_size_is_worth() -> None:
    driver = ShardDriver()
    driver.join(slots=4, takes_envelopes=True)
    for name in ("e", "f", "g"):
        driver.submit(name, payload=join([one(1)] * 64, 64), items=64)
    assert [grant.task_id for grant in driver.granted()] == ["e", "f"], (
        "three slots each, the last may overflow"
    )


def test_a_page_lists_items_newest_first_and_goes_on_in_the_midst_of_an_envelope() -> None:
    driver = with_envelope(slots=0)
    driver.submit("last")
    first = queries.list_tasks(driver.shard, ListTasks(limit=3))
    assert [view.task_id for view in first.tasks] == ["last", "e.3", "e.2"]
    assert first.total == 5
    rest = queries.list_tasks(driver.shard, ListTasks(limit=3, after=first.after))
    assert [view.task_id for view in rest.tasks] == ["e.1", "e.0"]


def test_an_account_that_cannot_be_opens_the_envelope_with_nothing_done() -> None:
    for opened, value in (
        (OpenedItems([0, 0]), join([one(1), one(1)], 2)),
        (OpenedItems([9]), join([one(1)], 1)),
        (OpenedItems([0, 1]), join([one(1)], 1)),
        (OpenedItems([0]), b"nonsense"),
    ):
        driver = with_envelope()
        end(driver, driver.granted()[0], OutcomeStatus.OPENED, value, opened)
        assert driver.shard.table.ended[SUCCEEDED] == 0
        assert all(state_of(driver, index) is RUNNING for index in range(4))


def test_a_host_that_drains_hands_an_envelope_back_as_it_is() -> None:
    driver = with_envelope()
    grant = driver.granted()[0]
    driver.report("host", specs=[], duty=Duty.DRAINING, held=[grant.lease], number=1, takes_envelopes=True)
    end(driver, grant, OutcomeStatus.RETURNED, b"")
    assert driver.state("e") is QUEUED
