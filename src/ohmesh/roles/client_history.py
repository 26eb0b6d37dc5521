"""Questions about the past: asked of the historian, repeated while it moves to another process.

Nobody there, or somebody who is just leaving, is asked again until the timeout (MeshUnreachable). A historian that says
that its ledger is away is believed at once (EngineUnavailable): a database does not come back within a question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeVar

from msgspec import structs

from ohmesh.errors import EngineUnavailable, InvalidArgument, MeshUnreachable, OhmeshError
from ohmesh.model.frame import decode_history_reply, encode_frame
from ohmesh.model.history import (
    AskEvents,
    AskHistory,
    DescribeHistory,
    EventPage,
    HistoryDescription,
    HistoryPage,
    HistoryReply,
    ToHistorian,
)
from ohmesh.model.message import Problem
from ohmesh.model.subject import Subjects
from ohmesh.model.task import TaskView
from ohmesh.roles.client_config import ClientConfig, ClientPorts
from ohmesh.roles.client_payload import error_of_code

GATHERED_BYTES = 4_000_000
ROWS_PER_QUERY = 1_000
_AWAY_HINT = "Tasks are not concerned: they go on, and history catches up. Ask again; `ohmesh doctor` looks."

Answer = TypeVar("Answer", HistoryPage, EventPage, HistoryDescription)


class HistoryRequests:
    def __init__(self, ports: ClientPorts, subjects: Subjects, *, config: ClientConfig, client: str) -> None:
        self._ports = ports
        self._subjects = subjects
        self._config = config
        self._client = client

    async def tasks(self, question: AskHistory, *, timeout_s: float | None = None) -> HistoryPage:
        """One page, gathered from several answers where tasks are large; `behind` is that of the first."""
        page = await self._ask(question, HistoryPage, timeout_s)
        while page.after and _has_room(page, question.limit):
            missing = question.limit - len(page.tasks)
            further = structs.replace(question, limit=missing, after=page.after)
            rest = await self._ask(further, HistoryPage, timeout_s)
            page = HistoryPage([*page.tasks, *rest.tasks], rest.after, page.behind)
        return page

    async def events(self, question: AskEvents, *, timeout_s: float | None = None) -> EventPage:
        return await self._ask(question, EventPage, timeout_s)

    async def describe(self, *, timeout_s: float | None = None) -> HistoryDescription:
        return await self._ask(DescribeHistory(), HistoryDescription, timeout_s)

    async def last_ends(self, task_ids: Sequence[str]) -> dict[str, TaskView]:
        """How each of these ended the last time; those of which history knows no end are left out.

        Asked once: raises what stands in the way at once, for those who can do without.
        """
        found: dict[str, TaskView] = {}
        for start in range(0, len(task_ids), self._config.locate_ids):
            some = list(task_ids[start : start + self._config.locate_ids])
            question = AskHistory(some, limit=ROWS_PER_QUERY)
            is_first = True
            while is_first or question.after:
                page = await self._ask(question, HistoryPage, 0.0)
                for view in page.tasks:
                    found.setdefault(view.task_id, view)
                question, is_first = structs.replace(question, after=page.after), False
        return found

    async def _ask(self, question: ToHistorian, expected: type[Answer], timeout_s: float | None) -> Answer:
        """timeout_s: within which the question is repeated; a try that has begun is not cut short."""
        loop, config = asyncio.get_running_loop(), self._config
        timeout_s = config.request_timeout_ms / 1000 if timeout_s is None else timeout_s
        deadline_s = loop.time() + timeout_s
        pause_s = config.request_pause_ms / 1000
        while True:
            try:
                reply = await self._request(question)
            except EngineUnavailable as error:
                reason: OhmeshError = error
            else:
                if isinstance(reply, expected):
                    return reply
                reason = _reason(reply)
                if isinstance(reason, EngineUnavailable) or not reason.retryable:
                    raise reason
            if loop.time() + pause_s >= deadline_s:
                raise self._unreachable(timeout_s, reason)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, config.request_try_ms / 1000)

    async def _request(self, question: ToHistorian) -> HistoryReply:
        frame = encode_frame(self._client, 0, self._ports.clock.now_ms(), [question])
        try_s = self._config.history_try_ms / 1000
        answer = decode_history_reply(
            await self._ports.bus.request(self._subjects.historian(), frame, timeout_s=try_s)
        )
        if len(answer.bodies) != 1:
            raise InvalidArgument(f"{answer.sender} answered with {len(answer.bodies)} bodies, not with one.")
        return answer.bodies[0]

    def _unreachable(self, timeout_s: float, reason: OhmeshError) -> MeshUnreachable:
        return MeshUnreachable(
            f"Nobody answered for the history of mesh {self._subjects.mesh!r} within {timeout_s:g} s "
            f"({reason.message.rstrip('.')}).",
            hint="It may be moving to another process: ask again. `ohmesh doctor` looks whether the mesh is up.",
        )


def _has_room(page: HistoryPage, limit: int) -> bool:
    return len(page.tasks) < limit and sum(len(view.value) for view in page.tasks) < GATHERED_BYTES


def _reason(reply: HistoryReply) -> OhmeshError:
    if not isinstance(reply, Problem):
        return InvalidArgument(
            f"A historian answered with a {type(reply).__name__}, which was not asked for."
        )
    error = error_of_code(reply.code, reply.message, retry_after_ms=reply.retry_after_ms)
    if isinstance(error, EngineUnavailable):
        error.hint = _AWAY_HINT
    return error
