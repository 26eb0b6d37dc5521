"""A limited kind: so many start in a time, so many run at a time, whoever dispatches and whatever dies."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmesh.errors import InvalidArgument, LogCorrupt
from ohmesh.model.limit import CONCURRENCY, RATE, KindLimit
from ohmesh.model.message import Describe, KindState, LimitKind, Problem, ShardDescription
from ohmesh.model.task import OutcomeStatus
from ohmesh.protocols.queue import limiting, queries
from ohmesh.protocols.queue import rows as r
from ohmesh.protocols.queue.explanation import explain
from ohmesh.protocols.queue.shard import ShardConfig
from ohmesh.protocols.queue.snapshot import decode_snapshot, encode_snapshot
from tests.unit.protocols.queue.shard_driver import ShardDriver

TEN_A_SECOND = KindLimit(10, 1_000, 1)


def limit(driver: ShardDriver, wanted: KindLimit | None, kind: str = "kind") -> KindState:
    answer = limiting.limit_kind(driver.shard, LimitKind(kind, wanted), driver.now_ms)
    driver.settle()
    assert isinstance(answer, KindState)
    return answer


def granted(driver: ShardDriver, host: str = "host") -> list[str]:
    return [grant.task_id for grant in driver.granted(host)]


def names(count: int) -> list[str]:
    return [f"t{number}" for number in range(count)]


def test_what_exceeds_a_rate_waits_in_its_place_and_starts_when_tokens_come() -> None:
    driver = ShardDriver()
    driver.join(slots=10)
    limit(driver, TEN_A_SECOND)
    driver.submit(*names(3))
    assert granted(driver) == []
    driver.wait(99)
    assert granted(driver) == []
    driver.wait(1)
    assert granted(driver) == ["t0"]
    driver.wait(200)
    assert granted(driver) == ["t0", "t1"], "no more than a burst at once"


def test_an_idle_kind_gathers_its_burst() -> None:
    driver = ShardDriver()
    driver.join(slots=10)
    limit(driver, KindLimit(10, 1_000, 3))
    for _ in range(5):
        driver.wait(1_000)
    driver.submit(*names(5))
    assert granted(driver) == names(3)


def test_no_more_run_at_a_time_than_the_limit_says() -> None:
    driver = ShardDriver()
    limit(driver, KindLimit(concurrency=2))
    driver.join("a", slots=2)
    driver.join("b", slots=2)
    driver.submit(*names(5))
    first = driver.granted("a") + driver.granted("b")
    assert len(first) == 2
    driver.finish("a" if driver.granted("a") else "b", first[0])
    assert len(driver.granted("a") + driver.granted("b")) == 3


def test_other_kinds_are_not_delayed() -> None:
    driver = ShardDriver()
    driver.join("slow", kind="kind", slots=5)
    driver.join("fast", kind="other", slots=5)
    limit(driver, KindLimit(1, 60_000, 1))
    driver.submit(*names(3))
    driver.submit("u", "v", kind="other")
    assert granted(driver, "slow") == []
    assert granted(driver, "fast") == ["u", "v"]


def test_a_cancelled_task_counts_until_its_host_lets_go() -> None:
    driver = ShardDriver()
    limit(driver, KindLimit(concurrency=1))
    driver.join(slots=2)
    driver.submit("a", "b")
    driver.cancel("a")
    assert granted(driver) == ["a"]
    driver.finish("host", driver.granted()[0], OutcomeStatus.CANCELLED)
    assert granted(driver) == ["a", "b"]


def test_all_slots_are_free_a_lease_after_the_holders_were_killed() -> None:
    driver = ShardDriver()
    limit(driver, KindLimit(concurrency=3))
    driver.join("doomed", slots=5)
    driver.submit(*names(6))
    assert len(driver.granted("doomed")) == 3
    driver.wait(10_001)
    driver.join("fresh", slots=5)
    assert granted(driver, "fresh") == names(3)
    assert len(driver.shard.table.limits.held["kind"]) == 3


def test_tasks_of_several_needs_share_one_limit() -> None:
    driver = ShardDriver()
    limit(driver, KindLimit(concurrency=2))
    driver.submit("a", "b")
    driver.submit("g", requires=("gpu",))
    driver.join(slots=5, capabilities=("gpu",))
    assert len(granted(driver)) == 2


@pytest.mark.parametrize("limited", [KindLimit(concurrency=2), KindLimit(10, 1_000, 2)])
def test_each_task_of_an_envelope_counts(limited: KindLimit) -> None:
    driver = ShardDriver()
    driver.join(slots=9, takes_envelopes=True)
    limit(driver, limited)
    driver.submit("e", payload=msgspec.msgpack.encode([[[number], {}] for number in range(5)]), items=5)
    for _ in range(4):
        driver.wait(50)
    assert granted(driver) == ["e.0", "e.1"]


@pytest.mark.parametrize("by_snapshot", [False, True])
def test_a_limit_outlives_its_dispatcher_and_its_bucket_begins_empty(by_snapshot: bool) -> None:
    driver = ShardDriver()
    driver.join(slots=9)
    limit(driver, KindLimit(10, 1_000, 5, 8))
    driver.wait(900)
    snapshot = encode_snapshot(driver.shard.table, 1, b"")
    driver.take_over(decode_snapshot(snapshot)[0] if by_snapshot else None)
    driver.join(slots=9)
    driver.submit(*names(3))
    assert granted(driver) == []
    driver.wait(100)
    assert granted(driver) == ["t0"]
    assert driver.shard.table.limits.of == {"kind": KindLimit(10, 1_000, 5, 8)}


def test_the_leases_of_before_count_after_a_takeover() -> None:
    driver = ShardDriver()
    limit(driver, KindLimit(concurrency=2))
    driver.join(slots=5)
    driver.submit(*names(4))
    driver.take_over()
    driver.join("other", slots=5)
    assert granted(driver, "other") == []
    limit(driver, KindLimit(concurrency=3))
    assert len(granted(driver, "other")) == 1


def test_a_leap_of_the_clock_is_no_token() -> None:
    driver = ShardDriver()
    driver.join(slots=9)
    limit(driver, KindLimit(10, 1_000, 9))
    driver.submit(*names(5))
    driver.now_ms += 3_600_000
    driver.settle()
    assert granted(driver) == [], "not even before the next tick"
    driver.join(slots=9)
    driver.wait(100)
    assert granted(driver) == ["t0"]


def test_a_limit_is_told_and_says_whether_it_holds_back() -> None:
    driver = ShardDriver()
    driver.join(slots=5)
    state = limit(driver, KindLimit(1, 1_000, 1, 1))
    assert state.limit is not None
    assert (state.limit.running, state.limit.held_back, state.limit.wait_ms) == (0, "", 1_000)
    driver.submit("a", "b")
    told = explain(driver.shard, "a", driver.now_ms)
    assert told.limit is not None
    assert (told.limit.held_back, told.limit.wait_ms) == (RATE, 1_000)
    driver.wait(1_000)
    assert granted(driver) == ["a"]
    described = queries.answer(driver.shard, Describe(), driver.now_ms, 1)
    assert isinstance(described, ShardDescription)
    assert described.limits["kind"].held_back == CONCURRENCY
    assert described.limits["kind"].running == 1
    assert limit(driver, None).limit is None
    assert granted(driver) == ["a", "b"]


def test_the_same_limit_again_is_no_row_and_empties_nothing() -> None:
    driver = ShardDriver()
    driver.join(slots=5)
    limit(driver, TEN_A_SECOND)
    driver.wait(100)
    limit(driver, TEN_A_SECOND)
    driver.submit("t")
    assert granted(driver) == ["t"]
    limit(driver, None)
    limit(driver, None)
    limits = [row.limit for row in driver.rows() if isinstance(row, r.KindLimited)]
    assert limits == [TEN_A_SECOND, None]


@pytest.mark.parametrize(
    "refused",
    [
        LimitKind("kind", KindLimit()),
        LimitKind("kind", KindLimit(10)),
        LimitKind("kind", KindLimit(10, 1_000, 0)),
        LimitKind("kind", KindLimit(-1, 1_000, 1)),
        LimitKind("kind", KindLimit(1, 1_000, 1, -1)),
        LimitKind("", TEN_A_SECOND),
        LimitKind("third", TEN_A_SECOND),
    ],
)
def test_limits_are_bounded_and_well_formed(refused: LimitKind) -> None:
    driver = ShardDriver(ShardConfig(limited_kinds=2))
    limit(driver, TEN_A_SECOND, "first")
    limit(driver, TEN_A_SECOND, "second")
    answer = limiting.limit_kind(driver.shard, refused, driver.now_ms)
    assert isinstance(answer, Problem)
    assert answer.code == InvalidArgument.code


def test_taking_away_what_is_not_there_is_a_damaged_log() -> None:
    driver = ShardDriver()
    with pytest.raises(LogCorrupt):
        driver.replayed().apply(r.KindLimited(driver.now_ms, "kind", None))


@settings(max_examples=80, deadline=None)
@given(
    count=st.integers(1, 30),
    burst=st.integers(1, 6),
    concurrency=st.integers(0, 4),
    events=st.lists(
        st.tuples(
            st.sampled_from(
                ["wait", "wait", "wait", "submit", "finish", "take over", "kill", "leap", "back"]
            ),
            st.integers(1, 999),
        ),
        max_size=60,
    ),
)
def test_over_any_window_and_any_takeovers_a_limit_is_never_exceeded(
    count: int, burst: int, concurrency: int, events: list[tuple[str, int]]
) -> None:
    driver = ShardDriver()
    limit(driver, KindLimit(count, 1_000, burst, concurrency))
    made = 0
    for number, (event, amount) in enumerate(events):
        if event == "wait":
            driver.wait(amount)
        elif event == "submit":
            driver.submit(*(f"t{made + more}" for more in range(8)))
            made += 8
        elif event == "finish":
            finish_one(driver)
        elif event == "take over":
            driver.take_over()
        elif event == "kill":
            driver.wait(10_001)
        else:
            driver.now_ms += 50_000 if event == "leap" else -50_000
        driver.join(f"h{number}", slots=3)
        leases = len(driver.shard.table.leases)
        assert not concurrency or leases <= concurrency
        assert leases == len(driver.shard.table.limits.held["kind"])
    starts = [(row.at_ms, len(row.task_ids)) for row in driver.rows() if isinstance(row, r.Granted)]
    for first, (begin_ms, _) in enumerate(starts):
        total = 0
        for end_ms, started in starts[first:]:
            total += started
            assert total * 1_000 <= burst * 1_000 + count * (end_ms - begin_ms)


def finish_one(driver: ShardDriver) -> None:
    for lease, task in driver.shard.table.leases.items():
        host = task.agent.rpartition("/")[0]
        for grant in driver.granted(host):
            if grant.lease == lease:
                driver.finish(host, grant)
                return
