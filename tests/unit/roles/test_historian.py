"""Questions about the past: answered from the ledger, or with the reason why not, and never left hanging."""

from __future__ import annotations

import asyncio

import pytest

from ohmesh.errors import EngineUnavailable, InvalidArgument, MeshUnreachable, OhmeshError
from ohmesh.model.frame import decode_history_reply, encode_frame
from ohmesh.model.history import UNKNOWN_BEHIND, AskEvents, AskHistory
from ohmesh.model.message import Problem
from ohmesh.ports.ledger import Event
from tests.unit.roles.past_in_memory import CONFIG, Past, WatchedLedger, ended, with_past
from tests.unit.roles.scripted_dispatcher import SUBJECTS
from tests.unit.simulator.passing_time import pass_time


def test_a_page_comes_with_how_far_history_is_behind() -> None:
    async def scenario(past: Past) -> None:
        past.start()
        await past.record(ended(1), ended(2))
        await past.lengthen_log(5)
        unknown = await past.client.history.tasks(AskHistory())
        past.positions = {0: 2}
        page = await past.client.history.tasks(AskHistory())
        assert ([view.task_id for view in page.tasks], page.behind) == (["T0001", "T0002"], 3)
        assert unknown.behind == UNKNOWN_BEHIND

    with_past(scenario)


def test_a_page_is_gathered_from_as_many_answers_as_it_takes() -> None:
    async def scenario(past: Past) -> None:
        past.start()
        past.ledger.page_tasks = 3
        await past.record(*map(ended, range(20)))
        page = await past.client.history.tasks(AskHistory(limit=10))
        assert [view.task_id for view in page.tasks] == [f"T{number:04}" for number in range(10)]
        rest = await past.client.history.tasks(AskHistory(limit=100, after=page.after))
        assert (rest.tasks[0].task_id, len(rest.tasks), rest.after) == ("T0010", 10, "")

    with_past(scenario)


def test_a_ledger_that_is_away_is_told_at_once() -> None:
    async def scenario(past: Past) -> None:
        past.start()
        past.ledger.is_away = True
        with pytest.raises(EngineUnavailable, match=r"disk of the ledger is full.*history catches up"):
            await past.client.history.tasks(AskHistory())
        assert asyncio.get_running_loop().time() < 1.0
        described = await past.client.history.describe()
        assert (described.ledger, described.behind) == ("sqlite:///there", UNKNOWN_BEHIND)
        assert "disk of the ledger is full" in described.trouble

    with_past(scenario)


def test_a_ledger_that_does_not_answer_is_told_before_the_client_gives_up() -> None:
    async def scenario(past: Past) -> None:
        past.ledger = WatchedLedger(takes_s=600.0)
        past.start()
        with pytest.raises(EngineUnavailable, match=r"sqlite:///there gave no answer within 4000 ms"):
            await past.client.history.events(AskEvents())
        assert asyncio.get_running_loop().time() < 5.0
        assert "gave no answer" in (await past.client.history.describe()).trouble

    with_past(scenario)


def test_a_question_waits_for_a_ledger_that_is_being_opened() -> None:
    async def scenario(past: Past) -> None:
        historian = past.start(opens=False)
        await past.record(ended(1))
        asking = asyncio.create_task(past.client.history.tasks(AskHistory()))
        await pass_time(2.0)
        assert not asking.done()
        historian.opened(past.ledger, lambda: past.positions)
        assert len((await asking).tasks) == 1

    with_past(scenario)


def test_why_a_ledger_cannot_be_opened_is_told_until_it_is() -> None:
    async def scenario(past: Past) -> None:
        historian = past.start(opens=False)
        historian.refused("The ledger cannot be opened: no such database.")
        with pytest.raises(EngineUnavailable, match="no such database"):
            await past.client.history.tasks(AskHistory())
        historian.opened(past.ledger, lambda: past.positions)
        assert await past.client.history.tasks(AskHistory())

    with_past(scenario)


def test_a_question_outlives_the_move_of_the_historian() -> None:
    async def scenario(past: Past) -> None:
        past.start()
        await past.record(ended(1))
        await past.stop()
        asking = asyncio.create_task(past.client.history.tasks(AskHistory()))
        await pass_time(3.0)
        assert not asking.done()
        past.start()
        assert len((await asking).tasks) == 1

    with_past(scenario)


def test_where_nobody_answers_the_question_fails_in_time() -> None:
    async def scenario(past: Past) -> None:
        with pytest.raises(MeshUnreachable, match=r"history of mesh 'test' within 3 s.*ohmesh doctor"):
            await past.client.history.tasks(AskHistory(), timeout_s=3.0)
        assert asyncio.get_running_loop().time() <= 3.0

    with_past(scenario)


def test_two_historians_at_once_give_one_answer() -> None:
    async def scenario(past: Past) -> None:
        past.start()
        past.start()
        await past.record(ended(1))
        page = await past.client.history.tasks(AskHistory())
        assert (len(page.tasks), past.ledger.most_at_once) == (1, 1)

    with_past(scenario)


def test_many_questions_are_all_answered_and_few_are_with_the_ledger_at_once() -> None:
    async def scenario(past: Past) -> None:
        past.ledger = WatchedLedger(takes_s=0.2)
        past.start()
        asked = [past.client.history.tasks(AskHistory(), timeout_s=60.0) for _ in range(40)]
        pages = await asyncio.gather(*asked)
        assert len(pages) == 40
        assert past.ledger.most_at_once == CONFIG.concurrent

    with_past(scenario)


def test_a_crowd_is_told_when_to_come_again() -> None:
    async def scenario(past: Past) -> None:
        past.ledger = WatchedLedger(takes_s=0.2)
        past.start()
        frame = encode_frame("client", 0, 0, [AskHistory()])
        answers = await asyncio.gather(
            *(
                past.engine.bus.request(SUBJECTS.historian(), frame, timeout_s=30.0)
                for _ in range(CONFIG.questions + 1)
            )
        )
        codes = [
            body.code
            for each in map(decode_history_reply, answers)
            for body in each.bodies
            if isinstance(body, Problem)
        ]
        assert codes == ["backpressure"]

    with_past(scenario)


@pytest.mark.parametrize(
    "frame",
    [b"", b"\xc1", encode_frame("client", 0, 0, []), encode_frame("client", 0, 0, [AskHistory()] * 2)],
)
def test_what_is_no_question_is_refused(frame: bytes) -> None:
    async def scenario(past: Past) -> None:
        past.start()
        answer = await past.engine.bus.request(SUBJECTS.historian(), frame, timeout_s=5.0)
        (body,) = decode_history_reply(answer).bodies
        assert isinstance(body, Problem)
        assert body.code == InvalidArgument.code

    with_past(scenario)


def test_a_defect_is_told_and_the_next_question_is_answered() -> None:
    async def scenario(past: Past) -> None:
        past.start()
        past.ledger.is_defective = True
        with pytest.raises(OhmeshError, match="ZeroDivisionError: a defect"):
            await past.client.history.tasks(AskHistory())
        past.ledger.is_defective = False
        assert await past.client.history.tasks(AskHistory())
        assert [notice for notice in past.notices if "This is a bug" in notice]

    with_past(scenario)


def test_events_are_cut_where_one_message_is_full() -> None:
    async def scenario(past: Past) -> None:
        past.start()
        await past.record(events=[Event(n, "host_joined", f"host-{n}", "x" * 200) for n in range(10)])
        page = await past.client.history.events(AskEvents(limit=10))
        assert ([event.at_ms for event in page.events], page.is_cut) == ([9, 8, 7], True)
        page = await past.client.history.events(AskEvents(limit=2))
        assert ([event.subject for event in page.events], page.is_cut) == (["host-9", "host-8"], False)

    with_past(scenario)


def test_the_last_ends_of_tasks_are_asked_for_once() -> None:
    async def scenario(past: Past) -> None:
        with pytest.raises(MeshUnreachable):
            await past.client.history.last_ends(["T0001"])
        assert asyncio.get_running_loop().time() < 1.0
        past.start()
        past.ledger.page_tasks = 2
        await past.record(ended(1, finished_ms=9), ended(2), ended(1, finished_ms=5), ended(3))
        ends = await past.client.history.last_ends(["T0001", "T0002", "T0003", "unknown"])
        assert {task_id: view.finished_ms for task_id, view in ends.items()} == {
            "T0001": 9,
            "T0002": 0,
            "T0003": 0,
        }

    with_past(scenario)
