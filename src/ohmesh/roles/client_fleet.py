"""Questions to the orchestrator, repeated while that role moves to another process.

Who starts an operation makes its id, so that a question which is repeated begins it once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from ohmesh.errors import EngineUnavailable, MeshUnreachable, OhmeshError
from ohmesh.model.fleet_care import LookAtSector, ProcessQuestion, encode_process_question
from ohmesh.model.fleet_request import (
    Answer,
    DescribeFleet,
    FleetQuestion,
    ListAgents,
    ListScopes,
    StartOperation,
    decode_answer,
    encode_request,
)
from ohmesh.model.message import Problem
from ohmesh.model.subject import Subjects
from ohmesh.ports.bus import Bus
from ohmesh.roles.client_config import ClientConfig
from ohmesh.roles.client_payload import error_of_code

TRY_S = 2.0
PAUSE_MAX_S = 0.4
READ_S = 0.25  # an orchestrator that is there answers a read within that time; else any replica may
AFTER_TIMEOUT_S = 3.0  # an operation may take that much longer than its own timeout until its view is here


class FleetRequests:
    def __init__(
        self, bus: Bus, subjects: Subjects, *, config: ClientConfig, client: str, new_id: Callable[[], str]
    ) -> None:
        self.new_id = new_id
        self._bus = bus
        self._subjects = subjects
        self._config = config
        self._client = client

    async def ask(
        self,
        question: FleetQuestion,
        expected: type[Answer],
        *,
        timeout_s: float | None = None,
        patience_s: float | None = None,
    ) -> Answer:
        """A read that the orchestrator does not answer at once is answered by whoever keeps a replica of its registry.

        Raises what stands in the way, MeshUnreachable where nobody answers within the timeout, or nobody is there to be
        asked for `patience_s` (usually as its config says)."""
        loop = asyncio.get_running_loop()
        try_s, subjects = TRY_S, [self._subjects.fleet_questions()]
        if isinstance(question, StartOperation) and question.wait:
            try_s = question.timeout_ms / 1000 + AFTER_TIMEOUT_S
        elif isinstance(question, ListAgents | ListScopes | DescribeFleet):
            subjects.append(self._subjects.fleet_reads())
        elif isinstance(question, LookAtSector):
            subjects = [self._subjects.fleet_reads()]
        if timeout_s is None:
            timeout_s = max(self._config.request_timeout_ms / 1000, 2 * try_s)
        if patience_s is None:
            patience_s = self._config.fleet_patience_ms / 1000
        begun_s = loop.time()
        deadline_s, is_heard = begun_s + timeout_s, False
        pause_s = self._config.request_pause_ms / 1000
        data = encode_request(self._client, question)
        while True:
            tried_s = loop.time()
            left_s = max(0.001, min(try_s, deadline_s - tried_s))
            try:
                answer = decode_answer(await self._request(subjects, data, left_s), expected)
                if isinstance(answer, Problem):
                    raise error_of_code(answer.code, answer.message)
                return answer
            except EngineUnavailable as error:
                reason: OhmeshError = error
            now_s = loop.time()
            is_heard = is_heard or now_s - tried_s >= left_s  # refused at once: nobody listens
            ends_s = deadline_s if is_heard else min(deadline_s, begun_s + patience_s)
            if now_s + pause_s >= ends_s:
                raise MeshUnreachable(
                    f"No orchestrator of mesh {self._subjects.mesh!r} answered within {now_s - begun_s:.1f} s "
                    f"({reason.message.rstrip('.')}).",
                    hint="A fleet is started with `ohmesh up --agents 3000` (simulated agents) or `ohmesh up --fleet`; "
                    "`ohmesh doctor` looks whether the mesh is up.",
                )
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, PAUSE_MAX_S)

    async def ask_process(
        self, process: str, question: ProcessQuestion, expected: type[Answer], *, timeout_s: float
    ) -> Answer:
        """One process of the fleet by itself. Raises EngineUnavailable where it does not answer."""
        subject = self._subjects.fleet_door(process)
        reply = await self._bus.request(subject, encode_process_question(question), timeout_s=timeout_s)
        answer = decode_answer(reply, expected)
        if isinstance(answer, Problem):
            raise error_of_code(answer.code, answer.message)
        return answer

    async def _request(self, subjects: Sequence[str], data: bytes, left_s: float) -> bytes:
        """Of the first subject on which somebody answers; the last one has all of the time that is left. Raises
        EngineUnavailable of the first, which says most."""
        first, *others = subjects
        try:
            return await self._bus.request(first, data, timeout_s=min(READ_S, left_s) if others else left_s)
        except EngineUnavailable:
            for subject in others:
                with contextlib.suppress(EngineUnavailable):
                    return await self._bus.request(subject, data, timeout_s=min(READ_S, left_s))
            raise
