"""What a shard answers to questions: pages that fit a message, hosts that are away too."""

from __future__ import annotations

import msgspec
import pytest

from ohmesh.model.agent import Liveness
from ohmesh.model.message import Describe, HostPage, ListHosts, ListTasks, Problem, ShardDescription, TaskPage
from ohmesh.model.task import OutcomeStatus
from ohmesh.protocols.queue import queries
from tests.unit.protocols.queue.shard_driver import ShardDriver


def ask(driver: ShardDriver, question: ListTasks | ListHosts | Describe) -> object:
    return queries.answer(driver.shard, question, driver.now_ms, 17)


def page(driver: ShardDriver, question: ListTasks) -> TaskPage:
    answer = ask(driver, question)
    assert isinstance(answer, TaskPage)
    return answer


def with_results(count: int, value: bytes) -> ShardDriver:
    driver = ShardDriver()
    driver.join(slots=count)
    driver.submit(*(f"t{number}" for number in range(count)))
    for task in list(driver.shard.table.leases.values()):
        task.value = value
    return driver


def test_pages_follow_each_other_newest_first_and_miss_nothing() -> None:
    driver = ShardDriver()
    driver.submit(*(f"t{number}" for number in range(7)))
    seen: list[str] = []
    after, pages = "", 0
    while pages == 0 or after:
        shown = page(driver, ListTasks(limit=3, after=after))
        seen += [task.task_id for task in shown.tasks]
        after, pages = shown.after, pages + 1
    assert seen == [f"t{number}" for number in range(6, -1, -1)]
    assert pages == 3


def test_pages_are_filtered_by_kind_and_state() -> None:
    driver = ShardDriver()
    driver.join()
    driver.submit("a", "b")
    driver.submit("c", kind="other")
    driver.finish("host", driver.granted()[0], OutcomeStatus.FAILED_PERMANENTLY)
    assert [task.task_id for task in page(driver, ListTasks(kind="other")).tasks] == ["c"]
    assert [task.task_id for task in page(driver, ListTasks(state="failed")).tasks] == ["a"]


def test_a_page_of_large_results_ends_early_and_fits_one_message() -> None:
    driver = with_results(30, b"x" * 100_000)
    seen: list[str] = []
    after, first = "", True
    while first or after:
        shown = page(driver, ListTasks(after=after))
        assert len(msgspec.msgpack.encode(shown)) < 900_000
        seen += [task.task_id for task in shown.tasks]
        after, first = shown.after, False
    assert len(seen) == len(set(seen)) == 30


def test_tasks_asked_for_by_id_are_all_shown_the_last_ones_without_their_value() -> None:
    driver = with_results(30, b"x" * 100_000)
    shown = page(driver, ListTasks(task_ids=[f"t{number}" for number in range(30)] + ["unknown"]))
    assert len(shown.tasks) == 30
    assert len(msgspec.msgpack.encode(shown)) < 900_000
    assert (len(shown.tasks[0].value), shown.tasks[0].value_omitted_bytes) == (100_000, 0)
    assert (len(shown.tasks[-1].value), shown.tasks[-1].value_omitted_bytes) == (0, 100_000)


@pytest.mark.parametrize("cursor", ["x", "-1", "1.5", "²"])
def test_a_cursor_that_is_none_is_a_problem_and_not_a_crash(cursor: str) -> None:
    assert isinstance(ask(ShardDriver(), ListTasks(after=cursor)), Problem)


def test_hosts_are_shown_while_they_are_away_too() -> None:
    driver = ShardDriver()
    driver.join("gone")
    driver.join("left")
    driver.join("left", leaving=True)
    driver.wait(10_001)
    driver.join("here", slots=3)
    driver.submit("t")
    answer = ask(driver, ListHosts())
    assert isinstance(answer, HostPage)
    shown = {host.host: (host.liveness, host.running, host.slots, host.kinds) for host in answer.hosts}
    assert shown == {
        "gone": (Liveness.OFFLINE, 0, 0, ("kind",)),
        "left": (Liveness.LEFT, 0, 0, ("kind",)),
        "here": (Liveness.ACTIVE, 1, 3, ("kind",)),
    }


def test_a_host_that_has_not_reported_to_a_successor_yet_shows_what_it_announced() -> None:
    driver = ShardDriver()
    driver.join()
    driver.take_over()
    answer = ask(driver, ListHosts())
    assert isinstance(answer, HostPage)
    assert [spec.agent for spec in answer.hosts[0].agents] == ["host/agent"]


def test_a_shard_describes_itself_in_numbers() -> None:
    driver = ShardDriver()
    driver.join()
    driver.submit("a", "b", "c")
    driver.finish("host", driver.granted()[0], OutcomeStatus.FAILED)
    driver.cancel("c")
    answer = ask(driver, Describe())
    assert isinstance(answer, ShardDescription)
    assert (answer.epoch, answer.owner, answer.last_sequence) == (1, "process-1", 17)
    assert answer.depth == {"kind": (0, 1, 1)}
    assert (answer.states, answer.hosts) == ({"cancelled": 1}, 1)
