"""Unique keys: which task of a kind has which key, from its submission to its end, and where the submission says so for
a span beyond that. An index over the tasks, except for the spans: those outlive their tasks and stand in snapshots.

A span is counted from the submission and is kept by a task that succeeded. One that ended otherwise lets go of its key,
since what the key stands for has not been done.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from ohmesh.errors import LogCorrupt
from ohmesh.model.task import Submission

Key = tuple[str, str]
KeptKey = tuple[str, str, str, int]  # kind, key, the id of the task that ended, until when (excluded), ms


class UniqueKeys:
    """holders: key -> the id of the task that waits or runs with it. kept: key -> that of one that has succeeded, and
    until when it has the key; some have run out."""

    def __init__(self) -> None:
        self.holders: dict[Key, str] = {}
        self.kept: dict[Key, tuple[str, int]] = {}
        self._ends: list[tuple[int, Key]] = []

    def holder(self, submission: Submission, at_ms: int) -> str:
        """The id of the task that has this submission's key then, "" where none has."""
        key = submission.kind, submission.unique
        if not submission.unique:
            return ""
        holder = self.holders.get(key)
        if holder is not None:
            return holder
        task_id, until_ms = self.kept.get(key, ("", 0))
        return task_id if at_ms < until_ms else ""

    def claim(self, submission: Submission, at_ms: int) -> None:
        """It waits from now on."""
        if not submission.unique:
            return
        key = submission.kind, submission.unique
        holder = self.holders.setdefault(key, submission.task_id)
        if holder != submission.task_id:
            raise LogCorrupt(f"Tasks {holder} and {submission.task_id} have the same unique key at a time.")
        self.kept.pop(key, None)
        while self._ends and self._ends[0][0] <= at_ms:
            until_ms, ended = heapq.heappop(self._ends)
            if self.kept.get(ended, ("", 0))[1] == until_ms:
                del self.kept[ended]

    def release(self, submission: Submission) -> None:
        """It has ended."""
        if submission.unique:
            del self.holders[submission.kind, submission.unique]

    def release_after_success(self, submission: Submission, submitted_ms: int, at_ms: int) -> None:
        """It has done what its key stands for."""
        self.release(submission)
        until_ms = submitted_ms + submission.unique_for_ms
        if submission.unique and until_ms > at_ms:
            self._keep((submission.kind, submission.unique), submission.task_id, until_ms)

    def is_full(self, most: int, at_ms: int) -> bool:
        """So many are kept, and none of them has run out."""
        return len(self.kept) >= most and self._ends[0][0] > at_ms

    def restore(self, kept: Iterable[KeptKey]) -> None:
        for kind, key, task_id, until_ms in kept:
            self._keep((kind, key), task_id, until_ms)

    def columns(self) -> list[KeptKey]:
        return [(kind, key, *ended) for (kind, key), ended in self.kept.items()]

    def _keep(self, key: Key, task_id: str, until_ms: int) -> None:
        self.kept[key] = task_id, until_ms
        heapq.heappush(self._ends, (until_ms, key))
