"""Submissions: checked, taken once, confirmed again, refused with the reason; ends are told to whoever asked."""

from __future__ import annotations

import pytest

from ohmesh.errors import Backpressure, InvalidArgument, PayloadTooLarge, SubmissionTooOld
from ohmesh.model.task import Submission, TaskState
from ohmesh.protocols.queue import intake
from ohmesh.protocols.queue.rows import Submitted
from ohmesh.protocols.queue.shard import ShardConfig
from ohmesh.protocols.queue.snapshot import decode_snapshot, encode_snapshot
from tests.unit.protocols.queue.shard_driver import ShardDriver, submission


def test_a_submission_that_is_sent_again_is_confirmed_and_taken_once() -> None:
    driver = ShardDriver()
    for _ in range(3):
        driver.submit("t")
    assert driver.heard.accepted == ["t"] * 3
    assert [len(row.tasks) for row in driver.rows() if isinstance(row, Submitted)] == [1]


def test_the_same_key_from_another_moment_is_told_to_be_here_already() -> None:
    driver = ShardDriver()
    driver.submit("t", payload=b"first")
    driver.wait(5)
    driver.submit("t", payload=b"second", client="another")
    assert (driver.heard.accepted, driver.heard.existing) == (["t"], ["t"])
    whole = driver.shard.table.whole("t")
    assert whole is not None
    assert whole.submission.payload == b"first"


def test_ids_that_repeat_in_one_message_are_one_task() -> None:
    driver = ShardDriver()
    driver.submit("a", "a", "b", "a")
    assert list(driver.shard.table.tasks) == ["a", "b"]


def test_a_submission_that_is_sent_again_after_its_end_hears_the_end() -> None:
    driver = ShardDriver()
    driver.join()
    driver.submit("t")
    driver.finish("host", driver.granted()[-1])
    driver.heard.finished.clear()
    driver.submit("t", client="another")
    assert driver.heard.finished == {"t": TaskState.SUCCEEDED}


def test_whoever_watches_hears_the_end_now_or_when_it_comes_or_that_nobody_knows() -> None:
    driver = ShardDriver()
    driver.join()
    driver.submit("t")
    driver.watch("t", "never-heard-of", client="watcher")
    assert driver.heard.unknown == ["never-heard-of"]
    driver.finish("host", driver.granted()[-1])
    driver.watch("t", client="late")
    heard = [name for step in driver.steps for name, news in step.clients.items() if news.finished]
    assert heard == ["client", "watcher", "late"]


def test_one_who_asks_twice_hears_it_once() -> None:
    driver = ShardDriver()
    driver.join()
    driver.submit("t")
    driver.watch("t")
    driver.watch("t", client="b")
    driver.watch("t", client="b")
    driver.finish("host", driver.granted()[-1])
    heard = [name for step in driver.steps for name, news in step.clients.items() for _ in news.finished]
    assert heard == ["client", "b"]


@pytest.mark.parametrize(
    "bad",
    [
        submission(""),
        submission("x" * 65),
        submission("ä"),
        submission("t", kind=""),
        submission("t", kind="k" * 65),
        submission("t", kind="größe"),
        submission("t", kind="two words"),
        submission("t", kind="with.dot"),
        submission("t", kind="-dash-first"),
        submission("t", priority=4),
        submission("t", priority=-1),
        submission("t", timeout_ms=-1),
        submission("t", max_attempts=-1),
        submission("t", weight=0),
        submission("t", weight=1_001),
        submission("t", requires=("",)),
        submission("t", requires=("c" * 65,)),
        submission("t", requires=("host:",)),
        submission("t", requires=("host:" + "c" * 65,)),
        submission("t", requires=tuple(f"c{number}" for number in range(17))),
    ],
)
def test_what_is_not_well_formed_is_refused_and_nothing_else_with_it(bad: Submission) -> None:
    driver = ShardDriver()
    intake.submit(driver.shard, "client", [submission("before"), bad, submission("after")], driver.now_ms)
    driver.settle()
    assert list(driver.heard.refused.values()) == [InvalidArgument.code]
    assert driver.heard.accepted == ["before", "after"]


def test_arguments_above_the_limit_are_refused() -> None:
    driver = ShardDriver(ShardConfig(payload_bytes=10))
    driver.submit("fits", payload=b"x" * 10)
    driver.submit("too-large", payload=b"x" * 11)
    assert driver.heard.refused == {"too-large": PayloadTooLarge.code}


@pytest.mark.parametrize("in_one_message", [True, False])
def test_beyond_its_depth_a_kind_answers_backpressure_and_others_do_not(in_one_message: bool) -> None:
    driver = ShardDriver(ShardConfig(depth_tasks=3))
    ids = [f"t{number}" for number in range(5)]
    for part in [ids] if in_one_message else [[task_id] for task_id in ids]:
        driver.submit(*part)
    driver.submit("other", kind="other")
    assert driver.heard.refused == {"t3": Backpressure.code, "t4": Backpressure.code}
    assert driver.heard.accepted == ["t0", "t1", "t2", "other"]


@pytest.mark.parametrize("in_one_message", [True, False])
def test_beyond_the_bytes_that_a_shard_may_hold_every_kind_answers_backpressure(in_one_message: bool) -> None:
    driver = ShardDriver(ShardConfig(held_bytes=30))
    ids = [f"t{number}" for number in range(4)]
    for part in [ids] if in_one_message else [[task_id] for task_id in ids]:
        driver.submit(*part, payload=b"x" * 10)
    driver.submit("other", kind="other", payload=b"x")
    driver.submit("empty", payload=b"")
    assert driver.heard.refused == {"t3": Backpressure.code, "other": Backpressure.code}
    assert driver.heard.accepted == ["t0", "t1", "t2", "empty"]


def test_the_refusal_of_bytes_says_how_many_there_are_and_may_be() -> None:
    driver = ShardDriver(ShardConfig(held_bytes=30))
    driver.submit("a", payload=b"x" * 20)
    intake.submit(driver.shard, "client", [submission("b", payload=b"x" * 11)], driver.now_ms)
    (refusal,) = driver.shard.step.client("client").refused
    assert refusal.message == (
        "The arguments of the tasks here that have not ended take 20 bytes, and these 11; the limit is 30 (held_bytes)."
    )
    assert refusal.retry_after_ms > 0


@pytest.mark.parametrize("has_snapshot", [True, False])
def test_bytes_are_held_until_the_task_has_ended_whoever_dispatches(has_snapshot: bool) -> None:
    driver = ShardDriver(ShardConfig(held_bytes=10))
    driver.submit("a", payload=b"x" * 10)
    driver.take_over(
        decode_snapshot(encode_snapshot(driver.shard.table, 1, b""))[0] if has_snapshot else None
    )
    driver.submit("b", payload=b"x")
    driver.join()
    driver.submit("c", payload=b"x")
    driver.finish("host", driver.granted()[-1])
    driver.submit("d", payload=b"x")
    assert set(driver.heard.refused) == {"b", "c"}
    assert driver.heard.accepted == ["a", "d"]


def test_depth_counts_what_runs_and_frees_itself() -> None:
    driver = ShardDriver(ShardConfig(depth_tasks=1))
    driver.join()
    driver.submit("a")
    driver.submit("b")
    driver.finish("host", driver.granted()[-1])
    driver.submit("c")
    assert driver.heard.refused == {"b": Backpressure.code}
    assert driver.heard.accepted == ["a", "c"]


def test_a_retry_is_confirmed_although_the_kind_is_full() -> None:
    driver = ShardDriver(ShardConfig(depth_tasks=1))
    driver.submit("a")
    driver.submit("a")
    assert driver.heard.refused == {}


def test_while_the_log_does_not_take_it_what_is_decided_is_bounded() -> None:
    driver = ShardDriver(ShardConfig(undecided_bytes=10_000, step_bytes=2_000))
    for number in range(100):
        intake.submit(driver.shard, "client", [submission(f"t{number}", payload=b"x" * 500)], driver.now_ms)
    assert driver.shard.undecided_bytes < 10_000 + 1_000 + 100 * intake.REFUSAL_BYTES
    driver.settle()
    assert set(driver.heard.refused.values()) == {Backpressure.code}
    assert len(driver.heard.accepted) + len(driver.heard.refused) == 100
    assert driver.shard.undecided_bytes == 0
    driver.submit("again")
    assert driver.heard.accepted[-1] == "again"


def test_while_the_log_does_not_take_it_questions_that_repeat_pile_up_nowhere() -> None:
    driver = ShardDriver(ShardConfig(undecided_bytes=5_000, step_bytes=2_000))
    driver.submit(*(f"t{number}" for number in range(10)))
    for _ in range(1_000):
        intake.watch(driver.shard, "client", ["unknown-1", "unknown-2"])
        intake.submit(driver.shard, "client", [submission("t1")], driver.now_ms)
        driver.cancel("unknown-3")
    assert driver.shard.undecided_bytes < 5_100
    driver.settle()
    driver.watch("t1", "unknown-1")
    assert driver.heard.unknown[-1] == "unknown-1"


def test_a_retry_of_what_was_forgotten_is_refused() -> None:
    driver = ShardDriver(ShardConfig(retention_ms=1_000, horizon_ms=10_000))
    driver.join()
    driver.submit("t")
    driver.finish("host", driver.granted()[-1])
    driver.wait(1_000)
    assert "t" not in driver.shard.table.tasks
    driver.submit("t")
    assert driver.heard.refused == {"t": SubmissionTooOld.code}


def test_beyond_the_horizon_only_submissions_made_since_are_taken() -> None:
    driver = ShardDriver(ShardConfig(retention_ms=1_000, horizon_ms=2_000))
    driver.join()
    driver.submit("t")
    made_ms = driver.now_ms
    driver.finish("host", driver.granted()[-1])
    for _ in range(3):
        driver.wait(1_000)
    assert len(driver.shard.table.forgotten) == 0
    late_retry = submission("t", created_ms=made_ms)
    never_seen = submission("as-old", created_ms=made_ms)
    intake.submit(driver.shard, "client", [late_retry, never_seen], driver.now_ms)
    driver.settle()
    assert driver.heard.refused == {"t": SubmissionTooOld.code, "as-old": SubmissionTooOld.code}
    driver.submit("new")
    assert driver.heard.accepted[-1] == "new"


@pytest.mark.parametrize("skew_ms", [-3_600_000, 3_600_000], ids=["an hour behind", "an hour ahead"])
def test_a_delay_is_not_stretched_or_lost_by_a_clock_that_is_wrong(skew_ms: int) -> None:
    driver = ShardDriver()
    created_ms = driver.now_ms + skew_ms
    late = Submission("t", "echo", b"", created_ms=created_ms, due_ms=created_ms + 5_000)
    intake.submit(driver.shard, "client", [late], driver.now_ms)
    assert driver.shard.table.tasks["t"].due_ms == driver.now_ms + 5_000
