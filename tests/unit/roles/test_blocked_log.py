"""A log that takes nothing though its engine lives: the writer knows since when, and newcomers are told at once."""

from __future__ import annotations

import asyncio

from ohmesh.engines.memory.faults import CallFate
from ohmesh.errors import Backpressure, EngineFailed, EngineUnavailable
from ohmesh.model.message import (
    Accepted,
    Cancel,
    ChangeTasks,
    Describe,
    HostReport,
    PauseKind,
    Problem,
    Submit,
    TaskChange,
)
from ohmesh.model.task import Submission
from ohmesh.protocols.queue.rows import Released, Submitted
from ohmesh.protocols.queue.task_table import TaskTable
from ohmesh.roles.blocked_log import declined
from ohmesh.roles.log_writer import LogWriter
from tests.unit.roles.queue_engine import QueueEngine, virtually
from tests.waiting import eventually

WHY = EngineFailed("Resource limits exceeded.")


def is_blocked(writer: LogWriter) -> bool:
    return writer.blocked is not None and writer.blocked.since_s <= asyncio.get_running_loop().time()


def test_refusals_block_the_writer_until_one_append_is_taken() -> None:
    async def main(engine: QueueEngine) -> None:
        writer = engine.writer()
        engine.cluster.script_appends(*[CallFate.REFUSE] * 10)
        appending = asyncio.ensure_future(writer.append(1, [Released([1])]))
        await eventually(lambda: is_blocked(writer), what="blocked")
        assert await appending == 1
        assert not is_blocked(writer)
        assert [frame.rows for frame in engine.frames()] == [[Released([1])]]

    virtually(main)


def test_a_new_task_is_refused_with_the_reason_and_one_that_is_decided_waits() -> None:
    table = TaskTable()
    table.apply(Submitted(1, [Submission("decided", "echo", b"")]))
    body = Submit("me", [Submission("decided", "echo", b""), Submission("new", "echo", b"")])
    answer = declined(body, table, 3, WHY)
    assert isinstance(answer, Accepted)
    assert answer.task_ids == []
    assert [(refusal.task_id, refusal.code) for refusal in answer.refused] == [("new", Backpressure.code)]
    assert "shard 3" in answer.refused[0].message
    assert "Resource limits exceeded." in answer.refused[0].message


def test_a_question_or_a_wish_is_answered_with_the_problem() -> None:
    for body in (Describe(), ChangeTasks(TaskChange.REPLAY, "wish", ["t"]), PauseKind("kind", True)):
        answer = declined(body, TaskTable(), 0, WHY)
        assert isinstance(answer, Problem)
        assert answer.code == EngineUnavailable.code


def test_hosts_and_cancellations_are_heard_as_ever() -> None:
    for body in (HostReport("host", 1, 1, 0, [], []), Cancel("me", ["decided"])):
        assert declined(body, TaskTable(), 0, WHY) is None
