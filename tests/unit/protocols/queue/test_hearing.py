"""A host that beats and does not hear is granted nothing, and what never reached it is done by others."""

from __future__ import annotations

import pytest

from ohmesh.model.explanation import Verdict
from ohmesh.model.task import TaskState
from ohmesh.protocols.queue import hosting
from ohmesh.protocols.queue.explanation import explain
from tests.unit.protocols.queue.shard_driver import ShardDriver

LEASE_MS, BEAT_MS = 10_000, 5_000


def beat(driver: ShardDriver, *, number: int, held: list[int] | None = None, slots: int = 2) -> None:
    driver.wait(BEAT_MS)
    driver.join(slots=slots, held=held or [], number=number)


def deaf() -> ShardDriver:
    """Two slots, one task granted, and beats of a whole lease that name no frame."""
    driver = ShardDriver()
    driver.join(slots=2)
    driver.submit("t")
    for _ in range(LEASE_MS // BEAT_MS + 1):
        beat(driver, number=0)
    return driver


def test_a_beating_host_that_hears_nothing_for_a_lease_loses_what_never_reached_it() -> None:
    driver = deaf()
    assert driver.state("t") is TaskState.QUEUED
    driver.join("other")
    assert [(grant.task_id, grant.attempt) for grant in driver.granted("other")] == [("t", 1)]


def test_a_beating_host_that_hears_nothing_is_granted_nothing_and_explained() -> None:
    driver = deaf()
    driver.submit("next")
    beat(driver, number=0)
    assert [grant.task_id for grant in driver.granted()] == ["t"]
    (verdict,) = explain(driver.shard, "next", driver.now_ms).agents
    assert verdict.verdict is Verdict.DEAF


def test_a_host_that_hears_again_is_granted_again() -> None:
    driver = deaf()
    beat(driver, number=driver.heard.numbers["host"])
    assert [grant.task_id for grant in driver.granted()] == ["t", "t"]


def test_what_a_deaf_host_runs_goes_on() -> None:
    driver = ShardDriver()
    driver.join(slots=2)
    driver.submit("heard")
    (running,) = driver.granted()
    driver.submit("lost")
    for _ in range(LEASE_MS // BEAT_MS + 2):
        beat(driver, number=1, held=[running.lease])
    assert (driver.state("heard"), driver.state("lost")) == (TaskState.RUNNING, TaskState.QUEUED)
    driver.finish("host", running)
    assert driver.state("heard") is TaskState.SUCCEEDED


def test_a_host_that_is_always_one_frame_behind_hears() -> None:
    driver = ShardDriver()
    driver.join(slots=50)
    names = [f"t{number}" for number in range(12)]
    for name in names:
        driver.submit(name)
        seen = driver.heard.numbers["host"] - 1
        frames = driver.shard.fleet.agents["host/agent"].leases
        beat(driver, number=seen, held=[lease for lease, frame in frames.items() if frame <= seen], slots=50)
    assert [grant.task_id for grant in driver.granted()] == names


@pytest.mark.parametrize("missed_ms", [None, 10 * LEASE_MS])
def test_what_could_not_be_told_or_heard_makes_nobody_deaf(missed_ms: int | None) -> None:
    driver = ShardDriver()
    driver.join()
    driver.submit("t")
    driver.join(held=[], number=0)
    driver.now_ms += 10 * LEASE_MS
    hosting.excuse(driver.shard, driver.now_ms, missed_ms=missed_ms)
    driver.join(held=[], number=0)
    assert driver.state("t") is TaskState.RUNNING
