"""Which task starts next: strict by priority, first in first out within one, nothing starves, capabilities hold."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ohmesh.model.agent import AgentSpec, Duty
from ohmesh.model.priority import Priority
from ohmesh.model.task import Grant, TaskState
from tests.unit.protocols.queue.shard_driver import AGING_MS, ShardDriver

LOW, NORMAL, HIGH, CRITICAL = (int(priority) for priority in Priority)


def names(grants: list[Grant]) -> list[str]:
    return [grant.task_id for grant in grants]


def work_off(driver: ShardDriver, host: str = "host") -> list[str]:
    """Finish what is granted until nothing is; the order in which tasks started."""
    done = 0
    while done < len(driver.granted(host)):
        driver.finish(host, driver.granted(host)[done])
        done += 1
    return names(driver.granted(host))


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30))
def test_tasks_start_by_priority_and_within_one_in_the_order_of_submission(priorities: list[int]) -> None:
    driver = ShardDriver()
    for number, priority in enumerate(priorities):
        driver.submit(f"{number}", priority=priority)
    driver.join()
    expected = sorted(range(len(priorities)), key=lambda number: (-priorities[number], number))
    assert work_off(driver) == [f"{number}" for number in expected]


def test_a_critical_task_is_next_after_ten_thousand_low_ones() -> None:
    driver = ShardDriver()
    driver.submit(*(f"low-{number}" for number in range(10_000)), priority=LOW)
    driver.join()
    driver.submit("critical", priority=CRITICAL)
    driver.finish("host", driver.granted()[0])
    assert names(driver.granted()) == ["low-0", "critical"]


def test_no_age_lifts_a_task_above_a_critical_one() -> None:
    driver = ShardDriver()
    driver.submit("old", priority=LOW)
    driver.wait(1_000 * AGING_MS)
    driver.submit("critical", priority=CRITICAL)
    driver.join()
    assert names(driver.granted()) == ["critical"]


def test_a_low_task_under_a_saturating_high_stream_starts_within_its_bound() -> None:
    driver = ShardDriver()
    driver.join()
    driver.submit("blocker", priority=HIGH)
    driver.submit("low", priority=LOW)
    started_ms = driver.now_ms
    for number in range(1_000):
        driver.submit(f"high-{number}", priority=HIGH)
        driver.wait(100)
        driver.heartbeat()
        driver.finish("host", driver.granted()[-1])
        if "low" in names(driver.granted()):
            break
    assert 2 * AGING_MS - 100 <= driver.now_ms - started_ms <= 2 * AGING_MS + 200


def test_tasks_that_are_handed_back_keep_their_place() -> None:
    driver = ShardDriver()
    driver.join(slots=3)
    driver.submit("a", "b", "c", "d")
    driver.join(slots=3, held=[], number=9, duty=Duty.DRAINING)
    driver.join("other")
    assert work_off(driver, "other") == ["a", "b", "c", "d"]


def test_the_tasks_of_a_lost_host_stand_in_their_order_before_later_ones() -> None:
    driver = ShardDriver()
    driver.join(slots=3)
    driver.submit("a", "b", "c", "d")
    driver.wait(10_001)
    driver.join("other")
    assert work_off(driver, "other") == ["a", "b", "c", "d"]


def test_a_lost_host_costs_its_tasks_no_age() -> None:
    """Else its task, at the head of its queue, would hold up the old ones behind it."""
    driver = ShardDriver()
    driver.join()
    driver.submit("first", "second", priority=LOW)
    for _ in range(2 * AGING_MS // 1_000 + 1):
        driver.wait(1_000)
        driver.heartbeat(slots=1)
    driver.join(incarnation=2, slots=0)
    driver.submit("high", priority=HIGH)
    driver.join("other")
    assert work_off(driver, "other") == ["first", "second", "high"]


def test_a_delayed_task_starts_when_it_is_due_and_not_before() -> None:
    driver = ShardDriver()
    driver.join()
    driver.submit("later", due_ms=driver.now_ms + 3_000)
    driver.wait(2_999)
    assert driver.granted() == []
    driver.wait(1)
    assert names(driver.granted()) == ["later"]


def test_a_task_goes_only_to_an_agent_that_can_do_what_it_requires() -> None:
    driver = ShardDriver()
    driver.join("plain", slots=5)
    driver.submit("demanding", requires=("gpu", "large"))
    driver.submit("easy")
    driver.join("gpu", slots=5, capabilities=("gpu",))
    assert names(driver.granted("plain")) == ["easy"]
    assert driver.state("demanding") is TaskState.QUEUED
    driver.join("both", slots=5, capabilities=("large", "gpu"))
    assert names(driver.granted("both")) == ["demanding"]


def test_a_task_may_require_its_host_by_name_beside_capabilities() -> None:
    driver = ShardDriver()
    driver.join("one", slots=5, capabilities=("gpu",))
    driver.submit("there", requires=("host:other", "gpu"))
    driver.submit("here", requires=("host:one",))
    assert names(driver.granted("one")) == ["here"]
    assert driver.state("there") is TaskState.QUEUED
    driver.join("other", slots=5, capabilities=())
    assert driver.granted("other") == []
    driver.join("other", slots=5, capabilities=("gpu",), incarnation=2)
    assert names(driver.granted("other")) == ["there"]


def test_a_host_of_the_longest_name_can_be_required() -> None:
    driver = ShardDriver()
    name = "h" * 64
    driver.join(name)
    driver.submit("there", requires=("host:" + name,))
    assert names(driver.granted(name)) == ["there"]


def test_what_nobody_can_do_holds_nobody_up() -> None:
    driver = ShardDriver()
    driver.submit(*(f"impossible-{n}" for n in range(20)), requires=("moon",), priority=CRITICAL)
    driver.submit("easy", priority=LOW)
    driver.join()
    assert names(driver.granted()) == ["easy"]


def test_across_requirements_the_higher_rank_is_first() -> None:
    driver = ShardDriver()
    driver.submit("low", requires=("gpu",), priority=LOW)
    driver.submit("high", priority=HIGH)
    driver.submit("critical", requires=("gpu",), priority=CRITICAL)
    driver.join(capabilities=("gpu",))
    assert work_off(driver) == ["critical", "high", "low"]


def test_kinds_do_not_delay_each_other() -> None:
    driver = ShardDriver()
    driver.submit(*(f"flood-{number}" for number in range(500)), kind="text", priority=HIGH)
    driver.submit("image", kind="image", priority=LOW)
    driver.join(kind="image")
    assert names(driver.granted()) == ["image"]


def test_agents_share_what_waits() -> None:
    driver = ShardDriver()
    driver.submit(*(f"t{number}" for number in range(4)))
    specs = [AgentSpec(f"host/agent-{number}", "kind", (), 4) for number in range(4)]
    driver.report("host", specs=specs)
    assert sorted(grant.agent for grant in driver.granted()) == [spec.agent[5:] for spec in specs]


def test_an_agent_never_holds_more_than_its_slots() -> None:
    driver = ShardDriver()
    driver.join(slots=3)
    driver.submit(*(f"t{number}" for number in range(10)))
    assert len(driver.granted()) == 3
    driver.finish("host", driver.granted()[0])
    assert len(driver.granted()) == 4


def test_an_agent_that_is_not_announced_any_more_gets_nothing_although_it_was_free() -> None:
    driver = ShardDriver()
    driver.report("host", specs=[AgentSpec("host/one", "kind"), AgentSpec("host/two", "other")])
    driver.report("host", specs=[AgentSpec("host/two", "other")])
    driver.submit("t")
    assert driver.granted() == []


def test_an_agent_that_changed_its_kind_works_for_the_new_one_only() -> None:
    driver = ShardDriver()
    driver.join(kind="old")
    driver.join(kind="new")
    driver.submit("for-old", kind="old")
    driver.submit("for-new", kind="new")
    assert names(driver.granted()) == ["for-new"]


def test_cancelled_tasks_among_thousands_leave_the_order_of_the_others() -> None:
    driver = ShardDriver()
    ids = [f"t{number}" for number in range(3_000)]
    driver.submit(*ids)
    driver.cancel(*(task_id for number, task_id in enumerate(ids) if number % 3))
    driver.join(slots=3_000)
    assert names(driver.granted()) == ids[::3]


def test_delayed_tasks_that_were_cancelled_do_not_stay_until_they_are_due() -> None:
    driver = ShardDriver()
    for batch in range(10):
        ids = [f"{batch}-{number}" for number in range(500)]
        driver.submit(*ids, due_ms=driver.now_ms + 10**9)
        driver.cancel(*ids)
    assert driver.shard.waiting.timers() < 1_500


def test_kinds_and_requirements_in_which_nothing_waits_are_let_go() -> None:
    driver = ShardDriver()
    for number in range(50):
        driver.submit(f"t{number}", kind=f"kind-{number}", requires=(f"need-{number}",))
        driver.cancel(f"t{number}")
        driver.join(kind=f"kind-{number}", capabilities=(f"need-{number}",))
    driver.wait(1_000)
    assert list(driver.shard.waiting.kinds()) == []


def test_among_tasks_that_have_waited_as_long_as_counts_the_first_submitted_is_first() -> None:
    driver = ShardDriver()
    driver.submit("low", priority=LOW)
    driver.submit("high", priority=HIGH)
    driver.submit("normal", priority=NORMAL)
    driver.wait(5 * AGING_MS)
    driver.join()
    assert work_off(driver) == ["low", "high", "normal"]


def test_an_agent_that_was_narrowed_and_widened_again_is_granted_again() -> None:
    driver = ShardDriver()
    driver.join(slots=1)
    driver.join(slots=0)
    driver.submit("t")
    assert driver.granted() == []
    driver.join(slots=1)
    assert names(driver.granted()) == ["t"]
