"""Hosts: what their reports renew, give back and reveal, and what their silence ends."""

from __future__ import annotations

import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.model.agent import AgentSpec, Duty, Liveness
from ohmesh.model.message import HostReport
from ohmesh.model.task import OutcomeStatus, TaskState
from ohmesh.protocols.queue import hosting
from ohmesh.protocols.queue.rows import HostChanged
from ohmesh.protocols.queue.shard import ShardConfig
from tests.unit.protocols.queue.shard_driver import ShardDriver

QUEUED, RUNNING, RETRYING = TaskState.QUEUED, TaskState.RUNNING, TaskState.RETRYING


def with_one_running() -> tuple[ShardDriver, int]:
    driver = ShardDriver()
    driver.join()
    driver.submit("t")
    return driver, driver.granted()[-1].lease


def liveness(driver: ShardDriver, host: str = "host") -> Liveness:
    return driver.shard.table.hosts[host].liveness


def test_a_heartbeat_renews_every_lease() -> None:
    driver, _ = with_one_running()
    for _ in range(5):
        driver.wait(9_999)
        driver.heartbeat()
    assert driver.state("t") is RUNNING


def test_a_silent_host_is_offline_and_its_leases_are_void() -> None:
    driver, _ = with_one_running()
    driver.wait(10_000)
    assert driver.state("t") is RUNNING
    driver.wait(1)
    assert driver.state("t") is RETRYING
    assert liveness(driver) is Liveness.OFFLINE


def test_a_host_says_itself_how_long_its_silence_may_last() -> None:
    driver = ShardDriver()
    driver.join(lease_ms=2_000)
    driver.submit("t")
    driver.wait(2_001)
    assert driver.state("t") is RETRYING


def test_a_host_that_comes_back_is_told_that_its_leases_are_void() -> None:
    driver, lease = with_one_running()
    driver.wait(10_001)
    driver.join(slots=0, held=[lease], number=1)
    assert driver.heard.revoked["host"] == [lease]
    assert liveness(driver) is Liveness.ACTIVE


def test_frames_to_a_host_that_comes_back_are_counted_on() -> None:
    """Else it would take the next frame for one that it has seen."""
    driver, lease = with_one_running()
    driver.wait(10_001)
    driver.join(held=[lease], number=1)
    assert driver.heard.numbers["host"] == 2


def test_a_grant_that_never_arrived_is_handed_back_uncounted() -> None:
    driver, _ = with_one_running()
    driver.join(held=[], number=1)
    assert [grant.attempt for grant in driver.granted()] == [1, 1]


def test_a_grant_that_is_still_on_its_way_is_not_missed() -> None:
    driver, lease = with_one_running()
    driver.join(held=[], number=0)
    assert list(driver.shard.table.leases) == [lease]


def test_a_lost_frame_that_no_other_would_follow_is_revealed_by_an_empty_one() -> None:
    """Its slots are taken, so nothing else is ever granted: without that frame the host could not know of the gap."""
    driver, _ = with_one_running()
    driver.join(held=[], number=0)
    assert (driver.heard.numbers["host"], len(driver.granted())) == (2, 1)
    driver.join(held=[], number=2)
    assert [grant.attempt for grant in driver.granted()] == [1, 1]


def test_a_host_that_has_seen_every_frame_gets_no_empty_one() -> None:
    driver, _ = with_one_running()
    driver.heartbeat()
    assert driver.heard.numbers["host"] == 1


def test_a_late_copy_of_a_report_from_before_a_takeover_takes_nothing_away() -> None:
    """Its frame number counts the frames of another dispatcher."""
    driver, lease = with_one_running()
    driver.take_over()
    driver.join(slots=2, held=[lease], number=0)
    driver.submit("second")
    leases = list(driver.shard.table.leases)
    driver.join(slots=2, held=[], number=7, epoch=1)
    driver.join(slots=2, held=[], number=0, epoch=0)
    assert list(driver.shard.table.leases) == leases
    assert len(leases) == 2


def test_the_revocation_of_a_cancelled_task_is_repeated_until_its_host_lets_go() -> None:
    driver, lease = with_one_running()
    driver.cancel("t")
    driver.heard.revoked.clear()
    driver.heartbeat()
    assert driver.heard.revoked["host"] == [lease]
    driver.finish("host", driver.granted()[-1], OutcomeStatus.CANCELLED)
    driver.heard.revoked.clear()
    driver.heartbeat()
    assert "host" not in driver.heard.revoked


def test_the_lease_of_a_cancelled_task_whose_grant_never_arrived_is_free() -> None:
    driver, _ = with_one_running()
    driver.cancel("t")
    driver.join(held=[], number=1)
    assert driver.shard.table.leases == {}
    assert driver.state("t") is TaskState.CANCELLED


def test_a_host_that_was_started_anew_has_lost_what_it_ran() -> None:
    driver, _ = with_one_running()
    driver.join(incarnation=2)
    assert driver.granted()[-1].attempt == 2
    assert driver.shard.table.tasks["t"].losses == 1


def test_a_report_of_an_earlier_start_is_not_believed_while_the_later_one_lives() -> None:
    driver = ShardDriver()
    driver.join(incarnation=7)
    driver.join(incarnation=6, kind="other")
    assert [spec.kind for spec in driver.shard.table.hosts["host"].agents] == ["kind"]


def test_a_host_whose_clock_was_set_back_is_taken_once_its_predecessor_is_gone() -> None:
    driver = ShardDriver()
    driver.join(incarnation=7)
    driver.wait(10_001)
    driver.submit("t")
    driver.join(incarnation=6)
    assert driver.state("t") is RUNNING


def test_a_leaving_host_gives_back_uncounted_what_it_does_not_hold() -> None:
    driver = ShardDriver()
    driver.join(slots=2)
    driver.submit("held", "given-back")
    held, _ = driver.granted()
    driver.join(slots=2, held=[held.lease], number=1, leaving=True)
    tasks = driver.shard.table.tasks
    assert [(tasks[name].state, tasks[name].losses) for name in ("held", "given-back")] == [
        (RETRYING, 1),
        (QUEUED, 0),
    ]
    assert liveness(driver) is Liveness.LEFT


@pytest.mark.parametrize("duty", [duty for duty in Duty if duty is not Duty.READY])
def test_a_host_that_is_not_ready_is_granted_nothing(duty: Duty) -> None:
    driver = ShardDriver()
    driver.join(duty=duty)
    driver.submit("t")
    assert driver.granted() == []
    driver.join()
    assert len(driver.granted()) == 1


def test_only_a_host_that_knows_this_epoch_is_granted_anything() -> None:
    driver = ShardDriver()
    driver.join()
    driver.take_over()
    driver.submit("t")
    driver.join(epoch=1, number=3)
    assert driver.granted() == []
    assert driver.heard.enquired == ["host"]
    driver.join(epoch=2)
    assert len(driver.granted()) == 1


def test_a_host_that_has_heard_of_no_epoch_is_new_and_welcome() -> None:
    driver = ShardDriver()
    driver.submit("t")
    driver.join(epoch=0)
    assert len(driver.granted()) == 1


def test_after_a_takeover_every_lease_starts_anew() -> None:
    driver, lease = with_one_running()
    driver.wait(9_000)
    driver.take_over()
    driver.wait(9_000)
    driver.join(slots=0, held=[lease])
    assert driver.state("t") is RUNNING
    driver.wait(10_001)
    assert driver.state("t") is RETRYING


def test_a_host_that_died_while_nobody_dispatched_is_found_to_be_offline() -> None:
    driver = ShardDriver()
    driver.join()
    driver.take_over()
    driver.wait(10_001)
    assert liveness(driver) is Liveness.OFFLINE


def test_what_we_could_not_hear_is_no_silence() -> None:
    driver, _ = with_one_running()
    driver.now_ms += 3_600_000
    hosting.excuse(driver.shard, driver.now_ms, missed_ms=3_599_000)
    driver.wait(0)
    assert driver.state("t") is RUNNING
    driver.wait(9_001)
    assert driver.state("t") is RETRYING


def test_after_an_engine_was_away_every_lease_starts_anew() -> None:
    driver, lease = with_one_running()
    driver.now_ms += 3_600_000
    hosting.excuse(driver.shard, driver.now_ms, missed_ms=None)
    driver.wait(10_000)
    assert list(driver.shard.table.leases) == [lease]


def test_heartbeats_that_say_nothing_new_write_nothing() -> None:
    driver = ShardDriver()
    driver.join(slots=1)
    before = len(driver.frames)
    for slots in range(5):
        driver.wait(1_000)
        driver.join(slots=slots)
    assert len(driver.frames) == before


def test_an_agent_that_is_no_more_keeps_its_lease_and_gets_no_other() -> None:
    driver = ShardDriver()
    driver.report("host", specs=[AgentSpec("host/a", "kind"), AgentSpec("host/b", "other")])
    driver.submit("t", "next")
    grant = driver.granted()[0]
    driver.report("host", specs=[AgentSpec("host/b", "other")], held=[grant.lease], number=1)
    driver.finish("host", grant)
    assert driver.state("t") is TaskState.SUCCEEDED
    assert driver.state("next") is QUEUED


@pytest.mark.parametrize(
    ("host", "agent"), [("a b", "a b/x"), ("", "/x"), ("h", "other/x"), ("h", "x"), ("h.>", "h.>/x")]
)
def test_names_that_cannot_be_addressed_are_refused(host: str, agent: str) -> None:
    driver = ShardDriver()
    message = HostReport(host, 1, 0, 0, [AgentSpec(agent, "kind")], [])
    with pytest.raises(InvalidArgument):
        hosting.report(driver.shard, message, driver.now_ms)
    assert driver.shard.take_step() is None


def test_beyond_the_bound_the_host_that_has_been_away_for_longest_is_forgotten() -> None:
    driver = ShardDriver(ShardConfig(hosts=3))
    for number in range(6):
        driver.join(f"host-{number}")
        driver.wait(10_001)
    assert list(driver.shard.table.hosts) == ["host-3", "host-4", "host-5"]
    forgotten = [row.host for row in driver.rows() if isinstance(row, HostChanged) and not row.agents]
    assert forgotten == ["host-0", "host-1", "host-2"]


def test_a_wider_agent_is_given_more_at_once() -> None:
    driver = ShardDriver()
    driver.join(slots=1)
    driver.submit("a", "b", "c")
    driver.heartbeat(slots=3)
    assert len(driver.granted()) == 3
