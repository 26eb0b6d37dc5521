"""Finished results on their way to the parent: in the shared page first, in the socket soon.

Rows gather in the page, where a crash cannot take them, until there are many, the oldest is `flush_us` old, or nothing
is left to do; then they leave as one frame, written from where they stand.
"""

from __future__ import annotations

import os
import socket
import time

from ohmesh.model.task import Grant, Outcome, OutcomeStatus
from ohmesh.runners.page import COMMITTED, Page, committed_word
from ohmesh.runners.wire import ROWS_HEADER_BYTES, Row, encode, frame, pack_rows_header
from ohmesh.runners.wire import Rows as RowsFrame


class Outbox:
    def __init__(self, page: Page, connection: socket.socket, *, flush_us: int) -> None:
        self._words = page.words
        self._room = page.outbox
        self._connection = connection
        self._flush_ns = flush_us * 1000
        self._capacity = len(page.outbox)
        self._position = ROWS_HEADER_BYTES
        self._rows = 0
        self._flushes = 0
        self._oldest_ns = 0
        self._pid = os.getpid()

    def add(self, row: Row, ended_ns: int) -> None:
        """Commit one result; it leaves now if others have waited long enough, else with a later one."""
        self._leave_if_forked()
        data = encode(row)
        end = self._position + len(data)
        if end > self._capacity:
            self.flush()
            end = self._position + len(data)
            if end > self._capacity:
                self.send(frame(RowsFrame([row])))
                return
        self._room[self._position : end] = data
        self._position = end
        self._rows += 1
        self._words[COMMITTED] = committed_word(self._flushes, self._rows, end - ROWS_HEADER_BYTES)
        if self._rows == 1:
            self._oldest_ns = ended_ns
        elif ended_ns - self._oldest_ns >= self._flush_ns:
            self.flush()

    def hand_back(self, number: int, grant: Grant) -> None:
        """The task never started: the parent asked for it back, or its agent is unknown here."""
        now_ns = time.monotonic_ns()
        self.add(Row(number, 0, Outcome(grant.lease, grant.task_id, OutcomeStatus.RETURNED)), now_ns)

    @property
    def is_empty(self) -> bool:
        return self._rows == 0

    def flush(self) -> None:
        if self._rows == 0:
            return
        self._leave_if_forked()
        used_bytes = self._position - ROWS_HEADER_BYTES
        pack_rows_header(self._room, self._rows, used_bytes)
        self.send(self._room[: self._position])
        self._position = ROWS_HEADER_BYTES
        self._rows = 0
        self._flushes += 1
        self._words[COMMITTED] = committed_word(self._flushes, 0, 0)

    def _leave_if_forked(self) -> None:
        """A fork of user code that comes back here shares the page with the process it was forked from: one of them
        answers, before the other has written a byte."""
        if os.getpid() != self._pid:
            os._exit(0)

    def send(self, data: bytes | memoryview) -> None:
        try:
            self._connection.sendall(data)
        except OSError:
            os._exit(1)  # no way left to the parent, or user code closed it; the parent reads the page
