"""Agents that exist as rows of arrays only: what they answer, and when."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from ohmesh.errors import InvalidArgument
from ohmesh.handlers.simulated_agents import SimulatedAgents, Unfit, parse_unfit, standard_mix
from ohmesh.model.agent_class import AgentClasses
from ohmesh.model.context import mark_text
from ohmesh.model.fleet_message import Coordinate, Expectation, MessageHead, TargetState, Verb
from ohmesh.ports.population import Answered

CLASSES = AgentClasses()
ROWS = np.arange(300, 600)


class Alarm:
    """Delays that pass when the test says so."""

    def __init__(self) -> None:
        self.delays_ms: NDArray[np.float32] = np.zeros(0, np.float32)
        self.ring: Callable[[NDArray[np.intp]], None]

    def __call__(self, delays_ms: NDArray[np.float32], ring: Callable[[NDArray[np.intp]], None]) -> None:
        self.delays_ms, self.ring = delays_ms, ring


def order(verb: Verb, expects: Expectation = Expectation.ACK, payload: bytes = b"") -> Coordinate:
    return Coordinate(MessageHead("operation", "test", 0), verb, payload=payload, expects=expects)


def told(message: Coordinate, *, unfit: Unfit | None = None) -> tuple[list[Answered], Alarm]:
    alarm, heard = Alarm(), list[Answered]()
    agents = SimulatedAgents(ROWS, CLASSES, alarm, rng=random.Random(5), unfit=unfit)
    agents.deliver(message, ROWS, heard.append)
    return heard, alarm


def values(answered: Answered) -> list[str]:
    assert answered.answer is not None
    return [answered.answers[code - 1].decode() if code else "" for code in answered.answer.tolist()]


@pytest.mark.parametrize(
    "message",
    [order(Verb.OBSERVE), order(Verb.ACT, Expectation.NOTHING), order(Verb.OBSERVE, Expectation.ANSWER)],
)
def test_what_asks_for_no_work_is_answered_at_once(message: Coordinate) -> None:
    (answered,), alarm = told(message)
    assert answered.rows.tolist() == ROWS.tolist()
    assert not answered.processing_ms.any()
    assert not len(alarm.delays_ms)


def test_a_question_is_answered_by_the_title_of_the_class() -> None:
    (answered,), _ = told(order(Verb.OBSERVE, Expectation.ANSWER, b"which class?"))
    assert values(answered) == [CLASSES.all[code].title for code in standard_mix(ROWS, CLASSES).tolist()]


def test_a_question_about_context_is_answered_by_what_is_held() -> None:
    question = order(Verb.OBSERVE, Expectation.ANSWER, b"Which CONTEXT do you hold?")
    heard = list[Answered]()
    agents = SimulatedAgents(ROWS, CLASSES, Alarm(), rng=random.Random(5))
    agents.deliver(question, ROWS, heard.append)
    agents.context_of = lambda rows: (rows % 2 * 0xAB).astype(np.uint64)
    agents.deliver(question, ROWS, heard.append)
    before, after = map(values, heard)
    assert set(before) == {"none"}
    assert after == [mark_text(0xAB) if row % 2 else "none" for row in ROWS.tolist()]


def test_without_a_question_there_is_no_answer() -> None:
    (answered,), _ = told(order(Verb.OBSERVE))
    assert answered.answer is None
    assert answered.answers == ()


def test_an_answer_that_takes_work_comes_with_its_agent() -> None:
    heard, alarm = told(order(Verb.DECIDE, Expectation.ANSWER))
    assert not heard
    alarm.ring(np.array([7, 3], np.intp))
    titles = [CLASSES.all[code].title for code in standard_mix(ROWS, CLASSES)[[3, 7]].tolist()]
    assert heard[0].rows.tolist() == [303, 307]
    assert values(heard[0]) == titles


def test_who_contradicts_answers_nothing() -> None:
    (answered,), _ = told(order(Verb.OBSERVE, Expectation.ANSWER), unfit=Unfit(lying=0.3))
    assert answered.answer is not None
    is_lying = answered.states == TargetState.CONFLICT
    assert is_lying.any()
    assert ((answered.answer == 0) == is_lying).all()


def test_parts_with_a_fault_are_read_and_what_is_none_is_refused() -> None:
    assert parse_unfit("dead=0.03, drifting=0.01") == Unfit(dead=0.03, drifting=0.01)
    assert parse_unfit("") == Unfit()
    for wrong in ("tired=0.1", "dead", "dead=2", "dead=nan", "dead=0.6 late=0.6"):
        with pytest.raises(InvalidArgument):
            parse_unfit(wrong)
