"""A process for sync handlers: one task at a time, in the order of sending, in the main thread.

Nothing else runs here: no thread, no timer. While user code blocks, the parent learns what it needs from the page.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping

from ohmesh.model.task import Grant, Outcome, OutcomeStatus
from ohmesh.ports.handler import Handler
from ohmesh.runners.envelope_run import EnvelopeRun
from ohmesh.runners.outbox import Outbox
from ohmesh.runners.page import CURRENT, HOLD, ITEM, SINCE, STARTED, STOP, Page
from ohmesh.runners.stream import Stopped, Stream, run_stream
from ohmesh.runners.verdict import check_size, failed, stopped
from ohmesh.runners.wire import Items, Load, Row, Splitter, Work, decode_to_process, frame

_READ_BYTES = 256 * 1024


class SerialLoop:
    def __init__(
        self, connection: socket.socket, page: Page, handlers: Mapping[str, Handler], settings: Load
    ) -> None:
        self._connection = connection
        self._words = page.words
        self._rules = {name: handler.manner.retry_rule for name, handler in handlers.items()}
        self._invoke = {name: handler.invoke for name, handler in handlers.items() if not handler.is_async}
        self._streaming = {
            name: one for name, one in handlers.items() if one.manner.stream and not one.is_async
        }
        self._settings = settings
        self._outbox = Outbox(page, connection, flush_us=settings.flush_us)

    def serve(self) -> None:
        """Work until the parent closes the connection."""
        splitter = Splitter()
        while data := self._receive():
            for body in splitter.feed(data):
                message = decode_to_process(body)
                if isinstance(message, Work):
                    self._run_all(message)

    def _receive(self) -> bytes:
        if not self._outbox.is_empty:
            try:
                return self._connection.recv(_READ_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                self._outbox.flush()  # nobody waits for more: what is done leaves now
        return self._connection.recv(_READ_BYTES)

    def _run_all(self, work: Work) -> None:
        wall_offset_ns = time.time_ns() - time.monotonic_ns()
        number = work.first
        for grant in work.grants:
            self._words[STARTED] = number
            if self._words[HOLD] or grant.agent not in self._invoke:
                self._outbox.hand_back(number, grant)
            elif grant.items:
                self._run_envelope(number, grant)
            else:
                self._run(number, grant, wall_offset_ns)
            number += 1

    def _run(self, number: int, grant: Grant, wall_offset_ns: int) -> None:
        words = self._words
        settings = self._settings
        started_ns = time.monotonic_ns()
        words[SINCE] = started_ns
        words[CURRENT] = number
        try:
            if grant.agent in self._streaming:
                value = self._stream(number, grant)
            else:
                value = check_size(self._invoke[grant.agent](grant.payload), settings.value_max_bytes)
            ended_ns = time.monotonic_ns()
            outcome = Outcome(
                grant.lease,
                grant.task_id,
                OutcomeStatus.SUCCEEDED,
                value,
                None,
                (started_ns + wall_offset_ns) // 1_000_000,
                (ended_ns + wall_offset_ns) // 1_000_000,
            )
        except Stopped:
            ended_ns = time.monotonic_ns()
            outcome = stopped(grant, started_ns, ended_ns, wall_offset_ns)
        except BaseException as error:  # noqa: BLE001 - whatever user code raises is its outcome, SystemExit too
            ended_ns = time.monotonic_ns()
            started_ms, ended_ms = ((one + wall_offset_ns) // 1_000_000 for one in (started_ns, ended_ns))
            rule, max_chars = self._rules[grant.agent], settings.traceback_max_chars
            outcome = failed((grant, started_ms, ended_ms), error, rule, max_chars=max_chars)
        self._outbox.add(Row(number, ended_ns - started_ns, outcome), ended_ns)
        words[CURRENT] = 0

    def _run_envelope(self, number: int, grant: Grant) -> None:
        words, invoke = self._words, self._invoke[grant.agent]
        run = EnvelopeRun((number, grant), self._outbox, self._settings, self._rules[grant.agent])
        words[ITEM] = 0
        words[SINCE] = run.began_ns
        words[CURRENT] = number
        if grant.agent in self._streaming:
            run.end()  # a stream is one task's own: these come back as what was not done
        else:
            run.run(invoke, words)
        words[CURRENT] = 0

    def _stream(self, number: int, grant: Grant) -> bytes:
        handler, words = self._streaming[grant.agent], self._words
        stream = Stream(number, handler.manner.stream, self._send, max_bytes=self._settings.value_max_bytes)
        return run_stream(handler.items(grant.payload), stream, lambda: words[STOP] == number)

    def _send(self, items: Items) -> None:
        self._outbox.send(frame(items))
