"""Questions to the dispatchers: asked of every shard at once, repeated until the timeout, merged into one answer.

A dispatcher that is being replaced answers within seconds, so a question is repeated; when a shard stays silent the
whole question fails and names the shard, because an answer that silently lacks a part is worse than none.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from ohmesh.errors import EngineUnavailable, InvalidArgument, MeshUnreachable, OhmeshError
from ohmesh.model.agent import HostView, Liveness
from ohmesh.model.explanation import Explain, Explanation
from ohmesh.model.frame import decode_reply, encode_frame
from ohmesh.model.limit import KindLimit
from ohmesh.model.lock import AskLock, LockAnswer
from ohmesh.model.message import (
    ChangeTasks,
    Describe,
    HostPage,
    KindState,
    LimitKind,
    ListHosts,
    ListTasks,
    PauseKind,
    Problem,
    Reply,
    ShardDescription,
    TaskPage,
    TasksChanged,
)
from ohmesh.model.schedule import ChangeSchedule, ListSchedules, SchedulePage, SetSchedule
from ohmesh.model.subject import Subjects, shard_of
from ohmesh.roles.client_config import ClientConfig, ClientPorts
from ohmesh.roles.client_payload import error_of_code

AboutSchedules = SetSchedule | ChangeSchedule | ListSchedules
Question = (
    ListTasks
    | ListHosts
    | Describe
    | ChangeTasks
    | PauseKind
    | LimitKind
    | AskLock
    | Explain
    | AboutSchedules
)
Answer = TypeVar(
    "Answer",
    TaskPage,
    HostPage,
    ShardDescription,
    TasksChanged,
    KindState,
    LockAnswer,
    Explanation,
    SchedulePage,
)

GATHERED_BYTES = 4_000_000
_LIVELIEST = (Liveness.ACTIVE, Liveness.JOINING, Liveness.SUSPECT, Liveness.LEFT, Liveness.OFFLINE)


class Requests:
    def __init__(
        self, ports: ClientPorts, subjects: Subjects, *, shards: int, config: ClientConfig, client: str
    ) -> None:
        self._ports = ports
        self._subjects = subjects
        self._shards = shards
        self._config = config
        self._client = client

    def now_ms(self) -> int:
        """The clock that ages in answers are counted by."""
        return self._ports.clock.now_ms()

    async def list_tasks(self, query: ListTasks, *, timeout_s: float | None = None) -> TaskPage:
        """Newest first over all shards; a kind is asked of its own shard only. `total` counts what shards hold.

        With a filter a shard looks at a bounded number of tasks at a time and is asked until the page is full.
        """
        shards = self.shards_of(query.kind)
        if query.task_ids or len(shards) == 1:
            pages = await self._ask_pages(shards, [query] * len(shards), timeout_s)
            tasks = [view for page in pages for view in page.tasks]
            return TaskPage(
                tasks, pages[0].after if len(pages) == 1 else "", sum(page.total for page in pages)
            )
        cursors = _parse_cursor(query.after, len(shards))
        questions = [
            ListTasks(query.task_ids, query.kind, query.state, query.limit, cursor, query.filter)
            for cursor in cursors
        ]
        pages = await self._ask_pages(shards, questions, timeout_s)
        return _merge(pages, cursors, query.limit)

    async def locate(self, task_ids: Sequence[str], *, timeout_s: float | None = None) -> dict[str, int]:
        """Which shard holds each of these; an id that is missing in the answer is held by none."""
        found: dict[str, int] = {}
        shards = list(range(self._shards))
        for start in range(0, len(task_ids), self._config.locate_ids):
            query = ListTasks(list(task_ids[start : start + self._config.locate_ids]))
            pages = await self._ask_all(shards, [query] * len(shards), TaskPage, timeout_s)
            for shard, page in enumerate(pages):
                found.update((view.task_id, shard) for view in page.tasks)
        return found

    async def list_hosts(self, *, timeout_s: float | None = None) -> list[HostView]:
        """Each host once, with its load summed over the shards that split its credits; by name."""
        shards = list(range(self._shards))
        pages = await self._ask_all(shards, [ListHosts()] * len(shards), HostPage, timeout_s)
        views: dict[str, HostView] = {}
        for page in pages:
            for view in page.hosts:
                present = views.get(view.host)
                views[view.host] = view if present is None else _merge_hosts(present, view)
        return [views[host] for host in sorted(views)]

    async def describe(self, *, timeout_s: float | None = None) -> list[ShardDescription]:
        shards = list(range(self._shards))
        return await self._ask_all(shards, [Describe()] * len(shards), ShardDescription, timeout_s)

    async def explain(self, task_id: str, *, timeout_s: float | None = None) -> Explanation | None:
        """Why a task is where it is, from the dispatcher that decides; None where no shard holds it."""
        shards = list(range(self._shards))
        answers = await self._ask_all(shards, [Explain(task_id)] * len(shards), Explanation, timeout_s)
        return next((answer for answer in answers if answer.task is not None), None)

    @property
    def shards(self) -> int:
        return self._shards

    def shards_of(self, kind: str) -> list[int]:
        """Where tasks of this kind ("": of any) may be."""
        return [shard_of(kind, self._shards)] if kind else list(range(self._shards))

    async def change_tasks(
        self, shard: int, wish: ChangeTasks, *, timeout_s: float | None = None
    ) -> TasksChanged:
        return await self._ask(shard, wish, TasksChanged, timeout_s)

    async def pause_kind(self, kind: str, is_paused: bool, *, timeout_s: float | None = None) -> KindState:
        shard = shard_of(kind, self._shards)
        return await self._ask(shard, PauseKind(kind, is_paused), KindState, timeout_s)

    async def limit_kind(
        self, kind: str, limit: KindLimit | None, *, timeout_s: float | None = None
    ) -> KindState:
        shard = shard_of(kind, self._shards)
        return await self._ask(shard, LimitKind(kind, limit), KindState, timeout_s)

    async def about_schedules(
        self, shard: int, question: AboutSchedules, *, timeout_s: float | None = None
    ) -> SchedulePage:
        return await self._ask(shard, question, SchedulePage, timeout_s)

    async def ask_lock(
        self, wish: AskLock, *, shard: int | None = None, timeout_s: float | None = None
    ) -> LockAnswer:
        """Of the shard of its name, unless another is said."""
        shard = shard_of(wish.name, self._shards) if shard is None else shard
        return await self._ask(shard, wish, LockAnswer, timeout_s)

    async def _ask_pages(
        self, shards: Sequence[int], questions: Sequence[ListTasks], timeout_s: float | None
    ) -> list[TaskPage]:
        """A page of each shard; where a filter matches little, gathered from several answers."""
        pages = await self._ask_all(shards, questions, TaskPage, timeout_s)
        for at, question in enumerate(questions):
            while question.filter and pages[at].after and _has_room(pages[at], question.limit):
                missing = question.limit - len(pages[at].tasks)
                further = msgspec.structs.replace(question, limit=missing, after=pages[at].after)
                (page,) = await self._ask_all([shards[at]], [further], TaskPage, timeout_s)
                pages[at] = TaskPage([*pages[at].tasks, *page.tasks], page.after, page.total)
        return pages

    async def _ask_all(
        self,
        shards: Sequence[int],
        questions: Sequence[Question],
        expected: type[Answer],
        timeout_s: float | None,
    ) -> list[Answer]:
        asked = zip(shards, questions, strict=True)
        answers = await asyncio.gather(
            *(self._ask(shard, question, expected, timeout_s) for shard, question in asked),
            return_exceptions=True,
        )
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return [answer for answer in answers if not isinstance(answer, BaseException)]

    async def _ask(
        self, shard: int, question: Question, expected: type[Answer], timeout_s: float | None
    ) -> Answer:
        loop, config = asyncio.get_running_loop(), self._config
        timeout_s = config.request_timeout_ms / 1000 if timeout_s is None else timeout_s
        deadline_s = loop.time() + timeout_s
        pause_s = config.request_pause_ms / 1000
        while True:
            remaining_s = deadline_s - loop.time()
            try_s = max(0.001, min(config.request_try_ms / 1000, remaining_s))
            try:
                reply = await self._request(shard, question, try_s)
            except EngineUnavailable as error:
                reason: OhmeshError = error
            else:
                if isinstance(reply, expected):
                    return reply
                reason = _reason(reply)
                if not reason.retryable:
                    raise reason
            if loop.time() + pause_s >= deadline_s:
                raise self._unreachable(shard, timeout_s, reason)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, config.request_try_ms / 1000)

    async def _request(self, shard: int, question: Question, try_s: float) -> Reply:
        frame = encode_frame(self._client, 0, self._ports.clock.now_ms(), [question])
        subject = self._subjects.dispatcher(shard)
        answer = decode_reply(await self._ports.bus.request(subject, frame, timeout_s=try_s))
        if len(answer.bodies) != 1:
            raise InvalidArgument(f"{answer.sender} answered with {len(answer.bodies)} bodies, not with one.")
        return answer.bodies[0]

    def _unreachable(self, shard: int, timeout_s: float, reason: OhmeshError) -> MeshUnreachable:
        return MeshUnreachable(
            f"The dispatcher of shard {shard} of mesh {self._subjects.mesh!r} did not answer within "
            f"{timeout_s:g} s ({reason.message.rstrip('.')}).",
            hint=f"Is the mesh up? `ohmesh doctor` looks; `ohmesh up` starts one. "
            f"This client expects {self._shards} shard(s).",
        )


def _has_room(page: TaskPage, limit: int) -> bool:
    held_bytes = sum(len(view.value) for view in page.tasks)
    return len(page.tasks) < limit and held_bytes < GATHERED_BYTES


def _reason(reply: Reply) -> OhmeshError:
    if isinstance(reply, Problem):
        return error_of_code(reply.code, reply.message, retry_after_ms=reply.retry_after_ms)
    return InvalidArgument(f"A dispatcher answered with a {type(reply).__name__}, which was not asked for.")


# A cursor over several shards: after which order each of them goes on. No task comes after order 0.

_EXHAUSTED = "0"


def _parse_cursor(after: str, shards: int) -> list[str]:
    cursors = after.split(".") if after else [""] * shards
    if len(cursors) != shards or not all(cursor.isdecimal() or not cursor for cursor in cursors):
        raise InvalidArgument(
            f"{after!r} is not a cursor.", hint="Pass `after` of the page before, unchanged."
        )
    return cursors


def _merge(pages: Sequence[TaskPage], cursors: list[str], limit: int) -> TaskPage:
    """The newest `limit` of all pages; each shard goes on after the last task of its own that is shown."""
    # Each page keeps its own order: a task that was queued again stands where its second waiting began.
    columns = [[(view, shard) for view in page.tasks] for shard, page in enumerate(pages)]
    found = list(heapq.merge(*columns, key=lambda pair: (-pair[0].submitted_ms, pair[1])))
    shown = found[: max(1, limit)]
    left = [len(page.tasks) for page in pages]
    for view, shard in shown:
        cursors[shard] = str(view.order)
        left[shard] -= 1
    for shard, page in enumerate(pages):
        if not left[shard]:
            # With a filter, further than the last task that is shown.
            cursors[shard] = page.after or _EXHAUSTED
    after = "" if set(cursors) == {_EXHAUSTED} else ".".join(cursors)
    return TaskPage([view for view, _ in shown], after, sum(page.total for page in pages))


def _merge_hosts(one: HostView, other: HostView) -> HostView:
    """Kinds and load are split among shards; the rest comes from the dispatcher that heard the host last."""
    latest, earlier = (one, other) if one.last_seen_ms >= other.last_seen_ms else (other, one)
    return HostView(
        host=latest.host,
        liveness=min(latest.liveness, earlier.liveness, key=_LIVELIEST.index),
        duty=latest.duty,
        last_seen_ms=latest.last_seen_ms,
        running=one.running + other.running,
        slots=one.slots + other.slots,
        completed=one.completed + other.completed,
        failed=one.failed + other.failed,
        kinds=tuple(sorted({*one.kinds, *other.kinds})),
        agents=tuple({spec.agent: spec for spec in (*earlier.agents, *latest.agents)}.values()),
        pid=latest.pid or earlier.pid,
        version=latest.version or earlier.version,
        agent_loads={**earlier.agent_loads, **latest.agent_loads},
    )
