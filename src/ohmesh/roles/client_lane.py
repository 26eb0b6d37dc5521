"""A lane: everything that a client sends to one shard, and the window of what the shard has not answered.

Frames fill while the one before is being sent: whatever has gathered when the engine has taken a frame goes into the
next. Nothing waits on a timer.

Invariants: `unanswered` holds each submission from `add` to `settle`, in the order of submission, and
`unanswered_bytes` is the sum of their sizes; a submission stands in the queue at most once.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterable

from ohmesh.errors import Backpressure, EngineUnavailable
from ohmesh.model.frame import encode_frame
from ohmesh.model.message import Cancel, Submit, Watch
from ohmesh.model.task import Submission
from ohmesh.roles.client_config import ClientConfig, ClientPorts
from ohmesh.roles.client_handle import TaskHandle

FRAME_OVERHEAD_BYTES = 1_000
ID_BYTES = 72  # an id of the longest kind that is accepted, with its header

Notice = Callable[[str], None]


class Lane:
    """`client` is the name that answers are sent to; `dispatcher` who answered last: (name, term)."""

    def __init__(
        self, ports: ClientPorts, config: ClientConfig, *, client: str, subject: str, notice: Notice
    ) -> None:
        self.unanswered: dict[str, TaskHandle] = {}
        self.unanswered_bytes = 0
        self.dispatcher: tuple[str, int] | None = None
        self.frames_sent = 0
        self.bytes_sent = 0
        self.resent = 0
        self.ids_watched = 0
        self._ports = ports
        self._config = config
        self._client = client
        self._subject = subject
        self._notice = notice
        self._rng: random.Random = ports.entropy.rng()
        self._queue: deque[TaskHandle] = deque()
        self._watches: dict[str, None] = {}
        self._cancels: dict[str, None] = {}
        self._callers: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._promised_bytes = 0
        self._wake = asyncio.Event()

    # The window

    def has_room(self, size_bytes: int) -> bool:
        """A submission larger than the whole window goes alone."""
        held = self.unanswered_bytes + self._promised_bytes
        return not held or held + size_bytes <= self._config.window_bytes

    def backpressure(self) -> Backpressure:
        return Backpressure(
            f"{len(self.unanswered):,} submissions of {self.unanswered_bytes:,} bytes are unanswered; "
            f"the window of a client is {self._config.window_bytes:,} bytes a shard.",
            retry_after_ms=self._config.window_retry_ms,
            hint="Await some of them, or use `submit`, which waits for room.",
        )

    async def wait_for_room(self, size_bytes: int) -> None:
        """First come, first served. Raises Backpressure at once when too many callers wait already."""
        if not self._callers and self.has_room(size_bytes):
            return
        if len(self._callers) >= self._config.waiting_callers:
            raise self.backpressure()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place = (size_bytes, future)
        self._callers.append(place)
        try:
            await future
        except asyncio.CancelledError:
            if not future.cancelled():  # room was promised in the same instant: pass it on
                self._promised_bytes -= size_bytes
            elif place in self._callers:
                self._callers.remove(place)
            self._admit()
            raise
        self._promised_bytes -= size_bytes

    def _admit(self) -> None:
        while self._callers and self.has_room(self._callers[0][0]):
            size_bytes, future = self._callers.popleft()
            if not future.done():
                self._promised_bytes += size_bytes
                future.set_result(None)

    # What is to be sent

    def add(self, handle: TaskHandle) -> None:
        self.unanswered[handle.id] = handle
        self.unanswered_bytes += handle.size_bytes
        handle.is_queued = True
        self._queue.append(handle)
        self._wake.set()

    def settle(self, handle: TaskHandle) -> None:
        """It was answered, or is given up: its place in the window is free."""
        if self.unanswered.pop(handle.id, None) is None:
            return
        self.unanswered_bytes -= handle.size_bytes
        if self._callers:
            self._admit()

    def resend_due(self, now_ms: int) -> list[TaskHandle]:
        """Queue again what has waited long enough for its answer; return what is past its deadline.

        In the order of submission, so the scan ends at the first that was sent lately for the first time.
        """
        expired: list[TaskHandle] = []
        for handle in self.unanswered.values():
            if handle.deadline_ms <= now_ms:
                expired.append(handle)
            elif handle.tries == 0 or (handle.tries == 1 and handle.retry_ms > now_ms):
                break
            elif handle.retry_ms <= now_ms:
                self._resend(handle)
        return expired

    def resend_all(self) -> None:
        """The connection is back; what was sent before may be lost."""
        for handle in self.unanswered.values():
            self._resend(handle)

    def _resend(self, handle: TaskHandle) -> None:
        if not handle.is_queued:
            handle.is_queued = True
            self._queue.append(handle)
            self.resent += 1
            self._wake.set()

    def watch(self, task_ids: Iterable[str]) -> None:
        self._watches.update(dict.fromkeys(task_ids))
        self._wake.set()

    def cancel(self, task_ids: Iterable[str]) -> None:
        self._cancels.update(dict.fromkeys(task_ids))
        self._wake.set()

    # Sending

    async def send_for_ever(self) -> None:
        while True:
            data = self._next_frame()
            if not data:
                self._wake.clear()
                await self._wake.wait()
                continue
            try:
                await self._ports.bus.publish(self._subject, data)
            except EngineUnavailable as error:
                self._notice(f"A frame to {self._subject} was not sent and is repeated: {error}")
                await asyncio.sleep(self._config.retry_min_ms / 1000)
            self.frames_sent += 1
            self.bytes_sent += len(data)

    def _next_frame(self) -> bytes:
        bodies: list[Submit | Watch | Cancel] = []
        room = self._config.frame_bytes - FRAME_OVERHEAD_BYTES
        cancels = _take(self._cancels, min(self._config.frame_ids, room // ID_BYTES))
        if cancels:
            bodies.append(Cancel(self._client, cancels))
        room -= len(cancels) * ID_BYTES
        watches = _take(self._watches, min(self._config.frame_ids, room // ID_BYTES))
        if watches:
            bodies.append(Watch(self._client, watches))
            self.ids_watched += len(watches)
        room -= len(watches) * ID_BYTES
        tasks = self._take_submissions(room, is_shared=bool(bodies))
        if tasks:
            bodies.append(Submit(self._client, tasks))
        if not bodies:
            return b""
        return encode_frame(self._client, 0, self._ports.clock.now_ms(), bodies)

    def _take_submissions(self, room: int, *, is_shared: bool) -> list[Submission]:
        queue, limit = self._queue, self._config.frame_tasks
        tasks: list[Submission] = []
        first_retry_ms = self._ports.clock.monotonic_ms() + self._delay_ms(1)
        while queue and len(tasks) < limit:
            handle = queue[0]
            submission = handle.submission
            if submission is None:  # answered or withdrawn while it stood here
                queue.popleft().is_queued = False
                continue
            room -= handle.size_bytes
            if room < 0 and (tasks or is_shared):  # one too large for any frame still goes, alone
                break
            queue.popleft()
            handle.is_queued = False
            handle.tries += 1
            handle.retry_ms = first_retry_ms if handle.tries == 1 else self._later_retry_ms(handle.tries)
            tasks.append(submission)
        return tasks

    def _later_retry_ms(self, tries: int) -> int:
        return self._ports.clock.monotonic_ms() + self._delay_ms(tries)

    def _delay_ms(self, tries: int) -> int:
        """1 s, 2 s, 4 s, 5 s, 5 s ..., each shortened by up to a quarter so that clients do not march in step."""
        config = self._config
        delay_ms = min(config.retry_max_ms, config.retry_min_ms << min(tries - 1, 16))
        return round(delay_ms * self._rng.uniform(0.75, 1.0))


def _take(ids: dict[str, None], limit: int) -> list[str]:
    """Remove and return the first ones."""
    if len(ids) <= limit:
        taken = list(ids)
        ids.clear()
        return taken
    taken = [task_id for task_id, _ in zip(ids, range(limit), strict=False)]
    for task_id in taken:
        del ids[task_id]
    return taken
