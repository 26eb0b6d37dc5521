"""The page that a runner process shares with its parent: who is guilty, and results that outlive a crash.

    word 0  STARTED   number of the last task whose turn came
    word 1  CURRENT   number of the task whose code is running right now, 0: none
    word 2  SINCE     monotonic nanoseconds at which that task's own code started
    word 3  HOLD      written by the parent: start nothing more, hand back what comes
    word 4  COMMITTED flushes (16 bits), rows (24), bytes (24): the finished results in the outbox
    word 5  PROGRESS  how many reports of progress were written; see progress
    word 6  STOP      written by the parent: the running task of this number is to end where it next looks; see stream
    word 7  ITEM      which item of the envelope CURRENT, the SINCE of which it is (sync only)
    from byte 4096    the slots of progress, PROGRESS_SLOTS of PROGRESS_SLOT_BYTES
    after them        the outbox: room for the head of a frame, then rows of results not yet flushed to the socket

Invariants
* One writer per word. A word is 8 aligned bytes, written by one store, so it is never seen half-written.
* A row is in the outbox before CURRENT is cleared: whatever kills the process, each task is finished, running or
  unstarted, exactly. (Of an envelope up to 100 microseconds of finished work may be unfinished again.) The
  parent reads the page after the process has ended, when all its stores are visible.
* A task starts after STARTED was written and HOLD was found 0, in this order; the parent writes HOLD, lets
  `settle_ms` pass (a store is visible within microseconds) and reads STARTED: what is beyond will never start. No lock,
  thread or answer of the child is needed, so this works while user code blocks it.
* A parent that reads a living child's outbox takes only what COMMITTED showed for `settle_ms` or longer, unchanged.
"""

from __future__ import annotations

import mmap
import os
import tempfile

from ohmesh.runners.wire import ROWS_HEADER_BYTES

STARTED, CURRENT, SINCE, HOLD, COMMITTED, PROGRESS, STOP, ITEM = range(8)
PROGRESS_SLOTS = 64
PROGRESS_SLOT_BYTES = 1024  # a note of 200 characters takes 800 at most
_HEADER_BYTES = 4096
_OUTBOX_START = _HEADER_BYTES + PROGRESS_SLOTS * PROGRESS_SLOT_BYTES
_FIELD = (1 << 24) - 1


class Page:
    """A mapping of the file behind `file_descriptor`, which may be closed afterwards."""

    def __init__(self, file_descriptor: int) -> None:
        self._mapping = mmap.mmap(file_descriptor, 0)
        whole = memoryview(self._mapping)
        self.words = whole[:_HEADER_BYTES].cast("Q")
        self.progress = whole[_HEADER_BYTES:_OUTBOX_START]
        self.progress_heads = self.progress.cast("Q")
        self.outbox = whole[_OUTBOX_START:]
        whole.release()

    def committed(self) -> tuple[int, bytes]:
        """The present COMMITTED word, and a copy of the rows it tells of: their count is `rows_in(word)`."""
        word = self.words[COMMITTED]
        return word, bytes(self.outbox[ROWS_HEADER_BYTES : ROWS_HEADER_BYTES + (word & _FIELD)])

    def close(self) -> None:
        self.words.release()
        self.progress_heads.release()
        self.progress.release()
        self.outbox.release()
        self._mapping.close()


def create_page_file(outbox_bytes: int) -> int:
    """A file descriptor of anonymous shared memory, zeroed; the caller closes it."""
    if hasattr(os, "memfd_create"):
        file_descriptor = os.memfd_create("ohmesh-runner")
    else:
        with tempfile.TemporaryFile(prefix="ohmesh-runner-") as file:
            file_descriptor = os.dup(file.fileno())
    os.ftruncate(file_descriptor, _OUTBOX_START + outbox_bytes)
    return file_descriptor


def committed_word(flushes: int, rows: int, used_bytes: int) -> int:
    return (flushes & 0xFFFF) << 48 | rows << 24 | used_bytes


def rows_in(word: int) -> int:
    return (word >> 24) & _FIELD
