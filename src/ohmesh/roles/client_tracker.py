"""The tracker: which tasks this client knows of, what it heard about them, and what it asks again.

A push may be lost with a connection, and interest dies with a dispatcher. So the end of a task that somebody awaits is
asked for after a second and then every two; the ends of all that are tracked are asked for when the connection comes
back or when another dispatcher answers, in bursts that do not swamp it.

Invariants: `handles` holds every unanswered submission, and every accepted one up to a bound until it has ended;
`awaited` holds exactly the handles that somebody waits for. Nothing that arrives can raise in the receiving callback.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import suppress
from weakref import WeakValueDictionary

from msgspec import Struct

from ohmesh.errors import InvalidArgument, MeshUnreachable, OhmeshError, UnknownTask
from ohmesh.model.frame import decode_to_client
from ohmesh.model.message import Accepted, Finished, NewDispatcher, Progress
from ohmesh.model.task import Submission, TaskResult
from ohmesh.ports.bus import Message
from ohmesh.ports.clock import Clock
from ohmesh.roles.client_cancel import Cancellations
from ohmesh.roles.client_config import ClientConfig
from ohmesh.roles.client_handle import Standing, TaskHandle
from ohmesh.roles.client_lane import Lane, Notice
from ohmesh.roles.client_payload import error_of_code
from ohmesh.roles.client_progress import ProgressLine
from ohmesh.roles.client_stream import StreamItem, StreamLine
from ohmesh.roles.waiting_in_vain import WaitingInVain


class ClientStatistics(Struct, kw_only=True):
    """Counters since the start, then what is held now. `stray`: answers about tasks that nobody tracks here."""

    submitted: int = 0
    accepted: int = 0
    refused: int = 0
    unreachable: int = 0
    finished: int = 0
    stray: int = 0
    undecodable: int = 0
    resent: int = 0
    watched: int = 0
    frames_sent: int = 0
    bytes_sent: int = 0
    unanswered: int = 0
    unanswered_bytes: int = 0
    tracked: int = 0
    awaited: int = 0


class Tracker:
    """See the module. It is the Lookout of its handles. `progress` and `streams` are given by its client, which knows
    the bus."""

    def __init__(
        self,
        lanes: Sequence[Lane],
        cancellations: Cancellations,
        *,
        clock: Clock,
        config: ClientConfig,
        notice: Notice,
    ) -> None:
        self.handles: dict[str, TaskHandle] = {}
        self.awaited: dict[TaskHandle, None] = {}
        self.counts = ClientStatistics()
        self.is_closed = False
        self.progress: ProgressLine
        self.streams: StreamLine
        self._lanes = lanes
        self._cancellations = cancellations
        self._clock = clock
        self._config = config
        self._notice = notice
        self._foreign: WeakValueDictionary[str, TaskHandle] = WeakValueDictionary()
        self._to_watch: deque[TaskHandle] = deque()
        self._in_vain = WaitingInVain(notice)

    # Tasks come under watch

    def begin(self, submission: Submission, shard: int, size_bytes: int) -> TaskHandle:
        """A new submission goes out."""
        handle = TaskHandle(self, submission.task_id, shard, submission=submission, size_bytes=size_bytes)
        handle.deadline_ms = self._clock.monotonic_ms() + self._config.accept_timeout_ms
        self.handles[handle.id] = handle
        self._lanes[shard].add(handle)
        self.counts.submitted += 1
        return handle

    def find(self, task_id: str) -> TaskHandle | None:
        return self.handles.get(task_id) or self._foreign.get(task_id)

    def foreign(self, task_id: str, shard: int) -> TaskHandle:
        """A handle of somebody else's task, known for as long as the caller keeps it."""
        handle = self._foreign.get(task_id)
        if handle is None or handle.is_done:
            handle = self._foreign[task_id] = TaskHandle(self, task_id, shard, submission=None)
        return handle

    def queued_again(self, task_ids: Iterable[str]) -> None:
        """Handles that have heard the first end keep it; who asks from now on waits for the second one."""
        for task_id in task_ids if self._foreign else ():
            self._foreign.pop(task_id, None)

    def await_end(self, handle: TaskHandle) -> None:
        if self.is_closed:
            raise MeshUnreachable(f"The client is closed; it cannot hear how task {handle.id} ends.")
        self.awaited[handle] = None
        if self.find(handle.id) is None:  # it was beyond the bound
            self.handles[handle.id] = handle
        if handle.standing is Standing.ACCEPTED:
            now_ms = self._clock.monotonic_ms()
            if handle.watch_ms <= now_ms:
                self._watch([handle], now_ms)

    def progress_of(self, handle: TaskHandle) -> AsyncGenerator[Progress]:
        return self.progress.steps(lambda: _settled_id(handle), handle.end)

    def items_of(self, handle: TaskHandle, after: tuple[int, int]) -> AsyncGenerator[StreamItem]:
        return self.streams.items(handle.id, handle.end, after=after)

    def leave(self, handle: TaskHandle) -> None:
        self.awaited.pop(handle, None)
        self._keep_bound(handle)

    def give_up(self, handle: TaskHandle, error: MeshUnreachable) -> None:
        """Nobody answered for this submission, or nobody waits for the answer any more."""
        self._lanes[handle.shard].settle(handle)
        if handle.give_up(error):
            self.handles.pop(handle.id, None)
            self.counts.unreachable += 1

    # What arrives

    def receive(self, message: Message) -> None:
        try:
            frame = decode_to_client(message.data)
        except InvalidArgument as error:
            self.counts.undecodable += 1
            self._notice(f"A frame on {message.subject} was dropped: {error}")
            return
        for body in frame.bodies:
            if isinstance(body, Finished):
                self._finished(body, (frame.sender, frame.term))
            elif isinstance(body, Accepted):
                self._accepted(body, (frame.sender, frame.term))
            elif isinstance(body, NewDispatcher):
                self._begin_anew(body, (frame.sender, frame.term))
            else:
                self._cancellations.receive(body)

    def _begin_anew(self, news: NewDispatcher, dispatcher: tuple[str, int]) -> None:
        """What was sent while nobody listened is lost; it is not waited for until it is due to be sent again."""
        if news.shard < len(self._lanes):
            self._lanes[news.shard].resend_all()
            self._heard_of(news.shard, dispatcher)

    def _accepted(self, answer: Accepted, dispatcher: tuple[str, int]) -> None:
        handles, counts, lanes = self.handles, self.counts, self._lanes
        watch_ms = self._clock.monotonic_ms() + self._config.watch_after_ms
        handle, is_remarkable = None, bool(answer.existed or answer.unserved)
        if answer.unserved:
            self._in_vain.note(answer, handles, self._clock.monotonic_ms())
        for task_id in answer.task_ids:
            handle = handles.get(task_id)
            if handle is not None and is_remarkable:
                handle.existed = answer.existed
                handle.is_unserved = (
                    handle.submission is not None and handle.submission.kind in answer.unserved
                )
            if handle is None or not handle.accept(watch_ms):
                counts.stray += 1
                continue
            lanes[handle.shard].settle(handle)
            counts.accepted += 1
            self._keep_bound(handle)
        for task_id, holder_id in answer.joined:
            handle = self._join(task_id, holder_id, watch_ms) or handle
        for refusal in answer.refused:
            refused = handles.get(refusal.task_id)
            if refused is None or refused.standing is not Standing.UNANSWERED:
                counts.stray += 1
                continue
            del handles[refusal.task_id]
            lanes[refused.shard].settle(refused)
            refused.refuse(
                error_of_code(refusal.code, refusal.message, retry_after_ms=refusal.retry_after_ms)
            )
            counts.refused += 1
        if handle is not None:
            self._heard_of(handle.shard, dispatcher)

    def _join(self, task_id: str, holder_id: str, watch_ms: int) -> TaskHandle | None:
        """A task of the same unique key lives: the handle is one of that task from now on."""
        handle = self.handles.get(task_id)
        if handle is None or not handle.accept(watch_ms):
            self.counts.stray += 1
            return None
        self._lanes[handle.shard].settle(handle)
        self.counts.accepted += 1
        del self.handles[task_id]
        leader = self.find(holder_id)
        if leader is None or leader.is_done:
            leader, self.handles[holder_id] = None, handle
        handle.join(holder_id, leader)
        self._keep_bound(handle)
        return handle

    def _finished(self, news: Finished, dispatcher: tuple[str, int]) -> None:
        handle = None
        for result in news.results:
            handle = self.handles.pop(result.task_id, None)
            if handle is not None:
                self._end(handle, result)
            foreign = self._foreign.get(result.task_id) if self._foreign else None
            if foreign is not None:
                self._end(foreign, result)
            if handle is None and foreign is None:
                self.counts.stray += 1
        for task_id in news.unknown:
            for known in (self.handles.get(task_id), self._foreign.get(task_id)):
                if (
                    known is not None
                    and known.standing is Standing.ACCEPTED
                    and known.fail(unknown_task(task_id))
                ):
                    self.handles.pop(task_id, None)
        if handle is not None:
            self._heard_of(handle.shard, dispatcher)

    def _keep_bound(self, handle: TaskHandle) -> None:
        """Beyond the bound an accepted task that nobody awaits is let go; its end is asked for when it is awaited."""
        if len(self.handles) <= self._config.tracked_tasks or handle in self.awaited or handle.followers:
            return
        if handle.standing is Standing.ACCEPTED and self.handles.get(handle.id) is handle:
            del self.handles[handle.id]

    def _end(self, handle: TaskHandle, result: TaskResult) -> None:
        if handle.standing is Standing.UNANSWERED:  # its Accepted was lost, or comes later
            handle.accept(0)
            self._lanes[handle.shard].settle(handle)
            self.counts.accepted += 1
        if handle.finish(result):
            self.counts.finished += 1

    def _heard_of(self, shard: int, dispatcher: tuple[str, int]) -> None:
        """Another dispatcher than before does not know what we want to hear."""
        lane = self._lanes[shard]
        if lane.dispatcher == dispatcher:
            return
        if lane.dispatcher is not None:
            self._watch_again(handle for handle in self.handles.values() if handle.shard == shard)
        lane.dispatcher = dispatcher

    # What is asked again

    def connection_is_back(self) -> None:
        for lane in self._lanes:
            lane.resend_all()
        self._watch_again(self.handles.values())

    def sweep(self) -> None:
        """Called a few times a second: send again, give up, ask again."""
        now_ms = self._clock.monotonic_ms()
        for shard, lane in enumerate(self._lanes):
            for handle in lane.resend_due(now_ms):
                self.give_up(handle, unreachable(handle, shard))
        due = [
            handle
            for handle in self.awaited
            if handle.watch_ms <= now_ms and handle.standing is Standing.ACCEPTED
        ]
        self._watch(due[: self._config.watch_burst_ids], now_ms)
        self._watch_burst(now_ms)
        self._in_vain.look(self.awaited, now_ms)

    def _watch_again(self, handles: Iterable[TaskHandle]) -> None:
        # Of hundreds of thousands somebody may wait for the last few.
        self._to_watch = deque(sorted(handles, key=lambda handle: handle not in self.awaited))
        self._watch_burst(self._clock.monotonic_ms())

    def _watch_burst(self, now_ms: int) -> None:
        queue = self._to_watch
        burst = [queue.popleft() for _ in range(min(len(queue), self._config.watch_burst_ids))]
        if burst:
            self._watch(
                [handle for handle in burst if handle.standing is Standing.ACCEPTED and not handle.is_done],
                now_ms,
            )

    def _watch(self, handles: Iterable[TaskHandle], now_ms: int) -> None:
        by_shard: dict[int, list[str]] = {}
        for handle in handles:
            handle.watch_ms = now_ms + self._config.watch_every_ms
            by_shard.setdefault(handle.shard, []).append(handle.id)
        for shard, task_ids in by_shard.items():
            self._lanes[shard].watch(task_ids)


async def _settled_id(handle: TaskHandle) -> str:
    """With a unique key its id may become that of another task until it is answered."""
    if handle.submission is not None and handle.submission.unique:
        with suppress(OhmeshError):  # then its end tells
            await handle.accepted()
    return handle.id


def unreachable(handle: TaskHandle, shard: int) -> MeshUnreachable:
    return MeshUnreachable(
        f"No dispatcher of shard {shard} answered for task {handle.id} in time; "
        + (f"it was sent {handle.tries} times." if handle.tries else "it could not even be sent."),
        hint="It may have been stored: submit with a key, and submitting again is safe. `ohmesh doctor` says what is "
        "wrong with the mesh; `ohmesh up` starts one.",
    )


def unknown_task(task_id: str) -> UnknownTask:
    return UnknownTask(
        f"The mesh knows no task {task_id}.",
        hint="Either it never existed here or its result is past its retention; `ohmesh tasks list` shows the latest.",
    )
