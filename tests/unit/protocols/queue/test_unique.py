"""While a task waits or runs, another submission with its kind and unique key is not queued but joins it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from ohmesh.errors import LogCorrupt
from ohmesh.model.message import ChangeTasks, TaskChange, TasksChanged
from ohmesh.model.task import FINAL_STATES, OutcomeStatus
from ohmesh.protocols.queue import dead_letters, intake
from ohmesh.protocols.queue import rows as r
from ohmesh.protocols.queue.shard import ShardConfig
from ohmesh.protocols.queue.snapshot import decode_snapshot, encode_snapshot
from tests.unit.protocols.queue.shard_driver import ShardDriver, submission

EVENTS = ["submit", "submit", "end", "fail", "cancel", "replay", "take over"]


def joined(driver: ShardDriver) -> dict[str, str]:
    return {
        asked: holder
        for step in driver.steps
        for news in step.clients.values()
        for asked, holder in news.joined
    }


def change(driver: ShardDriver, change: TaskChange, *task_ids: str, everything: bool = False) -> TasksChanged:
    name = f"wish-{len(driver.frames)}"
    answer = dead_letters.change_tasks(
        driver.shard, ChangeTasks(change, name, list(task_ids), everything), driver.now_ms
    )
    driver.settle()
    assert isinstance(answer, TasksChanged)
    return answer


def test_the_second_is_not_queued_and_hears_the_end_of_the_first() -> None:
    driver = ShardDriver()
    driver.submit("first", unique="key")
    driver.submit("second", client="other", unique="key")
    assert joined(driver) == {"second": "first"}
    assert "second" not in driver.shard.table.tasks
    driver.join()
    driver.submit("third", unique="key")
    assert joined(driver)["third"] == "first", "while it runs too"
    driver.finish("host", driver.granted()[0])
    told = [name for step in driver.steps for name, news in step.clients.items() if news.finished]
    assert sorted(told) == ["client", "other"]
    driver.submit("fourth", unique="key")
    assert driver.heard.accepted == ["first", "fourth"]


def test_two_in_one_message_are_one_task_and_told_once_it_is_in_the_log() -> None:
    driver = ShardDriver()
    both = [submission(name, created_ms=driver.now_ms, unique="key") for name in ("a", "b")]
    intake.submit(driver.shard, "client", both, driver.now_ms)
    driver.settle()
    assert (driver.heard.accepted, joined(driver)) == (["a"], {"b": "a"})


def test_other_kinds_and_other_keys_and_none_are_queued() -> None:
    driver = ShardDriver()
    driver.submit("a", unique="key")
    driver.submit("b", unique="other")
    driver.submit("c", kind="other", unique="key")
    driver.submit("d", "e")
    assert driver.heard.accepted == list("abcde")


@pytest.mark.parametrize("end", ["cancel", "fail", "succeed"])
@pytest.mark.parametrize("by_snapshot", [False, True])
def test_a_key_is_kept_over_takeovers_and_is_free_at_the_end(end: str, by_snapshot: bool) -> None:
    driver = ShardDriver()
    driver.submit("a", unique="key")
    table = decode_snapshot(encode_snapshot(driver.shard.table, 1, b""))[0]
    driver.take_over(table if by_snapshot else None)
    driver.submit("b", unique="key")
    assert joined(driver) == {"b": "a"}
    driver.join()
    if end == "cancel":
        driver.cancel("a")
    else:
        status = OutcomeStatus.SUCCEEDED if end == "succeed" else OutcomeStatus.FAILED_PERMANENTLY
        driver.finish("host", driver.granted()[0], status)
    assert driver.shard.table.unique.holders == {}
    driver.submit("b", unique="key")
    assert "b" in driver.heard.accepted


def test_a_retry_of_the_first_submission_is_the_first() -> None:
    driver = ShardDriver()
    driver.submit("a", unique="key")
    driver.submit("a", unique="key")
    assert (driver.heard.accepted, joined(driver)) == (["a", "a"], {})


def bury(driver: ShardDriver, *names: str) -> None:
    for name in names:
        driver.submit(name, unique="key")
        driver.finish("host", driver.granted()[-1], OutcomeStatus.FAILED_PERMANENTLY)


@pytest.mark.parametrize("everything", [False, True])
def test_a_dead_letter_whose_key_is_taken_is_not_queued_again(everything: bool) -> None:
    driver = ShardDriver()
    driver.join()
    bury(driver, "dead", "dead too")
    named = () if everything else ("dead", "dead too")
    answer = change(driver, TaskChange.REPLAY, *named, everything=everything)
    assert (answer.done, answer.key_taken) == (["dead"], ["dead too"]), "of two with one key one waits again"
    assert not answer.has_more
    answer = change(driver, TaskChange.REPLAY, "dead too")
    assert (answer.done, answer.key_taken) == ([], ["dead too"])
    assert "dead too" in driver.shard.table.dead_letters
    driver.finish("host", driver.granted()[-1])
    assert change(driver, TaskChange.REPLAY, "dead too").done == ["dead too"]


def test_a_purge_asks_for_no_key() -> None:
    driver = ShardDriver()
    driver.join()
    bury(driver, "dead", "dead too")
    assert change(driver, TaskChange.PURGE_DEAD_LETTERS, everything=True).done == ["dead", "dead too"]


@pytest.mark.parametrize(("unique", "items"), [("x" * 257, 0), ("key", 2)])
def test_keys_are_bounded_and_envelopes_have_none(unique: str, items: int) -> None:
    driver = ShardDriver()
    driver.submit("a", unique=unique, items=items)
    assert driver.heard.refused == {"a": "invalid_argument"}


def test_a_step_of_long_keys_is_bounded_in_bytes() -> None:
    driver = ShardDriver(ShardConfig(step_bytes=5_000))
    keys = [chr(0x1F600 + number) * 256 for number in range(40)]
    wanted = [
        submission(f"t{number}", created_ms=driver.now_ms, unique=key) for number, key in enumerate(keys)
    ]
    intake.submit(driver.shard, "client", wanted, driver.now_ms)
    driver.settle()
    assert len(driver.heard.accepted) == 40
    assert max(map(len, driver.frames)) < 6_000


def test_two_holders_of_a_key_are_a_damaged_log() -> None:
    driver = ShardDriver()
    driver.submit("a", unique="key")
    with pytest.raises(LogCorrupt):
        driver.replayed().apply(r.Submitted(driver.now_ms, [submission("b", unique="key")]))


@settings(max_examples=60, deadline=None)
@given(
    events=st.lists(
        st.tuples(st.sampled_from(EVENTS), st.integers(0, 2)),
        max_size=40,
    )
)
def test_of_each_key_one_task_lives_at_most_and_the_index_is_exact(events: list[tuple[str, int]]) -> None:
    driver = ShardDriver()
    for number, (event, key) in enumerate(events):
        driver.join(f"h{number}", slots=2)
        if event == "submit":
            driver.submit(f"t{number}", unique=f"key {key}")
        elif event == "take over":
            driver.take_over()
        elif event == "replay":
            change(driver, TaskChange.REPLAY, everything=True)
        else:
            end_one(driver, event)
        living = [task for task in driver.shard.table.tasks.values() if task.state not in FINAL_STATES]
        holders = {("kind", task.submission.unique): task.task_id for task in living}
        assert len(holders) == len(living)
        assert driver.shard.table.unique.holders == holders
        assert driver.replayed().unique.holders == holders


def end_one(driver: ShardDriver, event: str) -> None:
    lease, task = next(iter(driver.shard.table.leases.items()), (0, None))
    if task is None:
        return
    if event == "cancel":
        driver.cancel(task.task_id)
        return
    host = task.agent.rpartition("/")[0]
    grant = next(grant for grant in driver.granted(host) if grant.lease == lease)
    driver.finish(
        host, grant, OutcomeStatus.SUCCEEDED if event == "end" else OutcomeStatus.FAILED_PERMANENTLY
    )


SPAN_MS = 60_000


def done(driver: ShardDriver, name: str, status: OutcomeStatus = OutcomeStatus.SUCCEEDED) -> None:
    driver.submit(name, unique="key", unique_for_ms=SPAN_MS)
    driver.join()
    driver.finish("host", driver.granted()[-1], status)


@pytest.mark.parametrize("taken_over", ["no", "by replay", "by snapshot"])
def test_a_task_that_succeeded_keeps_its_key_for_its_span_whoever_takes_over(taken_over: str) -> None:
    driver = ShardDriver()
    done(driver, "first")
    if taken_over != "no":
        data = encode_snapshot(driver.shard.table, 1, b"")
        driver.take_over(decode_snapshot(data)[0] if taken_over == "by snapshot" else None)
    driver.submit("second", client="other", unique="key")
    assert joined(driver) == {"second": "first"}
    told = [name for step in driver.steps for name, news in step.clients.items() if news.finished]
    assert told[-1] == "other", "its end is told at once"
    driver.wait(SPAN_MS)
    driver.submit("third", unique="key", unique_for_ms=SPAN_MS)
    assert "third" in driver.heard.accepted
    assert driver.shard.table.unique.kept == {}


@pytest.mark.parametrize("end", ["cancel", "fail"])
def test_a_task_that_did_not_succeed_lets_go_of_its_key(end: str) -> None:
    driver = ShardDriver()
    if end == "fail":
        done(driver, "first", OutcomeStatus.FAILED_PERMANENTLY)
    else:
        driver.submit("first", unique="key", unique_for_ms=SPAN_MS)
        driver.cancel("first")
    driver.submit("second", unique="key")
    assert "second" in driver.heard.accepted


def test_a_dead_letter_is_not_queued_again_within_the_span_of_another_that_succeeded() -> None:
    driver = ShardDriver()
    done(driver, "dead", OutcomeStatus.FAILED_PERMANENTLY)
    done(driver, "first")
    assert change(driver, TaskChange.RETRY, "dead").key_taken == ["dead"]
    driver.wait(SPAN_MS)
    assert change(driver, TaskChange.RETRY, "dead").done == ["dead"]


def test_who_joins_a_task_that_is_forgotten_hears_that_its_end_is_not_known_here() -> None:
    driver = ShardDriver(ShardConfig(retention_ms=1_000))
    done(driver, "first")
    driver.wait(5_000)
    assert "first" not in driver.shard.table.tasks
    driver.submit("second", unique="key")
    assert joined(driver) == {"second": "first"}
    unknown = [name for step in driver.steps for news in step.clients.values() for name in news.unknown]
    assert unknown == ["first"]


def test_keys_that_are_kept_have_a_bound() -> None:
    driver = ShardDriver(ShardConfig(kept_keys=1))
    done(driver, "first")
    driver.submit("plain", unique="other")
    refused = submission("second", created_ms=driver.now_ms, unique="another", unique_for_ms=SPAN_MS)
    intake.submit(driver.shard, "client", [refused], driver.now_ms)
    driver.settle()
    assert driver.heard.accepted == ["first", "plain"]
    assert driver.heard.refused["second"] == "backpressure"
    driver.wait(SPAN_MS)
    driver.submit("third", unique="another", unique_for_ms=SPAN_MS)
    assert "third" in driver.heard.accepted


@pytest.mark.parametrize("fields", [{"unique_for_ms": 1}, {"unique": "k", "unique_for_ms": 1 << 40}])
def test_a_span_needs_a_key_and_ends_within_a_year(fields: dict[str, object]) -> None:
    assert not intake.is_well_formed(structs.replace(submission("t"), **fields))
