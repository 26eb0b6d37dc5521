"""A dead letter runs again, edited; what it was stays with it, and in the log, the events and history."""

from __future__ import annotations

import msgspec
import pytest

from ohmesh.model.message import ChangeTasks, ListTasks, Problem, TaskChange, TasksChanged
from ohmesh.model.task import FormerTask, OutcomeStatus, TaskEdit, TaskState, TaskView
from ohmesh.protocols.queue import rows as r
from ohmesh.protocols.queue.dead_letters import change_tasks
from ohmesh.protocols.queue.events import EventFold
from ohmesh.protocols.queue.history import History
from ohmesh.protocols.queue.queries import list_tasks
from ohmesh.protocols.queue.snapshot import decode_snapshot, encode_snapshot
from ohmesh.protocols.queue.task_table import TaskTable
from tests.unit.protocols.queue.shard_driver import ShardDriver


def edit(driver: ShardDriver, task_id: str, wish: TaskEdit, request: str = "edit") -> TasksChanged:
    answer = change_tasks(
        driver.shard, ChangeTasks(TaskChange.REPLAY, request, [task_id], edit=wish), driver.now_ms
    )
    driver.settle()
    assert isinstance(answer, TasksChanged), answer
    return answer


def shown(driver: ShardDriver, task_id: str) -> TaskView:
    page = list_tasks(driver.shard, ListTasks([task_id], with_payload=True))
    return page.tasks[0]


@pytest.mark.parametrize("by_snapshot", [False, True])
def test_a_dead_letter_is_edited_and_what_it_was_is_kept(by_snapshot: bool) -> None:
    driver = ShardDriver()
    driver.join()
    driver.submit("t", timeout_ms=7_000)
    driver.finish("host", driver.granted()[-1], OutcomeStatus.FAILED_PERMANENTLY)
    edited_ms = driver.now_ms
    assert edit(driver, "t", TaskEdit(b"mended", priority=3)).done == ["t"]
    table = decode_snapshot(encode_snapshot(driver.shard.table, 1, b""))[0] if by_snapshot else None
    driver.take_over(table)
    grant = driver.granted()[-1]
    assert (grant.task_id, grant.payload, grant.attempt, grant.timeout_ms) == ("t", b"mended", 1, 7_000)
    view = shown(driver, "t")
    assert (view.payload, view.priority, len(view.failures)) == (b"mended", 3, 1)
    assert view.edits == (FormerTask(edited_ms, b"payload", 1, 7_000),)


def test_the_same_edit_heard_twice_is_one_run_and_one_edit() -> None:
    driver = ShardDriver()
    driver.join()
    driver.submit("t")
    driver.finish("host", driver.granted()[-1], OutcomeStatus.FAILED_PERMANENTLY)
    for _ in range(2):
        assert edit(driver, "t", TaskEdit(b"mended"), "same").done == ["t"]
    driver.finish("host", driver.granted()[-1], OutcomeStatus.FAILED_PERMANENTLY)
    assert edit(driver, "t", TaskEdit(b"mended"), "same").done == ["t"]
    assert driver.state("t") is TaskState.FAILED
    assert len(shown(driver, "t").edits) == 1


def test_only_the_last_edits_are_kept_and_a_page_has_its_bound() -> None:
    driver = ShardDriver()
    driver.join()
    driver.submit("t", payload=b"0" * 100_000)
    for number in range(1, 6):
        driver.finish("host", driver.granted()[-1], OutcomeStatus.FAILED_PERMANENTLY)
        edit(driver, "t", TaskEdit(bytes([48 + number]) * 100_000), f"edit-{number}")
    view = shown(driver, "t")
    assert view.payload[:1] == b"5"
    assert [(former.payload[:1], former.omitted_bytes) for former in view.edits] == [
        (b"", 100_000),
        (b"3", 0),
        (b"4", 0),
    ]
    assert len(view.payload) + sum(len(former.payload) for former in view.edits) <= 400_000
    assert list_tasks(driver.shard, ListTasks(["t"])).tasks[0].payload == b""


@pytest.mark.parametrize(
    "wish",
    [
        ChangeTasks(TaskChange.RETRY, "w", ["t"], edit=TaskEdit(b"x")),
        ChangeTasks(TaskChange.REPLAY, "w", ["t", "u"], edit=TaskEdit(b"x")),
        ChangeTasks(TaskChange.REPLAY, "w", everything=True, edit=TaskEdit(b"x")),
        ChangeTasks(TaskChange.REPLAY, "w", ["t"], edit=TaskEdit(priority=4)),
        ChangeTasks(TaskChange.REPLAY, "w", ["t"], edit=TaskEdit(timeout_ms=-1)),
        ChangeTasks(TaskChange.REPLAY, "w", ["t"], edit=TaskEdit(b"x" * 512_001)),
    ],
)
def test_an_edit_that_cannot_be_is_refused(wish: ChangeTasks) -> None:
    driver = ShardDriver()
    assert isinstance(change_tasks(driver.shard, wish, driver.now_ms), Problem)


def test_events_and_history_say_what_was_edited_and_what_it_was() -> None:
    driver = ShardDriver()
    driver.join()
    driver.submit("t", payload=msgspec.msgpack.encode([[1], {}]))
    driver.finish("host", driver.granted()[-1], OutcomeStatus.FAILED_PERMANENTLY)
    edit(driver, "t", TaskEdit(msgspec.msgpack.encode([[2], {}]), priority=2))
    fold, history = EventFold(0), History("log", TaskTable(), sequence=0, previous=None)
    told, happened = [], []
    for sequence, data in enumerate(driver.frames, 1):
        told += fold.take(sequence, r.decode_log_frame(data, sequence))
        history.previous = None  # the driver's log has no digests
        history.apply(sequence, data, history.check(sequence, data), silent=False)
    happened = history.take()[1]
    (requeued,) = [event for event in told if event.what == "task.requeued"]
    assert requeued.data == {"edited": ["arguments", "priority"]}
    (edited,) = [each for each in happened if each.kind == "dead_letter_edited"]
    assert edited.subject == "t"
    assert edited.detail == "1 failure before; arguments [[2],{}], before [[1],{}]; priority 2, before 1"
