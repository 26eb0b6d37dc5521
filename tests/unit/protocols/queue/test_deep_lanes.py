"""Lanes that are deep hold their tasks packed: these start in the order that they would have otherwise."""

from __future__ import annotations

import pytest

from ohmesh.model.message import ChangeTasks, TaskChange, TasksChanged
from ohmesh.model.task import Grant, OutcomeStatus
from ohmesh.protocols.queue import dead_letters
from ohmesh.protocols.queue.parked import Parking
from ohmesh.protocols.queue.shard import ShardConfig
from tests.unit.protocols.queue.shard_driver import ShardDriver

ALL = Parking(delay_ms=0, waiting=0)
BEYOND_TEN = Parking(delay_ms=0, waiting=10)


def driver_with(parking: Parking) -> ShardDriver:
    return ShardDriver(ShardConfig(parking=parking))


def names(grants: list[Grant]) -> list[str]:
    return [grant.task_id for grant in grants]


def submit(driver: ShardDriver, count: int) -> list[str]:
    ids = [f"t{number:05d}" for number in range(count)]
    driver.submit(*ids)
    return ids


@pytest.mark.parametrize("parking", [ALL, BEYOND_TEN])
def test_what_was_cancelled_is_passed_over_and_the_others_keep_their_order(parking: Parking) -> None:
    driver = driver_with(parking)
    ids = submit(driver, 60)
    driver.cancel(*(task_id for number, task_id in enumerate(ids) if number % 3))
    assert driver.shard.table.parked.count >= 10
    driver.submit("later", "latest")  # they may be held where those were that were cancelled
    driver.join(slots=60)
    assert names(driver.granted()) == [*ids[::3], "later", "latest"]
    assert driver.shard.table.parked.count == 0


@pytest.mark.parametrize("parking", [ALL, BEYOND_TEN])
def test_thousands_that_were_cancelled_do_not_stay(parking: Parking) -> None:
    driver = driver_with(parking)
    ids = submit(driver, 4_000)
    driver.cancel(*ids[:3_900])
    (lane,) = driver.shard.waiting.lanes("kind")
    assert len(lane) == 100
    driver.join(slots=50)
    assert names(driver.granted()) == ids[3_900:3_950]


def test_those_in_front_and_behind_start_as_they_were_submitted() -> None:
    driver = driver_with(BEYOND_TEN)
    ids = submit(driver, 25)
    driver.join(
        slots=12
    )  # those that stand in front now are fewer than ten, so the next ones are objects again
    more = [f"u{number}" for number in range(15)]
    driver.submit(*more)
    table = driver.shard.table
    assert 0 < table.parked.count < 28
    for _ in range(40):
        for grant in driver.granted()[-12:]:
            if grant.lease in table.leases:
                driver.finish("host", grant)
    assert names(driver.granted()) == [*ids, *more]


def test_what_is_handed_back_stands_before_those_that_are_packed() -> None:
    driver = driver_with(ALL)
    ids = submit(driver, 8)
    driver.join(slots=2)
    first, second = driver.granted()
    driver.finish("host", second, OutcomeStatus.RETURNED)
    assert names(driver.granted()) == [ids[0], ids[1], ids[1]]
    driver.finish("host", first)
    assert names(driver.granted())[-1] == ids[2]


def test_the_highest_rank_of_all_that_are_packed_is_first() -> None:
    driver = driver_with(ALL)
    driver.submit("low", priority=0)
    driver.submit("high", priority=2)
    driver.submit("normal", "normal too")
    driver.submit("gpu", priority=3, requires=("gpu",))
    driver.join(slots=2)
    driver.join("capable", slots=9, capabilities=("gpu",))
    assert names(driver.granted()) == ["high", "normal"]
    assert names(driver.granted("capable")) == ["gpu", "normal too", "low"]


def test_what_is_due_starts_as_it_became_due() -> None:
    driver = driver_with(ALL)
    for number in (3, 1, 2, 5, 4):
        driver.submit(f"t{number}", due_ms=driver.now_ms + number * 40_000)
    driver.cancel("t4")
    driver.wait(300_000)
    driver.join(slots=9)
    assert names(driver.granted()) == ["t1", "t2", "t3", "t5"]


def test_an_envelope_that_was_packed_is_opened_for_who_takes_none() -> None:
    driver = driver_with(ALL)
    driver.submit("e", payload=b"\x92\xc4\x01a\xc4\x01b", items=2)
    driver.submit("t")
    driver.join(slots=9, takes_envelopes=False)
    assert sorted(names(driver.granted())) == ["e.0", "e.1", "t"]


def test_everything_that_waits_is_purged_packed_or_not() -> None:
    driver = driver_with(BEYOND_TEN)
    ids = submit(driver, 30)
    driver.submit("delayed", due_ms=driver.now_ms + 10**6)
    wish = ChangeTasks(TaskChange.PURGE_WAITING, "wish", everything=True)
    answer = dead_letters.change_tasks(driver.shard, wish, driver.now_ms)
    driver.settle()
    assert isinstance(answer, TasksChanged)
    assert answer.done == [*ids, "delayed"]
    assert driver.heard.finished == dict.fromkeys([*ids, "delayed"], "cancelled")
    assert (driver.shard.table.parked.count, driver.shard.waiting.lanes("kind")) == (0, [])


def test_who_watches_a_packed_task_hears_its_end_and_leaves_it_packed() -> None:
    driver = driver_with(ALL)
    driver.submit("t", client="one")
    driver.watch("t", client="two")
    driver.submit("t", client="two")
    assert driver.shard.table.parked.count == 1
    driver.cancel("t")
    told = [client for step in driver.steps for client, news in step.clients.items() if news.finished]
    assert sorted(told) == ["one", "two"]


def test_a_failed_task_that_waits_for_long_is_packed_with_its_failures() -> None:
    driver = driver_with(Parking(delay_ms=60_000))
    driver.join()
    driver.submit("t")
    driver.finish("host", driver.granted()[-1], OutcomeStatus.FAILED, retry_after_ms=90_000)
    assert driver.shard.table.parked.count == 1
    task = driver.shard.table.find("t")
    assert task is not None
    assert (task.attempts, task.failures[0].kind) == (1, "Oops")
    driver.wait(90_000)
    driver.heartbeat()
    assert (len(driver.granted()), driver.granted()[-1].attempt) == (2, 2)
