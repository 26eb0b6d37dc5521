"""The judge reads rows: what was lost, committed twice or told without being so is found."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import pytest

from ohmesh.errors import PromiseBroken
from ohmesh.model.agent import AgentSpec
from ohmesh.model.limit import KindLimit
from ohmesh.model.message import Progress
from ohmesh.model.task import Submission, TaskFailure, TaskResult, TaskState
from ohmesh.ports.log import Entry
from ohmesh.protocols.queue import rows as r
from ohmesh.roles.client_handle import TaskHandle
from ohmesh.roles.client_stream import StreamItem
from ohmesh.testing.promises import Account, accepted_ids, judge

FAILURE = TaskFailure("ValueError", "no")
SPECS = [AgentSpec("text", "text", ("gpu",))]


class Nobody:
    def await_end(self, handle: TaskHandle) -> None: ...

    def leave(self, handle: TaskHandle) -> None: ...

    async def progress_of(self, handle: TaskHandle) -> AsyncGenerator[Progress]:
        steps: list[Progress] = []
        for step in steps:
            yield step

    async def items_of(self, handle: TaskHandle, after: tuple[int, int]) -> AsyncGenerator[StreamItem]:
        items: list[StreamItem] = []
        for item in items:
            yield item


def account_of(*rows: r.Row) -> Account:
    account = Account()
    account.read(entries_of(rows))
    return account


def entries_of(rows: Sequence[r.Row]) -> list[Entry]:
    return [
        Entry(number, r.encode_log_frame(r.LogFrame(r.LOG_VERSION, 1, number, b"", [row])))
        for number, row in enumerate(rows, 1)
    ]


def submitted(*task_ids: str, due_ms: int = 0, requires: tuple[str, ...] = ()) -> r.Submitted:
    return r.Submitted(
        1, [Submission(task_id, "text", b"", due_ms=due_ms, requires=requires) for task_id in task_ids]
    )


def granted(first_lease: int, *task_ids: str) -> r.Granted:
    return r.Granted(2, "worker-1/text", first_lease, 1000, list(task_ids))


def succeeded(*leases: int) -> r.Succeeded:
    return r.Succeeded(3, list(leases), [b""] * len(leases), [2] * len(leases))


def handle_of(task_id: str, *, is_accepted: bool = True, ended: TaskState | None = None) -> TaskHandle:
    handle = TaskHandle(Nobody(), task_id, 0, submission=Submission(task_id, "text", b""))
    if is_accepted:
        handle.accept(0)
    if ended is not None:
        handle.finish(TaskResult(task_id, ended))
    return handle


def test_a_finished_task_keeps_the_promise() -> None:
    account = account_of(submitted("a", "b"), granted(1, "a", "b"), succeeded(1, 2))
    judge(account, [handle_of("a", ended=TaskState.SUCCEEDED), handle_of("b")], excused={}, seed=1)
    assert account.committed == [("a", 1), ("b", 2)]


def test_an_acknowledged_task_that_is_not_in_the_log_is_lost() -> None:
    with pytest.raises(PromiseBroken, match="1 accepted tasks are lost: gone"):
        judge(account_of(submitted("a")), [handle_of("gone")], excused={"gone": False}, seed=1)


def test_a_task_that_nobody_acknowledged_is_not_missed() -> None:
    account = account_of()
    judge(account, [handle_of("a", is_accepted=False)], excused={}, seed=1)
    assert account.unfinished(accepted_ids([handle_of("a", is_accepted=False)])) == []


def test_two_committed_results_break_the_promise() -> None:
    account = account_of(submitted("a"), granted(1, "a"), succeeded(1), granted(2, "a"), succeeded(2))
    with pytest.raises(PromiseBroken, match=r"a \[1, 2\].*The seed is 9\."):
        judge(account, [], excused={}, seed=9)


def test_a_success_that_was_told_and_not_committed_breaks_the_promise() -> None:
    account = account_of(submitted("a"), granted(1, "a"), r.Failed(3, 1, FAILURE, TaskState.DEAD))
    with pytest.raises(PromiseBroken, match="no result was committed: a"):
        judge(account, [handle_of("a", ended=TaskState.SUCCEEDED)], excused={}, seed=1)


def test_the_state_of_a_task_follows_its_rows() -> None:
    rows: list[r.Row] = [
        submitted("a"),
        granted(1, "a"),
        r.Returned(3, [1], "moved"),
        granted(2, "a"),
        r.Failed(4, 2, FAILURE, TaskState.RETRYING, due_ms=900),
        granted(3, "a"),
        r.Failed(5, 3, FAILURE, TaskState.DEAD),
        r.Requeued(6, ["a"]),
        r.Cancelled(7, ["a"]),
    ]
    states = [account_of(*rows[:count]).states["a"].value for count in range(1, len(rows) + 1)]
    expected = "queued running queued running retrying running dead queued cancelled"
    assert " ".join(states) == expected


def test_entries_are_counted_once_however_often_they_are_read() -> None:
    entries = entries_of([submitted("a"), granted(1, "a"), succeeded(1)])
    account = Account()
    for count in (1, 2, 3, 3):
        account.read(entries[:count])
    assert account.committed == [("a", 1)]


@pytest.mark.parametrize(
    ("rows", "may_wait"),
    [
        ([submitted("a")], False),
        ([submitted("a", due_ms=101)], True),
        ([submitted("a", requires=("tpu",))], True),
        ([submitted("a", requires=("gpu",))], False),
        ([submitted("a"), r.KindPaused(2, "text", True)], True),
        ([submitted("a"), r.KindLimited(2, "text", KindLimit(1, 86_400_000, 1))], True),
        ([submitted("a"), r.KindLimited(2, "text", KindLimit(concurrency=1))], False),
        ([submitted("a"), r.KindPaused(2, "text", True), r.KindPaused(3, "text", False)], False),
        ([submitted("a"), granted(1, "a")], False),
        ([submitted("a"), granted(1, "a"), r.Failed(3, 1, FAILURE, TaskState.RETRYING, due_ms=101)], True),
        ([], False),
    ],
)
def test_a_task_may_wait_for_a_reason_only(rows: list[r.Row], may_wait: bool) -> None:
    assert account_of(*rows).waits_with_reason("a", SPECS, 100) is may_wait
