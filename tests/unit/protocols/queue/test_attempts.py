"""Attempts: counted before hand-out, and whose fault they are counted as."""

from __future__ import annotations

import pytest

from ohmesh.model.agent import AgentSpec
from ohmesh.model.task import OutcomeStatus, TaskState
from ohmesh.protocols.queue.shard import ShardConfig
from tests.unit.protocols.queue.shard_driver import RETRY, START_MS, ShardDriver

FAILED = OutcomeStatus.FAILED


def test_an_attempt_is_in_the_log_before_its_grant_is_heard() -> None:
    driver = ShardDriver()
    driver.join()
    driver.submit("t")
    assert driver.granted()[-1].attempt == 1
    assert driver.mirror.tasks["t"].attempts == 1


def test_the_delay_before_a_retry_doubles_within_its_bounds() -> None:
    driver = ShardDriver()
    driver.join()
    driver.submit("t", max_attempts=8)
    for attempt in range(1, 8):
        driver.finish("host", driver.granted()[-1], FAILED)
        delay_ms = driver.shard.table.tasks["t"].due_ms - driver.now_ms
        bound_ms = min(RETRY.cap_ms, RETRY.base_ms * 2 ** (attempt - 1))
        assert bound_ms // 2 <= delay_ms <= bound_ms
        driver.wait(delay_ms - 1)
        assert len(driver.granted()) == attempt
        driver.wait(1)
        assert len(driver.granted()) == attempt + 1
        driver.heartbeat()


def test_a_handler_says_itself_when_it_wants_to_be_tried_again() -> None:
    driver = ShardDriver()
    driver.join()
    driver.submit("t")
    driver.finish("host", driver.granted()[-1], FAILED, retry_after_ms=7_000)
    assert driver.shard.table.tasks["t"].due_ms == START_MS + 7_000


def test_a_wish_beyond_reason_is_cut_and_stays_within_what_the_log_can_hold() -> None:
    driver = ShardDriver(ShardConfig(delay_limit_ms=60_000))
    driver.join()
    driver.submit("t")
    driver.finish("host", driver.granted()[-1], FAILED, retry_after_ms=2**64 - 1)
    assert driver.shard.table.tasks["t"].due_ms == START_MS + 60_000


def test_a_lost_host_is_not_counted_as_an_attempt() -> None:
    driver = ShardDriver(ShardConfig(losses=5))
    driver.submit("t", max_attempts=1)
    for loss in range(1, 5):
        driver.join(f"host-{loss}")
        assert driver.granted(f"host-{loss}")[-1].attempt == loss
        driver.wait(10_001)
        assert driver.state("t") is TaskState.RETRYING
    task = driver.shard.table.tasks["t"]
    assert (task.attempts, task.losses) == (0, 4)


def test_a_task_that_has_lost_too_many_hosts_is_given_up() -> None:
    driver = ShardDriver(ShardConfig(losses=3))
    driver.submit("t")
    for loss in range(3):
        driver.join(f"host-{loss}")
        driver.wait(10_001)
    assert driver.heard.finished == {"t": TaskState.DEAD}
    failure = driver.heard.results["t"].failure
    assert failure is not None
    assert (failure.kind, "silent" in failure.message) == ("worker_lost", True)


def test_handing_back_is_never_counted() -> None:
    driver = ShardDriver()
    driver.join()
    driver.submit("t", max_attempts=1)
    for _ in range(30):
        driver.finish("host", driver.granted()[-1], OutcomeStatus.RETURNED)
    driver.finish("host", driver.granted()[-1])
    assert driver.heard.results["t"].attempts == 1


@pytest.mark.parametrize("own", [0, 1, 3])
def test_attempts_are_those_of_the_task_else_of_its_agent_else_of_the_mesh(own: int) -> None:
    driver = ShardDriver(ShardConfig(max_attempts=4))
    driver.report("host", specs=[AgentSpec("host/agent", "kind", (), 1, 0, 2)])
    driver.submit("t", max_attempts=own)
    for _ in range(10):
        if driver.state("t") is TaskState.RUNNING:
            driver.finish("host", driver.granted()[-1], FAILED)
        driver.wait(1_000)
        driver.report("host", specs=[AgentSpec("host/agent", "kind", (), 1, 0, 2)], number=99)
    assert driver.heard.results["t"].attempts == (own or 2)


def test_a_successor_knows_the_attempts_of_a_kind_before_its_host_has_reported() -> None:
    """An outcome may come first; a kind that allows one attempt must not get the mesh's four."""
    driver = ShardDriver()
    driver.report("host", specs=[AgentSpec("host/agent", "kind", (), 1, 0, 1)])
    driver.submit("t")
    driver.take_over()
    driver.finish("host", driver.granted()[-1], FAILED)
    assert driver.state("t") is TaskState.DEAD


def test_a_timeout_is_that_of_the_task_else_of_its_agent_else_of_the_mesh() -> None:
    driver = ShardDriver(ShardConfig(timeout_ms=30_000))
    driver.report("host", specs=[AgentSpec("host/agent", "kind", (), 2, 7_000)])
    driver.report("other", specs=[AgentSpec("other/agent", "plain", (), 1)])
    driver.submit("own", timeout_ms=5_000)
    driver.submit("agent's")
    driver.submit("mesh's", kind="plain")
    timeouts = {grant.task_id: grant.timeout_ms for grant in driver.granted() + driver.granted("other")}
    assert timeouts == {"own": 5_000, "agent's": 7_000, "mesh's": 30_000}


def test_only_the_last_failures_are_kept() -> None:
    driver = ShardDriver()
    driver.join()
    driver.submit("t", max_attempts=30)
    for _ in range(15):
        driver.finish("host", driver.granted()[-1], FAILED)
        driver.wait(1_000)
        driver.heartbeat()
    assert len(driver.shard.table.tasks["t"].failures) == 10
