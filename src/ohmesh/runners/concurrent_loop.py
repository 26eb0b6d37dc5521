"""A process for async handlers: many tasks in one event loop, each step attributed to its task.

A task that runs past its timeout is cancelled here and named to the parent, which kills the process when the task has
not ended after the grace. A task that blocks the loop is noticed by the parent alone, from the shared page.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass

from ohmesh.model.task import Grant, Outcome, OutcomeStatus, TaskFailure
from ohmesh.ports.handler import Handler
from ohmesh.runners.attribution import AttributedCoroutine, inherit_attribution
from ohmesh.runners.envelope_run import EnvelopeRun
from ohmesh.runners.outbox import Outbox
from ohmesh.runners.page import HOLD, SINCE, STARTED, Page
from ohmesh.runners.progress import number_of_task
from ohmesh.runners.stream import Gathering, Stream, run_stream_async
from ohmesh.runners.verdict import check_size, failed
from ohmesh.runners.wire import Load, Overdue, Row, Splitter, Stop, Work, decode_to_process, frame

_READ_BYTES = 256 * 1024


@dataclass(slots=True)
class _Running:
    number: int
    grant: Grant
    task: asyncio.Task[None] | None = None
    started_ns: int = 0
    ending: OutcomeStatus | None = None  # why it was cancelled, if it was


class ConcurrentLoop:
    def __init__(
        self, connection: socket.socket, page: Page, handlers: Mapping[str, Handler], settings: Load
    ) -> None:
        self._connection = connection
        self._words = page.words
        self._handlers = {name: handler for name, handler in handlers.items() if handler.is_async}
        self._settings = settings
        self._outbox = Outbox(page, connection, flush_us=settings.flush_us)
        self._items = Gathering(lambda items: self._outbox.send(frame(items)))
        self._running: dict[int, _Running] = {}
        self._flush_is_due = False
        self._check_is_due = False
        self._wall_offset_ns = 0

    def serve(self) -> None:
        """Work until the parent closes the connection."""
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._splitter = Splitter()
        self._closed = asyncio.Event()
        inherit_attribution(self._loop, self._words)
        self._loop.add_reader(self._connection.fileno(), self._read)
        await self._closed.wait()
        if self._running:
            os._exit(0)  # nobody waits for these any more

    def _read(self) -> None:
        try:
            data = self._connection.recv(_READ_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        if not data:
            self._loop.remove_reader(self._connection.fileno())
            self._closed.set()
            return
        self._take(data)

    def _take(self, data: bytes) -> None:
        self._wall_offset_ns = time.time_ns() - time.monotonic_ns()
        for body in self._splitter.feed(data):
            message = decode_to_process(body)
            if isinstance(message, Work):
                for place, grant in enumerate(message.grants):
                    self._start(message.first + place, grant)
            elif isinstance(message, Stop):
                for number in message.numbers:
                    self._cancel(number, OutcomeStatus.CANCELLED)

    def _start(self, number: int, grant: Grant) -> None:
        running = self._running[number] = _Running(number, grant)
        coroutine = AttributedCoroutine(self._attempt(running), self._words, number=number)
        running.task = self._loop.create_task(coroutine)
        running.task.add_done_callback(lambda _: self._never_began(running))
        if not self._check_is_due:
            self._check_is_due = True
            self._loop.call_later(self._settings.tick_ms / 1000, self._check_timeouts)

    async def _attempt(self, running: _Running) -> None:
        grant = running.grant
        running.started_ns = self._words[SINCE]
        self._words[STARTED] = running.number
        if self._words[HOLD] or grant.agent not in self._handlers:
            self._outbox.hand_back(running.number, grant)
            self._forget(running)
            return
        number_of_task.set(running.number)  # the context is this task's own
        if grant.items:
            await self._run_envelope(running)
            return
        try:
            value = await self._value(running.number, grant)
            outcome = self._outcome(running, OutcomeStatus.SUCCEEDED, value=value)
        except BaseException as error:  # noqa: BLE001 - whatever user code raises is its outcome, SystemExit too
            outcome = self._failed(running, error)
        self._items.flush()  # before the row, after which nobody asks for them
        now_ns = time.monotonic_ns()
        self._outbox.add(Row(running.number, now_ns - running.started_ns, outcome), now_ns)
        self._forget(running)

    async def _run_envelope(self, running: _Running) -> None:
        """Each value is committed at once: while one item is awaited, others may take the process along."""
        grant = running.grant
        handler = self._handlers[grant.agent]
        invoke = handler.invoke_async
        work, rule = (running.number, grant), handler.manner.retry_rule
        run = EnvelopeRun(work, self._outbox, self._settings, rule, commit_ns=0)
        # A stream is one task's own: those of an envelope come back as what was not done.
        for payload in run.payloads if not handler.manner.stream else ():
            running.started_ns = run.item_began_ns
            try:
                may_go_on = run.add(await invoke(payload))
            except BaseException as error:  # noqa: BLE001 - whatever user code raises is its outcome, SystemExit too
                if running.ending is not None and isinstance(error, asyncio.CancelledError):
                    if running.ending is OutcomeStatus.TIMED_OUT:
                        run.fail_by(self._ended(running, OutcomeStatus.TIMED_OUT))
                    break
                may_go_on = run.fail(error)
            if not may_go_on:
                break
        run.end()
        self._forget(running)

    async def _value(self, number: int, grant: Grant) -> bytes:
        handler, max_bytes = self._handlers[grant.agent], self._settings.value_max_bytes
        if handler.manner.stream:
            stream = Stream(number, handler.manner.stream, self._items.add, max_bytes=max_bytes)
            return await run_stream_async(handler.items(grant.payload), stream)
        return check_size(await handler.invoke_async(grant.payload), max_bytes)

    def _failed(self, running: _Running, error: BaseException) -> Outcome:
        if running.ending is not None and isinstance(error, asyncio.CancelledError):
            return self._ended(running, running.ending)
        ran = running.grant, self._wall_ms(running.started_ns), self._wall_ms(time.monotonic_ns())
        rule = self._handlers[running.grant.agent].manner.retry_rule
        return failed(ran, error, rule, max_chars=self._settings.traceback_max_chars)

    def _ended(self, running: _Running, status: OutcomeStatus) -> Outcome:
        if status is not OutcomeStatus.TIMED_OUT:
            return self._outcome(running, status)
        message = f"It ran past its timeout of {running.grant.timeout_ms} ms and was cancelled."
        return self._outcome(running, status, failure=TaskFailure("timeout", message))

    def _outcome(
        self,
        running: _Running,
        status: OutcomeStatus,
        *,
        value: bytes = b"",
        failure: TaskFailure | None = None,
    ) -> Outcome:
        return Outcome(
            running.grant.lease,
            running.grant.task_id,
            status,
            value,
            failure,
            self._wall_ms(running.started_ns),
            self._wall_ms(time.monotonic_ns()),
        )

    def _never_began(self, running: _Running) -> None:
        """A task that was cancelled before its first step leaves without a result of its own."""
        if running.number in self._running:
            now_ns = time.monotonic_ns()
            outcome = Outcome(running.grant.lease, running.grant.task_id, OutcomeStatus.CANCELLED)
            self._words[STARTED] = max(running.number, self._words[STARTED])
            self._outbox.add(Row(running.number, 0, outcome), now_ns)
            self._forget(running)

    def _forget(self, running: _Running) -> None:
        self._running.pop(running.number, None)
        if not self._flush_is_due:
            self._flush_is_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_is_due = False
        self._outbox.flush()

    def _cancel(self, number: int, status: OutcomeStatus) -> None:
        running = self._running.get(number)
        if running is not None and running.ending is None and running.task is not None:
            running.ending = status
            running.task.cancel()

    def _check_timeouts(self) -> None:
        now_ns = time.monotonic_ns()
        overdue = [
            running.number
            for running in self._running.values()
            if running.started_ns and running.ending is None and _is_overdue(running, now_ns)
        ]
        for number in overdue:
            self._cancel(number, OutcomeStatus.TIMED_OUT)
        if overdue:
            self._outbox.send(frame(Overdue(overdue)))
        self._check_is_due = bool(self._running)
        if self._check_is_due:
            self._loop.call_later(self._settings.tick_ms / 1000, self._check_timeouts)

    def _wall_ms(self, monotonic_ns: int) -> int:
        return (monotonic_ns + self._wall_offset_ns) // 1_000_000


def _is_overdue(running: _Running, now_ns: int) -> bool:
    timeout_ms = running.grant.timeout_ms
    return timeout_ms > 0 and now_ns - running.started_ns > timeout_ms * 1_000_000
