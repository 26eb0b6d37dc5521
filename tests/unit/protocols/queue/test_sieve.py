"""A question with a filter: a bounded number of tasks is looked at, and no task is passed over or shown twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ohmesh.model.message import ListTasks, TaskPage
from ohmesh.model.task import TaskView
from ohmesh.protocols.queue import queries
from ohmesh.protocols.queue.queries import Sieve
from tests.unit.protocols.queue.shard_driver import ShardDriver


def page(driver: ShardDriver, question: ListTasks, sieve: Sieve) -> TaskPage:
    answer = queries.answer(driver.shard, question, driver.now_ms, 17, sieve=sieve)
    assert isinstance(answer, TaskPage)
    return answer


@given(
    meant=st.lists(st.booleans(), max_size=30),
    limit=st.integers(1, 8),
    scan_tasks=st.integers(1, 12),
)
def test_pages_hold_every_task_that_is_meant_once_newest_first(
    meant: list[bool], limit: int, scan_tasks: int
) -> None:
    driver = ShardDriver()
    wanted = {f"t{number}" for number, is_meant in enumerate(meant) if is_meant}
    driver.submit(*(f"t{number}" for number in range(len(meant))))
    looked_at: list[TaskView] = []

    def is_meant(task: TaskView) -> bool:
        looked_at.append(task)
        return task.task_id in wanted

    seen: list[str] = []
    after, first = "", True
    while first or after:
        looked_at.clear()
        shown = page(driver, ListTasks(limit=limit, after=after), Sieve(is_meant, scan_tasks))
        assert len(shown.tasks) <= limit
        assert len(looked_at) <= scan_tasks
        assert shown.total == len(meant)
        seen += [task.task_id for task in shown.tasks]
        after, first = shown.after, False
    assert seen == sorted(wanted, key=lambda task_id: -int(task_id[1:]))


def test_kind_and_state_are_tested_first() -> None:
    driver = ShardDriver()
    driver.submit("a", "b")
    driver.submit("c", "d", kind="other")
    looked_at: list[str] = []

    def is_meant(task: TaskView) -> bool:
        looked_at.append(task.task_id)
        return task.task_id == "c"

    shown = page(driver, ListTasks(kind="other", state="queued"), Sieve(is_meant, 10))
    assert [task.task_id for task in shown.tasks] == ["c"]
    assert looked_at == ["d", "c"]


def test_a_page_of_large_results_ends_early_and_goes_on_where_it_ended() -> None:
    driver = ShardDriver()
    driver.join(slots=10)
    driver.submit(*(f"t{number}" for number in range(10)))
    for task in driver.shard.table.leases.values():
        task.value = b"x" * 150_000
    everything = Sieve(lambda task: True, 100)
    first = page(driver, ListTasks(), everything)
    assert [task.task_id for task in first.tasks] == ["t9", "t8"]
    assert [task.task_id for task in page(driver, ListTasks(after=first.after), everything).tasks] == [
        "t7",
        "t6",
    ]
