"""Every arrow of the picture at the head of shard.py, and that there are no others."""

from __future__ import annotations

import pytest

from ohmesh.model.task import FINAL_STATES, Grant, OutcomeStatus, TaskState
from ohmesh.protocols.queue.shard import ShardConfig
from tests.unit.protocols.queue.shard_driver import ShardDriver

QUEUED, RUNNING, RETRYING = TaskState.QUEUED, TaskState.RUNNING, TaskState.RETRYING
ALL_OUTCOMES = list(OutcomeStatus)


def running(max_attempts: int = 0) -> tuple[ShardDriver, Grant]:
    driver = ShardDriver()
    driver.join()
    driver.submit("t", max_attempts=max_attempts)
    return driver, driver.granted()[-1]


def test_a_submitted_task_is_queued_and_confirmed() -> None:
    driver = ShardDriver()
    driver.submit("t")
    assert driver.state("t") is QUEUED
    assert driver.heard.accepted == ["t"]


def test_a_task_is_granted_to_an_agent_with_a_free_slot() -> None:
    driver, grant = running()
    assert driver.state("t") is RUNNING
    assert (grant.task_id, grant.agent, grant.attempt, grant.payload) == ("t", "agent", 1, b"payload")


def test_a_success_ends_the_task_and_is_told_with_its_value() -> None:
    driver, grant = running()
    driver.finish("host", grant)
    assert driver.state("t") is TaskState.SUCCEEDED
    assert driver.heard.values == {"t": b"value"}
    assert driver.heard.settled["host"] == [grant.lease]


@pytest.mark.parametrize("status", [OutcomeStatus.FAILED, OutcomeStatus.TIMED_OUT, OutcomeStatus.CRASHED])
def test_a_failed_attempt_is_tried_again_after_a_while(status: OutcomeStatus) -> None:
    driver, grant = running()
    driver.finish("host", grant, status)
    assert driver.state("t") is RETRYING
    assert len(driver.granted()) == 1
    driver.wait(1_000)
    assert driver.state("t") is RUNNING
    assert driver.granted()[-1].attempt == 2


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (OutcomeStatus.FAILED, TaskState.DEAD),
        (OutcomeStatus.CRASHED, TaskState.DEAD),
        (OutcomeStatus.TIMED_OUT, TaskState.TIMED_OUT),
    ],
)
def test_the_last_attempt_decides_how_a_task_ends(status: OutcomeStatus, state: TaskState) -> None:
    driver, grant = running(max_attempts=2)
    driver.finish("host", grant, OutcomeStatus.FAILED)
    driver.wait(1_000)
    driver.finish("host", driver.granted()[-1], status)
    assert driver.heard.finished == {"t": state}
    assert driver.heard.results["t"].attempts == 2


def test_a_permanent_failure_is_not_tried_again() -> None:
    driver, grant = running()
    driver.finish("host", grant, OutcomeStatus.FAILED_PERMANENTLY)
    assert driver.heard.finished == {"t": TaskState.FAILED}
    failure = driver.heard.results["t"].failure
    assert failure is not None
    assert failure.message == "it broke"


@pytest.mark.parametrize("status", [OutcomeStatus.RETURNED, OutcomeStatus.CANCELLED])
def test_a_task_that_is_handed_back_waits_again_at_once(status: OutcomeStatus) -> None:
    driver, grant = running()
    driver.join(slots=0)
    driver.finish("host", grant, status)
    assert driver.state("t") is QUEUED
    driver.join()
    assert driver.granted()[-1].attempt == 1


def test_a_task_whose_host_is_lost_waits_again_at_once() -> None:
    driver, _ = running()
    driver.wait(10_001)
    assert driver.state("t") is RETRYING
    driver.join("other")
    assert driver.granted("other")[-1].task_id == "t"


def test_a_queued_task_that_is_cancelled_never_starts() -> None:
    driver = ShardDriver()
    driver.submit("t")
    driver.cancel("t")
    driver.join()
    assert driver.state("t") is TaskState.CANCELLED
    assert driver.heard.finished == {"t": TaskState.CANCELLED}
    assert driver.granted() == []


@pytest.mark.parametrize("due_in_ms", [0, 500])
def test_a_waiting_task_that_is_cancelled_never_starts(due_in_ms: int) -> None:
    driver, grant = running()
    driver.submit("later", due_ms=driver.now_ms + due_in_ms)
    driver.cancel("later")
    driver.finish("host", grant, OutcomeStatus.FAILED)
    driver.cancel("t")
    driver.wait(5_000)
    assert driver.granted() == [grant]
    assert driver.heard.cancelled == ["later", "t"]


def test_a_running_task_that_is_cancelled_ends_at_once_and_its_slot_when_the_host_lets_go() -> None:
    driver, grant = running()
    driver.cancel("t")
    driver.submit("next")
    assert driver.heard.finished == {"t": TaskState.CANCELLED}
    assert driver.heard.revoked["host"] == [grant.lease]
    assert driver.granted() == [grant]
    driver.finish("host", grant, OutcomeStatus.CANCELLED)
    assert driver.granted()[-1].task_id == "next"


@pytest.mark.parametrize("status", ALL_OUTCOMES)
def test_what_a_cancelled_attempt_brings_changes_nothing(status: OutcomeStatus) -> None:
    driver, grant = running()
    driver.cancel("t")
    driver.finish("host", grant, status)
    assert driver.state("t") is TaskState.CANCELLED
    assert driver.shard.table.leases == {}
    assert driver.heard.settled["host"] == [grant.lease]


@pytest.mark.parametrize("status", ALL_OUTCOMES)
def test_what_a_replaced_attempt_brings_is_refused_and_settled(status: OutcomeStatus) -> None:
    driver, zombie = running()
    driver.wait(10_001)
    driver.join("other")
    driver.finish("host", zombie, status)
    assert driver.state("t") is RUNNING
    assert driver.heard.settled["host"] == [zombie.lease]
    assert driver.shard.stale_outcomes == 1
    driver.finish("other", driver.granted("other")[-1])
    assert driver.state("t") is TaskState.SUCCEEDED


def test_an_outcome_that_is_repeated_counts_once() -> None:
    driver, grant = running()
    driver.finish("host", grant)
    driver.finish("host", grant, OutcomeStatus.FAILED)
    assert driver.state("t") is TaskState.SUCCEEDED
    assert driver.heard.settled["host"] == [grant.lease] * 2


def test_a_task_that_has_ended_cannot_be_cancelled() -> None:
    driver, grant = running()
    driver.finish("host", grant)
    driver.cancel("t", "never-heard-of")
    assert driver.heard.too_late == ["t"]
    assert driver.heard.not_cancellable == ["never-heard-of"]
    assert driver.state("t") is TaskState.SUCCEEDED


def test_cancelling_twice_is_answered_twice_and_done_once() -> None:
    driver, grant = running()
    driver.cancel("t", "t")
    driver.cancel("t")
    assert driver.heard.cancelled == ["t", "t"]
    assert driver.heard.revoked["host"] == [grant.lease]


def test_a_lease_that_its_host_never_ends_is_void_in_the_end() -> None:
    """Its host goes on reporting it; timeout and overrun are past."""
    driver = ShardDriver(ShardConfig(timeout_ms=5_000, overrun_ms=10_000, lease_ms=10_000))
    driver.join(slots=1)
    driver.submit("t")
    lease = driver.granted()[-1].lease
    for _ in range(3):
        driver.wait(5_000)
        driver.heartbeat(slots=0)
        assert driver.state("t") is RUNNING
    driver.wait(1)
    assert driver.state("t") is RETRYING
    assert driver.heard.revoked["host"] == [lease]


@pytest.mark.parametrize("state", sorted(FINAL_STATES))
def test_an_end_is_final_whatever_else_happens(state: TaskState) -> None:
    driver, grant = running(max_attempts=1)
    ending = {
        TaskState.SUCCEEDED: OutcomeStatus.SUCCEEDED,
        TaskState.FAILED: OutcomeStatus.FAILED_PERMANENTLY,
        TaskState.DEAD: OutcomeStatus.FAILED,
        TaskState.TIMED_OUT: OutcomeStatus.TIMED_OUT,
    }
    if state is TaskState.CANCELLED:
        driver.cancel("t")
    driver.finish("host", grant, ending.get(state, OutcomeStatus.RETURNED))
    for status in ALL_OUTCOMES:
        driver.finish("host", grant, status)
    driver.cancel("t")
    driver.submit("t")
    driver.wait(60_000)
    driver.take_over()
    assert driver.state("t") is state
