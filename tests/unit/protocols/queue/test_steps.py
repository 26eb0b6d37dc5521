"""Steps: bounded with their news, told in order, and never about what is not in the log."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ohmesh.errors import LogCorrupt
from ohmesh.model.agent import AgentSpec
from ohmesh.model.message import Outcomes
from ohmesh.model.task import Outcome, OutcomeStatus, TaskFailure
from ohmesh.protocols.queue import intake
from ohmesh.protocols.queue import rows as r
from ohmesh.protocols.queue.shard import ShardConfig
from tests.unit.protocols.queue.shard_driver import ShardDriver, submission

CONFIG = ShardConfig(step_bytes=4_000, payload_bytes=6_000)
# A row alone may be as large as the largest payload; the estimate is off by names and small numbers.
MOST_BYTES = 4_000 + 6_000


def worked_off(sizes: list[int], value_bytes: int) -> ShardDriver:
    driver = ShardDriver(CONFIG)
    tasks = [submission(f"t{number}", payload=b"x" * size) for number, size in enumerate(sizes)]
    intake.submit(driver.shard, "client", tasks, driver.now_ms)
    driver.join(slots=len(sizes))
    outcomes = [
        Outcome(grant.lease, grant.task_id, OutcomeStatus.SUCCEEDED, b"v" * value_bytes)
        for grant in driver.granted()
    ]
    driver.shard.outcomes(Outcomes("host", 1, outcomes), driver.now_ms)
    driver.settle()
    return driver


@settings(max_examples=30)
@given(st.lists(st.integers(0, 6_000), min_size=1, max_size=30), st.integers(0, 5_000))
def test_frames_and_grants_stay_within_their_bound(sizes: list[int], value_bytes: int) -> None:
    driver = worked_off(sizes, value_bytes)
    assert len(driver.heard.finished) == len(sizes)
    assert max(map(len, driver.frames)) <= MOST_BYTES
    batches = [batch for step in driver.steps for news in step.hosts.values() for batch in news.grants]
    assert all(batch.payload_bytes <= MOST_BYTES for batch in batches)
    assert [batch.number for batch in batches] == list(range(1, len(batches) + 1))


def test_a_traceback_in_any_script_counts_with_its_bytes() -> None:
    driver = ShardDriver(CONFIG)
    driver.join(slots=50)
    driver.submit(*(f"t{number}" for number in range(50)))
    outcomes = [
        Outcome(
            grant.lease,
            grant.task_id,
            OutcomeStatus.FAILED,
            failure=TaskFailure("E", "错误" * 100, "栈" * 500),
        )
        for grant in driver.granted()
    ]
    driver.shard.outcomes(Outcomes("host", 1, outcomes), driver.now_ms)
    driver.settle()
    assert max(map(len, driver.frames)) <= MOST_BYTES


def test_news_without_rows_is_bounded_as_rows_are() -> None:
    driver = ShardDriver(CONFIG)
    driver.submit("t")
    driver.watch(*(f"unknown-{number}" for number in range(5_000)))
    driver.submit(*["t"] * 5_000)
    for news in (step.clients["client"] for step in driver.steps if "client" in step.clients):
        assert sum(map(len, news.unknown)) + sum(map(len, news.accepted)) <= 4_000
    assert len(driver.heard.unknown) == 5_000


def test_refusals_are_bounded_as_rows_are() -> None:
    driver = ShardDriver(ShardConfig(step_bytes=4_000, depth_tasks=1))
    driver.submit("t")
    driver.submit(*(f"t{number}" for number in range(500)))
    refused = [len(news.refused) for step in driver.steps for news in step.clients.values()]
    assert sum(refused) == 500
    assert max(refused) <= 4_000 // intake.REFUSAL_BYTES


def test_a_cancellation_of_thousands_is_heard_after_its_row() -> None:
    """The driver holds what each step tells against the log up to that step."""
    driver = ShardDriver(CONFIG)
    ids = [f"t{number}" for number in range(3_000)]
    driver.submit(*ids)
    driver.cancel(*ids)
    assert driver.heard.cancelled == ids


def test_an_illegal_row_never_gets_into_a_step() -> None:
    driver = ShardDriver()
    try:
        driver.shard.decide(r.Released([99]))
    except LogCorrupt:
        assert driver.shard.take_step() is None
    else:
        raise AssertionError("a lease that is not live was released")


def test_a_step_that_was_not_appended_has_told_nobody_anything() -> None:
    driver = ShardDriver()
    shard = driver.shard
    intake.submit(shard, "client", [submission("t")], driver.now_ms)
    step = shard.take_step()
    assert step is not None
    assert step.clients["client"].accepted == ["t"]
    assert driver.heard.accepted == []
    assert shard.undecided_bytes == step.size_bytes
    shard.appended(step)
    assert shard.undecided_bytes == 0


def test_submission_and_grant_travel_in_one_frame_where_a_slot_is_free() -> None:
    driver = ShardDriver()
    driver.join()
    before = len(driver.frames)
    driver.submit("t")
    assert len(driver.frames) == before + 1
    frame = r.decode_log_frame(driver.frames[-1], before + 1)
    assert [type(row) for row in frame.rows] == [r.Submitted, r.Granted]


def test_grants_of_one_step_to_one_host_are_one_message() -> None:
    driver = ShardDriver()
    specs = [AgentSpec(f"host/agent-{number}", f"kind-{number % 3}", (), 2) for number in range(6)]
    for number in range(12):
        task = [submission(f"t{number}", kind=f"kind-{number % 3}")]
        intake.submit(driver.shard, "client", task, driver.now_ms)
    driver.report("host", specs=specs)
    assert len(driver.granted()) == 12
    assert driver.heard.numbers == {"host": 1}


def test_leases_say_which_shard_gave_them() -> None:
    driver = ShardDriver()
    driver.shard.number = 5
    driver.join()
    driver.submit("t")
    assert driver.granted()[0].lease == (5 << 48) + 1
