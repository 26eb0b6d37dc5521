"""Locks: one holder at a time, first come first served, under a token that never falls, whoever dispatches."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmesh.errors import Backpressure, InvalidArgument, LogCorrupt
from ohmesh.model.lock import AskLock, LockAction, LockAnswer, LockOutcome
from ohmesh.model.message import Problem
from ohmesh.protocols.queue import locks
from ohmesh.protocols.queue import rows as r
from ohmesh.protocols.queue.locks import LockConfig
from ohmesh.protocols.queue.shard import ShardConfig
from ohmesh.protocols.queue.snapshot import decode_snapshot, encode_snapshot
from tests.unit.protocols.queue.shard_driver import ShardDriver

TTL_MS = 10_000
HELD, WAITING, NOT_HELD = LockOutcome.HELD, LockOutcome.WAITING, LockOutcome.NOT_HELD


class Askers:
    """Whoever asks of a driver's shard; an answer goes to the name of who asked."""

    def __init__(self, driver: ShardDriver | None = None) -> None:
        self.driver = driver or ShardDriver()

    def ask(self, action: LockAction, owner: str = "", name: str = "lock", **fields: int) -> Problem | None:
        wish = AskLock(action, name, owner, owner, **({"ttl_ms": TTL_MS} | fields))
        problem = locks.decide(self.driver.shard, wish, owner, self.driver.now_ms)
        self.driver.settle()
        return problem

    def take(self, owner: str, name: str = "lock", **fields: int) -> LockAnswer | None:
        assert self.ask(LockAction.TAKE, owner, name, **({"hold_ms": 1_000} | fields)) is None
        return self.last(owner)

    def renew(self, owner: str, token: int) -> LockOutcome:
        self.ask(LockAction.RENEW, owner, token=token)
        answer = self.last(owner)
        assert answer is not None
        return answer.outcome

    def token(self, owner: str, name: str = "lock") -> int:
        """It takes the lock, which is free."""
        answer = self.take(owner, name)
        assert answer is not None
        assert answer.outcome is HELD
        return answer.token

    def wait(self, duration_ms: int) -> None:
        """In steps in which time does not leap."""
        for step_ms in [250] * (duration_ms // 250) + [duration_ms % 250]:
            self.driver.now_ms += step_ms
            locks.sweep(self.driver.shard, self.driver.now_ms)
            self.driver.settle()

    def holder(self, name: str = "lock") -> str:
        record = self.driver.shard.table.locks.held.get(name)
        return record.owner if record else ""

    def answers(self, owner: str) -> list[LockAnswer]:
        return [
            answer
            for step in self.driver.steps
            for reply, answer in step.answers
            if reply == owner and isinstance(answer, LockAnswer)
        ]

    def last(self, owner: str) -> LockAnswer | None:
        answers = self.answers(owner)
        return answers[-1] if answers else None


def test_a_free_lock_is_held_at_once_and_a_retry_is_the_same_holding() -> None:
    askers = Askers()
    token = askers.token("a")
    assert token == askers.driver.now_ms * 1_000
    assert askers.token("a") == token
    assert sum(isinstance(row, r.LockTaken) for row in askers.driver.rows()) == 1


def test_who_waits_is_answered_when_it_is_its_turn() -> None:
    askers = Askers()
    first = askers.token("a")
    assert askers.take("b") is None
    assert askers.take("c") is None
    askers.ask(LockAction.RELEASE, "a")
    answer = askers.last("b")
    assert answer is not None
    assert answer.outcome is HELD
    assert answer.token > first
    assert (answer.locks[0].holder, answer.locks[0].waiting) == ("b", 1)
    askers.ask(LockAction.RELEASE, "b")
    assert askers.holder() == "c"


def test_who_waits_hears_now_and_then_that_it_does() -> None:
    askers = Askers()
    askers.token("a")
    askers.take("b")
    askers.wait(750)
    assert askers.answers("b") == []
    askers.wait(250)
    (answer,) = askers.answers("b")
    assert (answer.outcome, answer.locks[0].holder) == (WAITING, "a")
    told = askers.take("c", hold_ms=0)
    assert told is not None
    assert told.outcome is WAITING, "who does not want to wait hears so at once"


def test_a_lock_that_is_not_renewed_ends_after_its_ttl_and_goes_to_the_next() -> None:
    askers = Askers()
    token = askers.token("a")
    askers.wait(6_000)
    assert askers.renew("a", token) is HELD
    askers.take("b")
    for _ in range(9):
        askers.wait(1_000)
        askers.take("b")
    assert askers.holder() == "a"
    askers.wait(1_000)
    assert askers.holder() == "b"
    assert askers.renew("a", token) is NOT_HELD


def test_a_renewal_with_another_token_is_none() -> None:
    askers = Askers()
    token = askers.token("a")
    assert askers.renew("a", token - 1) is NOT_HELD
    assert askers.renew("b", token) is NOT_HELD


def test_who_is_silent_for_too_long_is_passed_over() -> None:
    askers = Askers()
    token = askers.token("a")
    askers.take("dead")
    askers.take("b")
    for _ in range(11):
        askers.wait(1_000)
        askers.renew("a", token)
        askers.take("b")
    askers.ask(LockAction.RELEASE, "a")
    assert askers.holder() == "b"


def test_who_gives_up_waiting_is_not_given_the_lock() -> None:
    askers = Askers()
    askers.token("a")
    askers.take("b")
    askers.ask(LockAction.RELEASE, "b")
    askers.ask(LockAction.RELEASE, "a")
    assert askers.holder() == ""
    assert askers.driver.shard.locks.waiters == {}


def test_a_lock_is_taken_away_and_its_holder_hears_so() -> None:
    askers = Askers()
    token = askers.token("a")
    askers.take("b")
    askers.ask(LockAction.FORCE)
    told = askers.last("")
    assert told is not None
    assert (told.locks[0].holder, told.locks[0].token) == ("a", token)
    assert askers.renew("a", token) is NOT_HELD
    assert askers.holder() == "b"
    askers.ask(LockAction.FORCE, name="free")
    told = askers.last("")
    assert told is not None
    assert told.locks == []


@pytest.mark.parametrize("by_snapshot", [False, True])
def test_after_a_takeover_the_holder_holds_on_and_its_ttl_starts_anew(by_snapshot: bool) -> None:
    askers = Askers()
    token = askers.token("a")
    askers.wait(9_000)
    table = decode_snapshot(encode_snapshot(askers.driver.shard.table, 1, b""))[0]
    askers.driver.take_over(table if by_snapshot else None)
    askers.wait(9_750)
    assert askers.renew("a", token) is HELD
    askers.ask(LockAction.RELEASE, "a")
    askers.driver.take_over()
    askers.driver.now_ms -= 3_600_000
    assert askers.token("b") > token, "whatever the clock says"


def test_waiters_line_up_again_by_how_long_they_have_waited() -> None:
    askers = Askers()
    askers.token("a")
    askers.driver.take_over()
    askers.take("late", waited_ms=100)
    askers.take("early", waited_ms=5_000)
    askers.ask(LockAction.RELEASE, "a")
    assert askers.holder() == "early"


def test_a_leap_of_the_clock_ends_nothing() -> None:
    askers = Askers()
    askers.token("a")
    askers.driver.now_ms += 3_600_000
    askers.take("b")
    locks.sweep(askers.driver.shard, askers.driver.now_ms)
    askers.driver.settle()
    askers.wait(9_750)
    assert askers.holder() == "a"


def test_locks_are_listed_by_name() -> None:
    askers = Askers()
    for name in ("b", "a"):
        askers.token("me", name)
    askers.take("you", "a")
    askers.ask(LockAction.LIST, "asker")
    told = askers.last("asker")
    assert told is not None
    assert [(lock.name, lock.holder, lock.waiting) for lock in told.locks] == [("a", "me", 1), ("b", "me", 0)]
    assert told.locks[0].ends_ms == askers.driver.now_ms + TTL_MS


@pytest.mark.parametrize(
    "wish",
    [
        AskLock(LockAction.TAKE, "", "me", ttl_ms=TTL_MS),
        AskLock(LockAction.TAKE, "a b", "me", ttl_ms=TTL_MS),
        AskLock(LockAction.TAKE, "ä", "me", ttl_ms=TTL_MS),
        AskLock(LockAction.TAKE, "x" * 129, "me", ttl_ms=TTL_MS),
        AskLock(LockAction.TAKE, "lock", "", ttl_ms=TTL_MS),
        AskLock(LockAction.TAKE, "lock", "me", ttl_ms=499),
        AskLock(LockAction.TAKE, "lock", "me", ttl_ms=TTL_MS, waited_ms=-1),
    ],
)
def test_what_is_no_lock_is_refused(wish: AskLock) -> None:
    driver = ShardDriver()
    problem = locks.decide(driver.shard, wish, "reply", driver.now_ms)
    assert problem is not None
    assert problem.code == InvalidArgument.code


def test_locks_and_waiters_are_bounded() -> None:
    askers = Askers(ShardDriver(ShardConfig(locks=LockConfig(held=1, waiters=1))))
    askers.token("a")
    problem = askers.ask(LockAction.TAKE, "b", "another")
    assert problem is not None
    assert problem.code == Backpressure.code
    askers.take("b")
    assert askers.ask(LockAction.TAKE, "c") is not None
    assert askers.ask(LockAction.TAKE, "b") is None, "who waits already may ask on"


def test_rows_that_do_not_fit_are_a_damaged_log() -> None:
    askers = Askers()
    token = askers.token("a")
    for row in (
        r.LockTaken(1, "lock", "b", token + 1, TTL_MS),
        r.LockTaken(1, "other", "b", token, TTL_MS),
        r.LockReleased(1, "lock", token - 1),
        r.LockReleased(1, "other", token),
    ):
        with pytest.raises(LogCorrupt):
            askers.driver.replayed().apply(row)


OWNERS = ("a", "b", "c", "d")
EVENTS = st.tuples(
    st.sampled_from(
        ["take", "take", "take", "renew", "release", "wait", "wait", "take over", "leap", "back", "force"]
    ),
    st.sampled_from(OWNERS),
    st.integers(1, 4_000),
)


@settings(max_examples=120, deadline=None)
@given(events=st.lists(EVENTS, max_size=60))
def test_tokens_rise_and_holders_follow_each_other_whatever_happens(
    events: list[tuple[str, str, int]],
) -> None:
    askers = Askers()
    believes_until: dict[str, int] = {}
    tokens: dict[str, int] = {}
    for event, owner, amount in events:
        driver, heard = askers.driver, len(askers.answers(owner))
        if event == "take":
            askers.take(owner)
        elif event == "renew" and owner in tokens:
            askers.renew(owner, tokens[owner])
        elif event == "release":
            askers.ask(LockAction.RELEASE, owner)
            believes_until.pop(owner, None)
        elif event == "wait":
            askers.wait(amount)
        elif event == "take over":
            driver.take_over()
        elif event == "force":
            askers.ask(LockAction.FORCE)
            believes_until.clear()
        elif event in ("leap", "back"):
            driver.now_ms += amount * 100 if event == "leap" else -amount
            believes_until.clear()
        now_ms = driver.shard.advance(driver.now_ms)
        holder = askers.holder()
        for answer in askers.answers(owner)[heard:]:
            if answer.outcome is HELD and event in ("take", "renew"):
                tokens[owner] = answer.token
                believes_until[owner] = now_ms + TTL_MS
        for believer, until_ms in believes_until.items():
            assert until_ms <= now_ms or believer == holder, (
                "nobody else holds it while its holder may believe"
            )
        taken = [row.token for row in driver.rows() if isinstance(row, r.LockTaken)]
        assert taken == sorted(set(taken)), "tokens rise for ever"
        assert driver.shard.table.locks.held == driver.replayed().locks.held
        book = driver.shard.locks
        assert sorted(book.waiters) == sorted(
            (name, one.owner) for name, line in book.waiting.items() for one in line
        )
        assert set(book.ends_ms) == set(driver.shard.table.locks.held)
        assert all(book.table.held[name] for name in book.waiting), "nobody waits for what is free"
