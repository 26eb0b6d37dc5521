"""What one process holds, and how a task gets out of it again.

    sent      numbered tasks that the process owes a row for
    recalled  numbers taken back unstarted: their rows (RETURNED) are still to come and are ignored
    endings   tasks that were asked to stop, and when the process is killed if they have not

Recall is exact without the child's help (see page): HOLD is written; `settle_ns` later STARTED is read; what lies
beyond is ours again. Nothing is sent until the rows of all recalled numbers have come and HOLD is lifted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ohmesh.model.task import OutcomeStatus
from ohmesh.runners.held_task import HeldTask
from ohmesh.runners.page import CURRENT, HOLD, SINCE, STARTED, STOP
from ohmesh.runners.wire import Work


@dataclass(frozen=True, slots=True)
class Ending:
    status: OutcomeStatus
    kill_at_ns: int


class Custody:
    def __init__(self, words: memoryview, *, settle_ns: int) -> None:
        self.sent: dict[int, HeldTask] = {}
        self.endings: dict[int, Ending] = {}
        self.backlog_ns = 0
        self.condemned: dict[int, OutcomeStatus] = {}  # why the process was killed, by task
        self._words = words
        self._settle_ns = settle_ns
        self._recalled: set[int] = set()
        self._last = 0
        self._held_since_ns = 0
        self._seen_started = self._seen_last = self._seen_current = 0

    @property
    def is_holding(self) -> bool:
        return self._held_since_ns > 0

    def take(self, tasks: Sequence[HeldTask]) -> Work:
        """Number them; the message that brings them to the process."""
        first = number = self._last + 1
        sent = self.sent
        for task in tasks:
            sent[number] = task
            self.backlog_ns += task.estimate_ns
            number += 1
        self._last = number - 1
        return Work(first, [task.grant for task in tasks])

    def settle(self, number: int) -> HeldTask | None:
        """The task whose row has come; None when it is accounted for already."""
        task = self.sent.pop(number, None)
        if task is None:
            self._recalled.discard(number)
            return None
        self.backlog_ns -= task.estimate_ns
        if self.endings:
            self.endings.pop(number, None)
        return task

    def hold(self, now_ns: int) -> None:
        if not self._held_since_ns:
            self._words[HOLD] = 1
            self._held_since_ns = now_ns

    def recall(self, now_ns: int) -> list[HeldTask]:
        """The unstarted tasks, once that is certain; lifts the hold as soon as nothing is owed for them."""
        if not self._held_since_ns or now_ns - self._held_since_ns < self._settle_ns:
            return []
        started = self._words[STARTED]
        numbers = [number for number in self.sent if number > started]
        tasks = []
        for number in numbers:
            task = self.settle(number)
            if task is not None:
                tasks.append(task)
        self._recalled.update(numbers)
        self.release()
        return tasks

    def release(self) -> None:
        """Lift the hold when each task that was sent has started or come back."""
        if self._held_since_ns and not self._recalled and not self._has_unstarted():
            self._words[HOLD] = 0
            self._held_since_ns = 0

    def end(self, number: int, status: OutcomeStatus, kill_at_ns: int) -> None:
        """The task was asked to stop. The first reason stands."""
        if number in self.sent:
            self.endings.setdefault(number, Ending(status, kill_at_ns))
            if self._words[CURRENT] == number:
                self._words[STOP] = number

    def abandon(self) -> None:
        """The process is ended for nobody's fault: what it still holds is handed back."""
        for number, task in self.sent.items():
            status = OutcomeStatus.CANCELLED if task.is_cancelled else OutcomeStatus.RETURNED
            self.condemned.setdefault(number, status)

    def running(self) -> tuple[int, int]:
        """Number and start of the task whose code runs this instant; (0, 0) when none, or while it changes."""
        words = self._words
        number, since_ns = words[CURRENT], words[SINCE]
        return (number, since_ns) if number and number == words[CURRENT] else (0, 0)

    def has_started(self, number: int) -> bool:
        return number <= self._words[STARTED]

    def look(self) -> tuple[bool, int]:
        """Compare with the last look: is unstarted work stuck behind something; who has been running since."""
        started, current = self._words[STARTED], self._words[CURRENT]
        is_stuck = started == self._seen_started and self._seen_last > started and bool(self.sent)
        lasting = current if current == self._seen_current else 0
        self._seen_started, self._seen_last, self._seen_current = started, self._last, current
        return is_stuck, lasting

    def _has_unstarted(self) -> bool:
        started = self._words[STARTED]
        return self._last > started and any(number > started for number in self.sent)
