"""The client: what submits tasks to a mesh and hears how they end.

    submit_nowait -> lane of the kind's shard --frames--> dispatcher --Accepted, Finished--> handle

Messages may be lost on their way and dispatchers are replaced, so what matters is repeated until it is answered: an
unanswered submission (safe, because its id and created_ms stay the same), the question how an awaited task ended, a
cancellation. What a new connection or a new dispatcher may have missed is repeated at once.

Invariants: a submission is unanswered in exactly one lane, or it is accepted, refused or given up, and its handle says
which; what is unanswered when the client closes is named, never dropped in silence.

The parts: client_handle (one task), client_lane (one shard's outgoing frames and window), client_tracker (what arrives
and what is asked again), client_requests and client_history (questions), client_cancel, client_payload (Python values
and errors).
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from contextlib import suppress

from msgspec import Struct

from ohmesh.errors import (
    Backpressure,
    EngineUnavailable,
    InvalidArgument,
    MeshUnreachable,
    OhmeshError,
    PayloadTooLarge,
)
from ohmesh.model.identity import IdSource, encode_base32
from ohmesh.model.message import CancelAnswer
from ohmesh.model.subject import Subjects, checked_name, shard_of
from ohmesh.model.task import Submission
from ohmesh.policies.complexity import built_in_estimators
from ohmesh.ports.bus import Subscription
from ohmesh.roles.client_cancel import Cancellations
from ohmesh.roles.client_changes import Changes
from ohmesh.roles.client_config import ClientConfig, ClientPorts
from ohmesh.roles.client_fleet import FleetRequests
from ohmesh.roles.client_handle import Standing, TaskHandle
from ohmesh.roles.client_history import HistoryRequests
from ohmesh.roles.client_lane import Lane, Notice
from ohmesh.roles.client_locks import Locks
from ohmesh.roles.client_progress import ProgressLine
from ohmesh.roles.client_requests import Requests
from ohmesh.roles.client_schedules import Schedules
from ohmesh.roles.client_stream import StreamLine
from ohmesh.roles.client_tracker import ClientStatistics, Tracker, unknown_task, unreachable
from ohmesh.roles.client_webhooks import WebhookRequests
from ohmesh.roles.event_stream import EventStream, source_of

SUBMISSION_OVERHEAD_BYTES = 96
ID_LENGTH = 26
NAMED_IDS = 5

_logger = logging.getLogger("ohmesh.client")


class TaskRequest(Struct, frozen=True, kw_only=True):
    """What a caller wants done. 0, "" and () leave it to the kind or the mesh.

    payload: see client_payload.encode_arguments. max_attempts: 1 is no retry. key: the same key is the same task.
    weight: that of its complexity (policies.complexity). unique, unique_for_ms: while one of the kind with this key
    waits or runs, this one joins it; and until so long after the submission of one that succeeded.
    items: above 0 the payload is that of an envelope of so many (model.envelope)."""

    kind: str
    payload: bytes
    priority: int = 1
    timeout_ms: int = 0
    max_attempts: int = 0
    delay_ms: int = 0
    key: str = ""
    requires: tuple[str, ...] = ()
    weight: int = 1
    unique: str = ""
    unique_for_ms: int = 0
    items: int = 0


class Client:
    """One for a program: `start`, submit from one event loop, `close`. `name` is where answers are sent to.

    estimators: what tags the tasks of a kind, by kind; its owner may add to it and take from it.
    """

    def __init__(
        self,
        ports: ClientPorts,
        *,
        subjects: Subjects,
        shards: int,
        config: ClientConfig | None = None,
        notice: Notice = _logger.warning,
    ) -> None:
        config = config or ClientConfig()
        self.name = encode_base32(ports.entropy.bits(80), 16)
        self.mesh = subjects.mesh
        self.config = config
        self.estimators = built_in_estimators(config.complexity)
        self._ids = IdSource(ports.clock.now_ms, ports.entropy.bits)
        self.requests = Requests(ports, subjects, shards=shards, config=config, client=self.name)
        self.history = HistoryRequests(ports, subjects, config=config, client=self.name)
        self.fleet = FleetRequests(
            ports.bus, subjects, config=config, client=self.name, new_id=self._ids.next
        )
        self.webhooks = WebhookRequests(ports, subjects, config=config, client=self.name)
        self._ports = ports
        self._subjects = subjects
        self._shards = shards
        self._notice = notice
        self._lanes = [
            Lane(ports, config, client=self.name, subject=subjects.dispatcher(shard), notice=notice)
            for shard in range(shards)
        ]
        self._cancellations = Cancellations(self._lanes, config)
        self._tracker = Tracker(
            self._lanes,
            self._cancellations,
            clock=ports.clock,
            config=config,
            notice=notice,
        )
        self._tracker.progress = ProgressLine(ports.bus, subjects)
        self._tracker.streams = StreamLine(ports.bus, subjects, self.requests, client=self.name)
        self.changes = Changes(self.requests, self._tracker, self._ids.next)
        self.schedules = Schedules(self.requests, self._ids.next)
        self.locks = Locks(self.requests, ports.clock, self._ids.next)
        self._subscriptions: list[Subscription] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self._ports.bus.watch_connection(self._connection_changed)
        subject = self._subjects.client(self.name)
        for heard in (subject, self._subjects.every_client()):
            self._subscriptions.append(await self._ports.bus.subscribe(heard, self._tracker.receive))
        for shard, lane in enumerate(self._lanes):
            self._tasks.append(asyncio.create_task(lane.send_for_ever(), name=f"client-lane-{shard}"))
        self._tasks.append(asyncio.create_task(self._sweep_for_ever(), name="client-sweep"))
        for task in self._tasks:
            task.add_done_callback(self._background_ended)

    async def close(self) -> None:
        """Wait a little for what is unanswered, then stop. Raises MeshUnreachable naming what nobody answered."""
        tracker = self._tracker
        if tracker.is_closed:
            return
        tracker.is_closed = True
        try:
            await self._wait_until_answered()
        finally:
            unanswered = self._unanswered()
            error = _unanswered_at_close(unanswered)
            for handle in unanswered:
                tracker.give_up(handle, error)
            for handle in list(tracker.awaited):
                handle.fail(
                    MeshUnreachable(f"The client was closed while task {handle.id} was awaited; it goes on.")
                )
            for task in self._tasks:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for subscription in self._subscriptions:
            with suppress(EngineUnavailable):  # then there is nobody to tell
                await subscription.unsubscribe()
        if unanswered:
            self._notice(str(error))
            raise error

    # Submitting

    def submit_nowait(self, request: TaskRequest) -> TaskHandle:
        """Put it into the outgoing buffer. Raises Backpressure when the window is full (nothing was sent then).

        A refusal, or nobody answering within `accept_timeout_ms`, is told by the handle.
        """
        handle = self._handle_for(self._submission(request))
        handle.holders += 1
        return handle

    async def enqueue(self, request: TaskRequest, *, task_id: str = "") -> TaskHandle:
        """As submit_nowait, but waits for room in the window; `task_id` where the caller has made one already."""
        submission = self._submission(request, task_id)
        lane, size_bytes = self._lanes[shard_of(request.kind, self._shards)], _size_of(submission)
        if not lane.has_room(size_bytes):
            deadline_s = asyncio.get_running_loop().time() + self.config.accept_timeout_ms / 1000
            await self._wait_for_room(lane, size_bytes, deadline_s)
        handle = self._handle_for(submission)
        handle.holders += 1
        return handle

    async def submit(self, request: TaskRequest, *, timeout_s: float | None = None) -> TaskHandle:
        """Return once the task is durable. Waits for room, and tries again after a refusal for lack of room.

        Raises Backpressure when there was none until the timeout (nothing is stored), MeshUnreachable when nobody
        answered (it may be stored: submit again with the same key to be sure), the refusal otherwise.
        """
        loop = asyncio.get_running_loop()
        limit_s = self.config.accept_timeout_ms / 1000 if timeout_s is None else timeout_s
        deadline_s = loop.time() + limit_s
        submission = self._submission(request)
        lane = self._lanes[shard_of(submission.kind, self._shards)]
        size_bytes = _size_of(submission)
        while True:
            try:
                if not lane.has_room(size_bytes):
                    await self._wait_for_room(lane, size_bytes, deadline_s)
                handle = self._handle_for(submission)
                handle.holders += 1
                await self._wait_for_acceptance(handle, None if timeout_s is None else deadline_s)
                return handle
            except Backpressure as refusal:
                pause_s = refusal.retry_after_ms / 1000
                if loop.time() + pause_s >= deadline_s:
                    raise
                await asyncio.sleep(pause_s)

    async def _wait_for_room(self, lane: Lane, size_bytes: int, deadline_s: float) -> None:
        try:
            async with asyncio.timeout_at(deadline_s):
                await lane.wait_for_room(size_bytes)
        except TimeoutError:
            raise lane.backpressure() from None

    async def _wait_for_acceptance(self, handle: TaskHandle, deadline_s: float | None) -> None:
        """Without a deadline of the caller's own the tracker's sweep gives up, which spares a timer for each task."""
        try:
            if deadline_s is None:
                await handle.accepted()
                return
            async with asyncio.timeout_at(deadline_s):
                await handle.accepted()
        except TimeoutError:
            if handle.standing is Standing.ACCEPTED:
                return
            error = unreachable(handle, handle.shard)
            self._release(handle, error)
            raise error from None
        except asyncio.CancelledError:
            self._release(handle, MeshUnreachable(f"Task {handle.id} was withdrawn by its caller."))
            raise

    def _submission(self, request: TaskRequest, task_id: str = "") -> Submission:
        kind, payload = request.kind, request.payload
        if not kind:
            raise InvalidArgument(
                "A task needs a kind.", hint="`ohmesh workers` shows the kinds that run here."
            )
        checked_name(kind, "kind")
        if len(payload) > self.config.payload_bytes:
            raise PayloadTooLarge(
                f"A payload of {len(payload)} bytes; the limit is {self.config.payload_bytes}."
            )
        if not task_id:
            task_id = id_of_key(self.mesh, kind, request.key) if request.key else self._ids.next()
        now_ms = self._ports.clock.now_ms()
        return Submission(
            task_id,
            kind,
            payload,
            request.priority,
            now_ms,
            now_ms + request.delay_ms if request.delay_ms else 0,
            request.timeout_ms,
            request.max_attempts,
            request.requires,
            request.weight,
            unique=request.unique,
            unique_for_ms=request.unique_for_ms,
            items=request.items,
        )

    def _handle_for(self, submission: Submission) -> TaskHandle:
        tracker = self._tracker
        if tracker.is_closed:
            raise MeshUnreachable("The client is closed; it takes no more tasks.")
        present = tracker.handles.get(submission.task_id)
        if present is not None:  # the same key again
            present.existed = True
            return present
        shard, size_bytes = shard_of(submission.kind, self._shards), _size_of(submission)
        lane = self._lanes[shard]
        if not lane.has_room(size_bytes):
            raise lane.backpressure()
        return tracker.begin(submission, shard, size_bytes)

    def _release(self, handle: TaskHandle, error: MeshUnreachable) -> None:
        """One caller waits no longer for the acceptance; the last one withdraws the submission."""
        handle.holders -= 1
        if not handle.holders and handle.standing is Standing.UNANSWERED:
            self._tracker.give_up(handle, error)

    # Ends, cancellation

    async def watch(self, task_id: str, *, timeout_s: float | None = None) -> TaskHandle:
        """A handle of a task that anybody submitted. UnknownTask is raised here or by its `result()`."""
        handles = await self.watch_many([task_id], timeout_s=timeout_s)
        if task_id not in handles:
            raise unknown_task(task_id)
        return handles[task_id]

    def handle_of(self, task_id: str, shard: int) -> TaskHandle:
        """A handle of a task that this shard is known to hold."""
        return self._tracker.find(task_id) or self._tracker.foreign(task_id, shard)

    async def watch_many(
        self, task_ids: Sequence[str], *, timeout_s: float | None = None
    ) -> dict[str, TaskHandle]:
        """Handles by id; ids that no shard holds are left out, or raise UnknownTask when awaited."""
        found = {task_id: self._tracker.find(task_id) for task_id in task_ids}
        foreign = [task_id for task_id, handle in found.items() if handle is None]
        shards = await self.requests.locate(foreign, timeout_s=timeout_s) if foreign else {}
        handles = {task_id: handle for task_id, handle in found.items() if handle is not None}
        return handles | {task_id: self._tracker.foreign(task_id, shard) for task_id, shard in shards.items()}

    async def cancel(self, task_ids: Sequence[str], *, timeout_s: float | None = None) -> CancelAnswer:
        """Cancel queued and running tasks; the answer accounts for each id once."""
        timeout_s = self.config.request_timeout_ms / 1000 if timeout_s is None else timeout_s
        known = {task_id: self._tracker.find(task_id) for task_id in task_ids}
        places = {task_id: handle.shard for task_id, handle in known.items() if handle is not None}
        foreign = [task_id for task_id in known if task_id not in places]
        if foreign:
            places |= await self.requests.locate(foreign, timeout_s=timeout_s)
        answer = await self._cancellations.ask(places, timeout_s) if places else CancelAnswer([])
        unknown = [*answer.unknown, *(task_id for task_id in foreign if task_id not in places)]
        return CancelAnswer(answer.cancelled, answer.too_late, unknown)

    def event_stream(self) -> EventStream:
        """A reader of the mesh's events, to be begun. Raises UsageError where this client reads no logs."""
        return EventStream(source_of(self._ports.log, self._ports.blobs, self._subjects, self._shards))

    def statistics(self) -> ClientStatistics:
        counts, lanes = self._tracker.counts, self._lanes
        counts.resent = sum(lane.resent for lane in lanes)
        counts.watched = sum(lane.ids_watched for lane in lanes)
        counts.frames_sent = sum(lane.frames_sent for lane in lanes)
        counts.bytes_sent = sum(lane.bytes_sent for lane in lanes)
        counts.unanswered = len(self._unanswered())
        counts.unanswered_bytes = sum(lane.unanswered_bytes for lane in lanes)
        counts.tracked = len(self._tracker.handles)
        counts.awaited = len(self._tracker.awaited)
        return counts

    # Background

    def _connection_changed(self, is_connected: bool) -> None:
        if is_connected and not self._tracker.is_closed:
            self._tracker.connection_is_back()

    async def _sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self.config.sweep_ms / 1000)
            self._ids.refresh()
            self._tracker.sweep()

    def _background_ended(self, task: asyncio.Task[None]) -> None:
        """Only a defect of ours ends these tasks early: say so, and let nobody wait for ever."""
        if task.cancelled():
            return
        self._notice(f"{task.get_name()} ended by {task.exception()!r}; this client is of no more use.")
        self._tracker.is_closed = True
        for handle in self._unanswered():
            self._tracker.give_up(handle, MeshUnreachable(f"The client failed: {task.exception()!r}."))

    def _unanswered(self) -> list[TaskHandle]:
        return [handle for lane in self._lanes for handle in lane.unanswered.values()]

    async def _wait_until_answered(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self.config.close_grace_ms / 1000):
                for handle in self._unanswered():
                    with suppress(OhmeshError):  # a refusal is an answer, and its handle tells it
                        await handle.accepted()


def id_of_key(mesh: str, kind: str, key: str) -> str:
    """The same for the same key, kind and mesh; the length stands first, so that no two pairs run together."""
    text = f"{len(kind)}:{kind}:{key}".encode()
    digest = hashlib.blake2b(text, digest_size=17, key=mesh.encode()[:64]).digest()
    return encode_base32(int.from_bytes(digest), ID_LENGTH)


def _size_of(submission: Submission) -> int:
    names = len(submission.kind) + len(submission.unique)
    names += sum(map(len, submission.requires)) if submission.requires else 0
    return len(submission.payload) + names + SUBMISSION_OVERHEAD_BYTES


def _unanswered_at_close(handles: Sequence[TaskHandle]) -> MeshUnreachable:
    named = ", ".join(handle.id for handle in handles[:NAMED_IDS])
    more = f" and {len(handles) - NAMED_IDS} more" if len(handles) > NAMED_IDS else ""
    return MeshUnreachable(
        f"The client was closed before {len(handles)} submissions were acknowledged: {named}{more}.",
        hint="They may be stored or not; submit them again with the same keys to be sure.",
    )
