"""What is kept and for how long: bounds by age and by number, and leases past all bounds."""

from __future__ import annotations

from ohmesh.model.task import OutcomeStatus, TaskState
from ohmesh.protocols.queue import hosting
from ohmesh.protocols.queue.rows import Forgotten, HorizonMoved
from ohmesh.protocols.queue.shard import ShardConfig
from tests.unit.protocols.queue.shard_driver import ShardDriver


def ended(driver: ShardDriver, count: int, prefix: str = "t") -> list[str]:
    ids = [f"{prefix}{number}" for number in range(count)]
    driver.submit(*ids)
    driver.cancel(*ids)
    return ids


def test_an_ended_task_is_held_for_its_retention() -> None:
    driver = ShardDriver(ShardConfig(retention_ms=5_000))
    ended(driver, 1)
    driver.wait(4_999)
    assert list(driver.shard.table.tasks) == ["t0"]
    driver.wait(1)
    assert driver.shard.table.tasks == {}


def test_no_more_ended_tasks_are_held_than_the_bound_and_the_newest_stay() -> None:
    driver = ShardDriver(ShardConfig(retained_tasks=3))
    ended(driver, 10)
    driver.wait(250)
    assert list(driver.shard.table.tasks) == ["t7", "t8", "t9"]


def test_what_is_above_the_bounds_goes_at_once_however_much_it_is() -> None:
    """Else a shard that ends more tasks a second than one batch would grow for ever."""
    driver = ShardDriver(ShardConfig(retained_tasks=5, horizon_tasks=5, forget_batch=10))
    ended(driver, 500)
    driver.wait(250)
    assert (len(driver.shard.table.tasks), len(driver.shard.table.forgotten)) == (5, 5)


def test_age_alone_ends_a_batch_at_a_time() -> None:
    driver = ShardDriver(ShardConfig(retention_ms=1_000, forget_batch=10))
    ended(driver, 25)
    driver.wait(1_000)
    assert len(driver.shard.table.tasks) == 15
    assert [row.count for row in driver.rows() if isinstance(row, Forgotten)] == [10]


def test_ids_are_remembered_up_to_the_horizon() -> None:
    driver = ShardDriver(ShardConfig(retention_ms=1_000, horizon_ms=5_000))
    ended(driver, 3)
    ended_ms = driver.now_ms
    driver.wait(1_000)
    driver.wait(3_999)
    assert all(f"t{number}" in driver.shard.table.forgotten for number in range(3))
    driver.wait(1)
    assert len(driver.shard.table.forgotten) == 0
    assert "t0" not in driver.shard.table.forgotten
    assert driver.shard.table.horizon_ms == ended_ms
    assert [row.count for row in driver.rows() if isinstance(row, HorizonMoved)] == [3]


def test_a_task_that_has_not_ended_is_never_forgotten() -> None:
    driver = ShardDriver(ShardConfig(retention_ms=1, retained_tasks=0, horizon_ms=1, lease_ms=10_000))
    driver.join()
    driver.submit("running", "queued")
    driver.submit("later", due_ms=driver.now_ms + 50_000)
    for _ in range(10):
        driver.wait(1_000)
        driver.heartbeat()
    assert list(driver.shard.table.tasks) == ["running", "queued", "later"]


def test_a_cancelled_task_is_held_while_its_host_still_runs_it() -> None:
    driver = ShardDriver(ShardConfig(retention_ms=1_000))
    driver.join()
    driver.submit("t")
    driver.cancel("t")
    driver.wait(2_000)
    assert driver.state("t") is TaskState.CANCELLED
    driver.finish("host", driver.granted()[-1], OutcomeStatus.CANCELLED)
    driver.wait(1)
    assert driver.shard.table.tasks == {}


def test_kinds_are_forgotten_with_their_tasks() -> None:
    driver = ShardDriver(ShardConfig(retention_ms=1_000))
    for number in range(20):
        driver.submit(f"t{number}", kind=f"kind-{number}")
        driver.cancel(f"t{number}")
    driver.submit("alive", kind="kind-7")
    driver.wait(1_000)
    assert list(driver.shard.table.depth) == ["kind-7"]


def test_a_lease_is_not_overrun_by_the_time_in_which_its_host_could_not_be_heard() -> None:
    """What ended meanwhile is on its way; voiding it now would do the work again."""
    driver = ShardDriver(ShardConfig(timeout_ms=1_000, overrun_ms=5_000))
    driver.join()
    driver.submit("t")
    driver.now_ms += 600_000
    hosting.excuse(driver.shard, driver.now_ms, missed_ms=None)
    driver.wait(0)
    driver.finish("host", driver.granted()[-1])
    assert driver.state("t") is TaskState.SUCCEEDED


def test_a_successor_gives_old_leases_the_time_to_be_heard_of() -> None:
    driver = ShardDriver(ShardConfig(timeout_ms=1_000, overrun_ms=5_000))
    driver.join()
    driver.submit("t")
    driver.now_ms += 600_000
    driver.take_over()
    driver.wait(100)
    driver.finish("host", driver.granted()[-1])
    assert driver.state("t") is TaskState.SUCCEEDED
