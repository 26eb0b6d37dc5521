"""What streaming tasks yield, on its way from the host to whoever listens.

    runner -> a buffer for each task -> frames on the task's subject

Frames fill while the one before is being sent. A buffer keeps what it has sent, so a reader that came late, or missed
some, asks for it again (SendItems) and the buffer goes back to there. It is no row of any log, nothing waits for it,
and bounds are kept by forgetting: of a stream that is kept anyway all of it fits; of one that is not, the newest part;
of too many streams those that nothing was heard of for longest. What is forgotten here is filled from the task's value,
where that has it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice

from ohmesh.errors import EngineError, EngineUnavailable, InvalidArgument
from ohmesh.model.frame import MAX_FRAME_BYTES, decode_send_items, encode_frame
from ohmesh.model.message import StreamItems
from ohmesh.model.subject import Subjects
from ohmesh.model.task import Outcome
from ohmesh.ports.bus import Bus, Message
from ohmesh.ports.clock import Clock

STREAM_BYTES = 1 << 20  # more than one task's value may take
HOST_BYTES = 64 << 20
FRAME_BYTES = MAX_FRAME_BYTES // 4
ITEM_OVERHEAD_BYTES = 48
ENDED_KEPT_S = 5.0  # the end is on its way to the readers by another road
RETRY_S = 0.1
REWIND_MS = 100


class _Buffer:
    """Items `start` to `end` of one attempt; `sent` is the next one to be sent."""

    __slots__ = ("attempt", "bytes", "is_kept", "lease", "rewound_ms", "sent", "start", "task_id", "values")

    def __init__(self, items: StreamItems) -> None:
        self.task_id, self.attempt, self.lease = items.task_id, items.attempt, items.lease
        self.is_kept = items.is_kept
        self.start = self.sent = items.first
        self.values: deque[bytes] = deque()
        self.bytes = 0
        self.rewound_ms = 0

    @property
    def end(self) -> int:
        return self.start + len(self.values)

    def forget_first(self) -> None:
        self.bytes -= len(self.values.popleft()) + ITEM_OVERHEAD_BYTES
        self.start += 1
        self.sent = max(self.sent, self.start)

    def unsent(self) -> StreamItems:
        """As much as one frame carries."""
        values: list[bytes] = []
        size = 0
        for value in islice(self.values, self.sent - self.start, None):
            size += len(value) + ITEM_OVERHEAD_BYTES
            if values and size > FRAME_BYTES:
                break
            values.append(value)
        return StreamItems(self.task_id, self.attempt, self.lease, self.sent, values, self.is_kept)


class StreamReports:
    def __init__(self, bus: Bus, clock: Clock, *, subjects: Subjects, host: str, incarnation: int) -> None:
        self._bus = bus
        self._clock = clock
        self._subjects = subjects
        self._host = host
        self._incarnation = incarnation
        self._buffers: OrderedDict[str, _Buffer] = OrderedDict()  # the one that was heard of last is last
        self._due: dict[str, None] = {}
        self._bytes = 0
        self._wake = asyncio.Event()

    def put(self, items: StreamItems) -> None:
        """Tell of these soon; they follow those that were put before."""
        buffer = self._buffers.get(items.task_id)
        if buffer is None or buffer.lease != items.lease or buffer.end != items.first:
            self._forget(items.task_id)
            buffer = self._buffers[items.task_id] = _Buffer(items)
        for value in items.values:
            buffer.values.append(value)
            buffer.bytes += len(value) + ITEM_OVERHEAD_BYTES
            self._bytes += len(value) + ITEM_OVERHEAD_BYTES
        while buffer.bytes > STREAM_BYTES and not buffer.is_kept:
            self._bytes -= len(buffer.values[0]) + ITEM_OVERHEAD_BYTES
            buffer.forget_first()
        self._buffers.move_to_end(items.task_id)
        while self._bytes > HOST_BYTES and len(self._buffers) > 1:
            self._forget(next(iter(self._buffers)))
        self._tell(items.task_id)

    def ended(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes if self._buffers else ():
            buffer = self._buffers.get(outcome.task_id)
            if buffer is not None and buffer.lease == outcome.lease:
                asyncio.get_running_loop().call_later(ENDED_KEPT_S, self._forget, buffer.task_id, buffer)

    async def publish_for_ever(self) -> None:
        subscription = await self._bus.subscribe(self._subjects.streams(self._host), self._asked)
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._due:
                    for task_id in list(self._due):
                        await self._publish(task_id)
        finally:
            with suppress(EngineError):  # with the connection gone the subscription is gone too
                await subscription.unsubscribe()

    async def _publish(self, task_id: str) -> None:
        buffer = self._buffers.get(task_id)
        if buffer is None or buffer.sent >= buffer.end:
            self._due.pop(task_id, None)
            return
        items = buffer.unsent()
        frame = encode_frame(self._host, self._incarnation, self._clock.now_ms(), [items])
        try:
            await self._bus.publish(self._subjects.items(task_id), frame)
        except EngineUnavailable:
            await asyncio.sleep(RETRY_S)
            return
        if buffer.sent == items.first:  # else it went back meanwhile
            buffer.sent = items.first + len(items.values)

    def _asked(self, message: Message) -> None:
        try:
            frame = decode_send_items(message.data)
        except InvalidArgument:
            return  # of no version that we know; the reader fills what it lacks from the value
        now_ms = self._clock.monotonic_ms()
        for wanted in frame.bodies:
            buffer = self._buffers.get(wanted.task_id)
            # Several readers that come at once are served by one repetition.
            if buffer is not None and now_ms - buffer.rewound_ms >= REWIND_MS:
                buffer.rewound_ms = now_ms
                buffer.sent = min(buffer.sent, max(buffer.start, wanted.first))
                self._tell(wanted.task_id)

    def _tell(self, task_id: str) -> None:
        self._due[task_id] = None
        self._wake.set()

    def _forget(self, task_id: str, only: _Buffer | None = None) -> None:
        buffer = self._buffers.get(task_id)
        if buffer is not None and only in (None, buffer):
            del self._buffers[task_id]
            self._bytes -= buffer.bytes
