"""The tasks that a process holds, and the page that both sides see."""

from __future__ import annotations

import os

import pytest

from ohmesh.model.agent import AgentSpec
from ohmesh.model.task import Grant, OutcomeStatus
from ohmesh.runners.agent_load import AgentLoad
from ohmesh.runners.config import RunnerConfig
from ohmesh.runners.custody import Custody
from ohmesh.runners.held_task import HeldTask
from ohmesh.runners.page import (
    COMMITTED,
    CURRENT,
    HOLD,
    SINCE,
    STARTED,
    Page,
    committed_word,
    create_page_file,
    rows_in,
)

AGENT = AgentLoad(AgentSpec("a", "a"), RunnerConfig(targets=("x",)), is_async=False)


def tasks(count: int) -> list[HeldTask]:
    return [
        HeldTask(Grant(lease, f"task-{lease}", "a", b"", 1, 1000), AGENT, late_at_ns=0, estimate_ns=10)
        for lease in range(1, count + 1)
    ]


def new_words() -> memoryview:
    return memoryview(bytearray(8 * 8)).cast("Q")


def test_numbers_go_on_from_batch_to_batch() -> None:
    custody = Custody(new_words(), settle_ns=5)
    assert custody.take(tasks(3)).first == 1
    assert custody.take(tasks(2)).first == 4
    assert list(custody.sent) == [1, 2, 3, 4, 5]
    assert custody.backlog_ns == 50


def test_a_number_is_settled_once() -> None:
    custody = Custody(new_words(), settle_ns=5)
    custody.take(tasks(1))
    assert custody.settle(1) is not None
    assert custody.settle(1) is None
    assert custody.backlog_ns == 0


def test_recall_waits_until_both_sides_see_the_same_and_takes_only_what_has_not_started() -> None:
    words = new_words()
    custody = Custody(words, settle_ns=5)
    custody.take(tasks(4))
    custody.hold(100)
    assert words[HOLD] == 1
    words[STARTED] = 2
    assert custody.recall(104) == []
    assert [task.grant.lease for task in custody.recall(105)] == [3, 4]
    assert list(custody.sent) == [1, 2]


def test_the_hold_is_lifted_when_every_recalled_number_was_answered() -> None:
    words = new_words()
    custody = Custody(words, settle_ns=5)
    custody.take(tasks(3))
    custody.hold(100)
    words[STARTED] = 1
    custody.recall(110)
    custody.settle(1)
    custody.release()
    assert words[HOLD] == 1
    words[STARTED] = 3
    assert custody.settle(2) is None
    assert custody.settle(3) is None
    custody.release()
    assert not custody.is_holding
    assert words[HOLD] == 0


def test_work_is_stuck_when_it_was_there_at_the_last_look_and_nothing_has_started_since() -> None:
    words = new_words()
    custody = Custody(words, settle_ns=5)
    custody.take(tasks(2))
    words[STARTED] = words[CURRENT] = 1
    assert custody.look() == (False, 0)
    assert custody.look() == (True, 1)
    words[STARTED] = words[CURRENT] = 2
    assert custody.look() == (False, 0)
    assert custody.look() == (False, 2)


def test_the_first_reason_to_end_a_task_stands() -> None:
    custody = Custody(new_words(), settle_ns=5)
    custody.take(tasks(1))
    custody.end(1, OutcomeStatus.CANCELLED, 50)
    custody.end(1, OutcomeStatus.TIMED_OUT, 10)
    custody.end(2, OutcomeStatus.TIMED_OUT, 10)
    assert {number: ending.status for number, ending in custody.endings.items()} == {
        1: OutcomeStatus.CANCELLED
    }


def test_nobody_runs_when_no_number_is_written() -> None:
    words = new_words()
    custody = Custody(words, settle_ns=5)
    words[SINCE] = 77
    assert custody.running() == (0, 0)
    words[CURRENT] = 3
    assert custody.running() == (3, 77)


def test_what_one_mapping_of_the_page_writes_the_other_reads() -> None:
    descriptor = create_page_file(8192)
    ours, theirs = Page(descriptor), Page(descriptor)
    os.close(descriptor)
    theirs.outbox[11:14] = b"abc"
    theirs.words[COMMITTED] = committed_word(70_000, 2, 3)
    word, rows = ours.committed()
    assert (rows_in(word), rows) == (2, b"abc")
    ours.close()
    theirs.close()


@pytest.mark.parametrize(
    ("sent", "limit"),
    [(0, 1 << 30), (1, 1), (8, 1 << 30)],
    ids=["default", "one at once", "more than processes"],
)
def test_declared_slots_limit_sync_agents_below_the_number_of_processes(sent: int, limit: int) -> None:
    load = AgentLoad(
        AgentSpec("a", "a", slots=sent), RunnerConfig(targets=("x",), sync_processes=4), is_async=False
    )
    assert load.limit == limit
    assert load.width() == (sent if sent == 1 else 4)


def test_the_width_at_most_doubles_and_falls_at_once() -> None:
    load = AgentLoad(
        AgentSpec("a", "a", slots=0), RunnerConfig(targets=("x",), sync_processes=2), is_async=False
    )
    heard: list[int] = []
    for _ in range(12):
        load.observe(1000)
        load.announce(lambda agent, slots: heard.append(slots))
    assert heard == [4, 8, 16, 32, 64, 128, 256, 512]
    load.observe(1_000_000_000)
    load.announce(lambda agent, slots: heard.append(slots))
    assert heard[-1] == 2
