"""How far a running task says that it is, told through the page that its process shares with the host.

A report is a few stores into memory: no system call, thread or lock is waited for, so a handler may report in its
innermost loop. The host looks into the page ten times a second while there is work, and sees the latest report of each
task. Slots are few (`number % PROGRESS_SLOTS`): where two tasks share one, the later report hides the other's.

A slot is written between two changes of its first word: odd while it is being written. A reader takes what it
finds between two equal even words, and what cannot be decoded (user code wrote over it) is nothing.

Attribution costs a task that does not report nothing: a sync process runs one task, which CURRENT names; in an async
one the task's context does, also in threads that `asyncio.to_thread` starts.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextvars import ContextVar

import msgspec
from msgspec import Struct

from ohmesh.errors import InvalidArgument
from ohmesh.runners.page import CURRENT, PROGRESS, PROGRESS_SLOT_BYTES, PROGRESS_SLOTS, Page

NOTE_MAX_CHARS = 200
_HEAD_WORDS = 2  # sequence, length
_HEAD_BYTES = 8 * _HEAD_WORDS
_LOCK_WAIT_S = 0.001

number_of_task: ContextVar[int] = ContextVar("number_of_task", default=0)


class Reported(Struct, array_like=True, frozen=True):
    """What the task of this number said last; `count` rises with each report of its process."""

    number: int
    count: int
    done: float
    total: float | None
    note: str


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Reported).decode


class ProgressDesk:
    """The child's side: writes reports into the page."""

    def __init__(self, page: Page, *, is_async: bool) -> None:
        self._words = page.words
        self._slots = page.progress
        self._heads = page.progress_heads
        self._is_async = is_async
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._count = 0

    def put(self, done: float, total: float | None, note: str) -> None:
        number = number_of_task.get() if self._is_async else self._words[CURRENT]
        if not number or os.getpid() != self._pid or not self._lock.acquire(timeout=_LOCK_WAIT_S):
            return
        try:
            self._count += 1
            data = _encode(Reported(number, self._count, done, total, note))
            start = number % PROGRESS_SLOTS * PROGRESS_SLOT_BYTES
            head = start // 8
            sequence = self._heads[head] | 1
            self._heads[head] = sequence
            self._heads[head + 1] = len(data)
            self._slots[start + _HEAD_BYTES : start + _HEAD_BYTES + len(data)] = data
            self._heads[head] = sequence + 1
            self._words[PROGRESS] = self._count
        finally:
            self._lock.release()


class ProgressReader:
    """The host's side: what is new since the last look."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._heads = page.progress_heads
        self._seen = 0
        self._sequences = [0] * PROGRESS_SLOTS

    def look(self) -> list[Reported]:
        count = self._page.words[PROGRESS]
        if count == self._seen:
            return []
        self._seen = count
        found = [self._slot(slot) for slot in range(PROGRESS_SLOTS)]
        return [one for one in found if one is not None]

    def _slot(self, slot: int) -> Reported | None:
        start = slot * PROGRESS_SLOT_BYTES
        head = start // 8
        sequence, length = self._heads[head], self._heads[head + 1]
        if sequence == self._sequences[slot] or length > PROGRESS_SLOT_BYTES - _HEAD_BYTES:
            return None
        data = bytes(self._page.progress[start + _HEAD_BYTES : start + _HEAD_BYTES + length])
        if sequence & 1 or self._heads[head] != sequence:
            self._seen = -1  # it is being written: look again
            return None
        self._sequences[slot] = sequence
        try:
            return _decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None


Put = Callable[[float, float | None, str], None]

put_of_task: ContextVar[Put | None] = ContextVar("put_of_task", default=None)
"""Where a task reports that runs in its host's own process (runners.in_process)."""

_desk: ProgressDesk | None = None


def open_desk(page: Page, *, is_async: bool) -> None:
    """This process runs tasks; what they report goes into `page`."""
    global _desk  # noqa: PLW0603 - one process, one page: user code calls a function and has no object of ours
    _desk = ProgressDesk(page, is_async=is_async)


def report_progress(done: float, total: float | None = None, note: str = "") -> None:
    """Say how far the task that runs here is: `done` of `total` (where that is known), and a note of 200 characters.

    Cheap and never waits; whoever watches the task sees the latest report, about ten times a second. What nobody
    watches is forgotten. Outside a worker's runner process, and in processes that a handler starts, it does nothing but
    check its arguments. Raises InvalidArgument.
    """
    _check_number("done", done)
    if total is not None:
        _check_number("total", total)
    _check_note(note)
    put = put_of_task.get() or (_desk.put if _desk is not None else None)
    if put is not None:
        put(float(done), None if total is None else float(total), _storable(note))


def _check_note(note: object) -> None:
    if not isinstance(note, str) or len(note) > NOTE_MAX_CHARS:
        raise InvalidArgument(
            f"note: {_shown(note)} is not a short text.", hint=f"Give at most {NOTE_MAX_CHARS} characters."
        )


def _check_number(name: str, value: object) -> None:
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST:
        return  # NaN is not, it compares with nothing
    raise InvalidArgument(
        f"{name}: {_shown(value)} is not a number of steps.", hint="Give a finite number, such as 3 or 0.5."
    )


_LARGEST = 1e300


def _shown(value: object) -> str:
    text = f"a text of {len(value)} characters" if isinstance(value, str) and len(value) > 60 else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _storable(text: str) -> str:
    """Lone surrogates cannot be encoded; they are written as question marks."""
    return text.encode("utf-8", "replace").decode()
