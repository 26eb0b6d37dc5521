"""The verbs about history, on a real historian over a ledger in memory."""

from __future__ import annotations

import msgspec
import pytest

from ohmesh.errors import InvalidArgument, TaskFailed, UnknownTask
from ohmesh.mesh.async_mesh import AsyncMesh
from ohmesh.model.task import TaskFailure, TaskState
from ohmesh.operations.commands import find_command
from ohmesh.operations.history_results import HistoryEvents, TaskHistory
from ohmesh.operations.results import TaskList, TaskOutcome
from ohmesh.ports.ledger import Event
from tests.unit.roles.past_in_memory import Past, ended, with_past

DAY_MS = 86_400_000


async def call(past: Past, name: str, **values: object) -> msgspec.Struct:
    command = find_command(name)
    result = await command.call(past.client, command.parse(values))
    assert type(result) is command.result_type()
    return result


def test_every_condition_reaches_the_ledger() -> None:
    async def scenario(past: Past) -> None:
        past.start()
        now_ms = past.client.requests.now_ms()
        given = {"kind": "text", "state": "Dead", "worker": "box", "limit": 7, "after": "0"}
        history = await call(past, "history list", since="2d", until="2100-01-01", **given)
        (asked,) = past.ledger.asked
        assert (asked.kind, asked.state, asked.host, asked.limit, asked.after) == (
            "text",
            "dead",
            "box",
            7,
            "0",
        )
        assert (asked.since_ms, asked.until_ms) == (max(1, now_ms - 2 * DAY_MS), 4_102_444_800_000)
        assert isinstance(history, TaskHistory)
        assert history.filter.startswith("kind=text and state=dead and worker=box and ended>=")
        assert history.filter.endswith("Z and ended<2100-01-01T00:00:00Z")

    with_past(scenario)


def test_a_page_holds_tasks_with_their_values_and_how_far_history_is_behind() -> None:
    async def scenario(past: Past) -> None:
        past.start()
        past.positions = {0: 0}
        await past.lengthen_log(2)
        await past.record(ended(1, value=msgspec.msgpack.encode({"label": "POSITIVE"})))
        history = await call(past, "history list")
        assert isinstance(history, TaskHistory)
        (task,) = history
        assert (task.task_id, task.value, history.behind, history.filter) == (
            "T0001",
            {"label": "POSITIVE"},
            2,
            "",
        )

    with_past(scenario)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"since": "1h", "until": "2h"}, "Nothing can have ended since"),
        ({"since": "soon"}, "since: 'soon' is no moment"),
        ({"state": "running"}, "no task ends as 'running'"),
        ({"limit": 0}, "limit: expected int >= 1"),
    ],
)
def test_a_question_that_cannot_be_meant_is_refused_before_it_is_asked(
    given: dict[str, object], said: str
) -> None:
    async def scenario(past: Past) -> None:
        past.start()
        with pytest.raises(InvalidArgument, match=said):
            await call(past, "history list", **given)
        assert not past.ledger.asked

    with_past(scenario)


def test_events_are_listed_by_kind() -> None:
    async def scenario(past: Past) -> None:
        past.start()
        await past.record(
            events=[Event(1, "host_joined", "box", "pid 7"), Event(2, "epoch_started", "log", "Epoch 1")]
        )
        events = await call(past, "history events", kind="host_joined")
        assert isinstance(events, HistoryEvents)
        assert [(each.kind, each.subject, each.detail) for each in events] == [
            ("host_joined", "box", "pid 7")
        ]

    with_past(scenario)


def test_a_task_that_is_no_longer_held_has_its_result_in_history() -> None:
    async def scenario(past: Past) -> None:
        past.start()
        await past.record(
            ended(1, value=msgspec.msgpack.encode("kept")),
            msgspec.structs.replace(
                ended(2), state=TaskState.DEAD, value=b"", failures=(TaskFailure("ValueError", "no"),)
            ),
        )
        good = await call(past, "result", task_id="T0001")
        bad = await call(past, "result", task_id="T0002")
        assert isinstance(good, TaskOutcome)
        assert isinstance(bad, TaskOutcome)
        assert (good.state, good.value) == (TaskState.SUCCEEDED, "kept")
        assert (bad.state, str(bad.failure)) == (TaskState.DEAD, "ValueError: no")
        mesh = AsyncMesh(past.client)
        assert await mesh.result("T0001") == "kept"
        with pytest.raises(TaskFailed, match="ValueError: no"):
            await mesh.result("T0002")

    with_past(scenario)


def test_get_shows_what_history_has_in_the_order_asked_for() -> None:
    async def scenario(past: Past) -> None:
        past.start()
        await past.record(ended(1), ended(2))
        listed = await call(past, "tasks get", task_ids=["T0002", "NEVERWAS", "T0001"])
        assert isinstance(listed, TaskList)
        assert ([task.task_id for task in listed], listed.total) == (["T0002", "T0001"], 2)
        assert listed.unknown == ["NEVERWAS"]

    with_past(scenario)


def test_a_result_that_history_could_not_keep_is_told_with_its_size() -> None:
    async def scenario(past: Past) -> None:
        past.start()
        await past.record(
            msgspec.structs.replace(ended(1), value=b"", value_omitted_bytes=70_000, finished_ms=DAY_MS)
        )
        with pytest.raises(UnknownTask, match=r"succeeded at 1970-01-02T00:00:00Z.*70000 bytes"):
            await call(past, "result", task_id="T0001")

    with_past(scenario)


def test_an_unknown_task_says_when_history_could_not_be_asked() -> None:
    async def scenario(past: Past) -> None:
        past.start()
        with pytest.raises(UnknownTask, match="knows no task NEVERWAS"):
            await call(past, "result", task_id="NEVERWAS")
        past.ledger.is_away = True
        with pytest.raises(UnknownTask, match=r"history cannot be asked now: The disk of the ledger is full"):
            await call(past, "result", task_id="NEVERWAS")
        listed = await call(past, "tasks get", task_ids=["NEVERWAS"])
        assert isinstance(listed, TaskList)
        assert listed.unknown == ["NEVERWAS"]

    with_past(scenario)


def test_python_asks_in_the_same_words() -> None:
    async def scenario(past: Past) -> None:
        past.start()
        await past.record(ended(1), events=[Event(1, "host_joined", "box")])
        mesh = AsyncMesh(past.client)
        history = await mesh.history(kind="text", state="succeeded", worker="box", since="1h", limit=5)
        assert [task.task_id for task in history] == ["T0001"]
        (asked,) = past.ledger.asked
        assert (asked.kind, asked.state, asked.host, asked.limit) == ("text", "succeeded", "box", 5)
        assert [event.subject for event in await mesh.history_events(kind="host_joined")] == ["box"]
        with pytest.raises(InvalidArgument, match="no moment"):
            await mesh.history(until="tomorrow")

    with_past(scenario)
