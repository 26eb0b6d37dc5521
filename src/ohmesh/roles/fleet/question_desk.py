"""Where questions to the orchestrator arrive, each answered by who knows, none left without an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ohmesh.errors import EngineFailed, Fenced, OhmeshError
from ohmesh.model.conflict_request import ConflictQuestion
from ohmesh.model.fleet_breaker import BreakerQuestion
from ohmesh.model.fleet_care import CareQuestion
from ohmesh.model.fleet_failure import AskFailures
from ohmesh.model.fleet_request import Request, StartOperation, decode_request
from ohmesh.model.fleet_trend import AskTrend
from ohmesh.model.message import Problem
from ohmesh.ports.bus import Message
from ohmesh.roles.fleet.caretaker import Caretaker
from ohmesh.roles.fleet.conflict_questions import answer as answer_about_conflicts
from ohmesh.roles.fleet.reads import READS
from ohmesh.roles.fleet.trend_keeper import TrendKeeper

if TYPE_CHECKING:
    from ohmesh.roles.fleet.orchestrator import Orchestrator


class QuestionDesk:
    def __init__(self, orchestrator: Orchestrator, caretaker: Caretaker, trends: TrendKeeper) -> None:
        self._of = orchestrator
        self._caretaker = caretaker
        self._trends = trends

    def receive(self, message: Message) -> None:
        if message.reply:
            self._of.begin_task(self._answer(message), "orchestrator's answer")

    async def _answer(self, message: Message) -> None:
        answer: msgspec.Struct | None
        try:
            request = decode_request(message.data)
            if isinstance(request.question, READS) and not self._of.knows_the_fleet:
                return  # whoever has a replica knows better; it is asked again
            answer = await self._answer_of(request, message.reply)
        except Fenced:
            raise
        except OhmeshError as error:
            answer = Problem(error.code, str(error))
        except Exception as error:  # noqa: BLE001 -- a question that shows a defect must not end the role for all
            self._of.notice(f"A question of {message.subject} could not be answered: {error!r}")
            answer = Problem(EngineFailed.code, f"The orchestrator could not answer: {error!r}.")
        if answer is not None:
            await self._of.reply(message.reply, answer)

    async def _answer_of(self, request: Request, reply: str) -> msgspec.Struct | None:
        """None: it is answered later."""
        question = request.question
        if isinstance(question, StartOperation):
            return await self._of.conductor.start(question, reply)
        if isinstance(question, ConflictQuestion):
            return await answer_about_conflicts(self._of.conflicts, question, request.client)
        if isinstance(question, AskTrend):
            return await self._trends.answer(question)
        if isinstance(question, BreakerQuestion):
            return await self._of.guard.answer(question)
        if isinstance(question, AskFailures):
            return self._of.failures.page()
        if isinstance(question, CareQuestion):
            return await self._caretaker.answer(question)
        return await self._of.questions.answer(question)
