"""An explanation tells what placement does: who is called eligible gets it, what counts as before it starts before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.model.agent import AgentSpec, Duty
from ohmesh.model.explanation import Explanation, Verdict
from ohmesh.model.message import PauseKind
from ohmesh.model.task import OutcomeStatus, TaskState
from ohmesh.protocols.queue import explanation, pausing
from tests.unit.protocols.queue.shard_driver import ShardDriver


def told(driver: ShardDriver, task_id: str) -> Explanation:
    return explanation.explain(driver.shard, task_id, driver.now_ms)


def verdicts(driver: ShardDriver, task_id: str = "t") -> dict[str, Verdict]:
    return {one.agent: one.verdict for one in told(driver, task_id).agents}


def work_off(driver: ShardDriver) -> list[str]:
    done = 0
    while done < len(driver.granted()):
        driver.finish("host", driver.granted()[done])
        done += 1
    return [grant.task_id for grant in driver.granted()]


def test_a_task_that_is_not_here_has_no_explanation() -> None:
    assert told(ShardDriver(), "t").task is None


def test_each_agent_has_its_own_verdict() -> None:
    driver = ShardDriver()
    driver.join("full", slots=1, capabilities=("gpu",))
    driver.submit("first", requires=("gpu",))
    driver.join("plain", slots=4)
    driver.join("leaving", slots=4, capabilities=("gpu",), duty=Duty.DRAINING)
    driver.join("other", slots=4, kind="other")
    driver.submit("t", requires=("gpu",))
    assert verdicts(driver) == {
        "full/agent": Verdict.NO_FREE_SLOT,
        "plain/agent": Verdict.CAPABILITY_MISSING,
        "leaving/agent": Verdict.OFF_DUTY,
        "other/agent": Verdict.OTHER_KIND,
    }
    missing = {one.agent: one.missing for one in told(driver, "t").agents}
    assert (missing["plain/agent"], missing["full/agent"]) == (("gpu",), ())
    assert verdicts(driver, "first")["full/agent"] is Verdict.HOLDS


def test_a_silent_host_is_offline_and_one_that_a_successor_has_not_heard_is_not_heard_yet() -> None:
    driver = ShardDriver()
    driver.join()
    driver.take_over()
    driver.submit("t")
    assert verdicts(driver) == {}, "what it runs is not known before it reports"
    driver.submit("u")
    driver.wait(20_000)
    assert verdicts(driver) == {"host/agent": Verdict.OFFLINE}


def test_a_lease_of_an_earlier_epoch_is_held_by_an_agent_that_was_not_heard_yet() -> None:
    driver = ShardDriver()
    driver.join()
    driver.submit("running")
    driver.take_over()
    driver.submit("t")
    assert verdicts(driver) == {"host/agent": Verdict.NOT_HEARD_YET}
    assert verdicts(driver, "running") == {"host/agent": Verdict.HOLDS}


def test_a_pause_a_delay_and_an_end_are_told() -> None:
    driver = ShardDriver()
    driver.join()
    driver.submit("late", due_ms=driver.now_ms + 60_000)
    delayed = told(driver, "late")
    assert delayed.ready_ms == driver.now_ms + 60_000
    assert delayed.ahead == {}
    pausing.pause(driver.shard, PauseKind("kind", True), driver.now_ms)
    assert told(driver, "late").paused_ms == driver.now_ms
    pausing.pause(driver.shard, PauseKind("kind", False), driver.now_ms)
    driver.submit("ends")
    driver.finish("host", driver.granted()[0], OutcomeStatus.FAILED_PERMANENTLY)
    ended = told(driver, "ends")
    assert ended.task is not None
    assert ended.task.state is TaskState.FAILED
    assert (ended.task.agent, ended.granted_ms, ended.rank) == ("host/agent", driver.now_ms, 0.0)
    assert [failure.kind for failure in ended.task.failures] == ["Oops"]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=20), st.integers(0, 40_000))
def test_so_many_as_are_counted_before_a_task_start_before_it(priorities: list[int], pause_ms: int) -> None:
    driver = ShardDriver()
    for number, priority in enumerate(priorities):
        driver.submit(f"{number}", priority=priority)
        driver.wait(pause_ms // len(priorities))
    counted = {}
    for number in range(len(priorities)):
        explained = told(driver, f"{number}")
        assert explained.is_counted_up
        counted[f"{number}"] = sum(explained.ahead.values())
    driver.join()
    started = work_off(driver)
    assert [counted[task_id] for task_id in started] == list(range(len(priorities)))


CAPABILITIES = st.sets(st.sampled_from(("a", "b", "c"))).map(lambda some: tuple(sorted(some)))


@given(
    st.lists(st.tuples(CAPABILITIES, st.integers(0, 2)), min_size=1, max_size=5),
    CAPABILITIES,
    st.sampled_from((Duty.READY, Duty.DRAINING)),
)
def test_the_task_goes_to_an_agent_that_was_called_eligible_or_to_nobody(
    agents: list[tuple[tuple[str, ...], int]], requires: tuple[str, ...], duty: Duty
) -> None:
    driver = ShardDriver()
    pausing.pause(driver.shard, PauseKind("kind", True), driver.now_ms)
    for number, (capabilities, slots) in enumerate(agents):
        specs = [AgentSpec(f"host-{number}/agent", "kind", capabilities, slots)]
        driver.report(f"host-{number}", specs=specs, duty=duty if number == 0 else Duty.READY)
    driver.submit("t", requires=requires)
    eligible = {one.agent for one in told(driver, "t").agents if one.verdict is Verdict.ELIGIBLE}
    pausing.pause(driver.shard, PauseKind("kind", False), driver.now_ms)
    driver.settle()
    agent = driver.shard.table.tasks["t"].agent
    assert agent in eligible if eligible else not agent


@pytest.mark.parametrize("rival_requires", [(), ("gpu",), ("tpu",)])
def test_only_tasks_that_compete_for_the_same_agents_count(rival_requires: tuple[str, ...]) -> None:
    driver = ShardDriver()
    driver.join("with", slots=0, capabilities=("gpu",))
    driver.join("other", slots=0, capabilities=("tpu",))
    driver.submit("rival", requires=rival_requires, priority=2)
    driver.submit("t", requires=("gpu",))
    assert told(driver, "t").ahead == ({} if rival_requires == ("tpu",) else {2: 1})
