"""Unique keys: which task of a kind has which key, from its submission to its end. An index over the tasks."""

from __future__ import annotations

from ohmesh.errors import LogCorrupt
from ohmesh.model.task import Submission


class UniqueKeys:
    """`holder` -> the id of the task that waits or runs with the same kind and key, "" where none does."""

    def __init__(self) -> None:
        self.holders: dict[tuple[str, str], str] = {}

    def holder(self, submission: Submission) -> str:
        return self.holders.get((submission.kind, submission.unique), "") if submission.unique else ""

    def claim(self, submission: Submission) -> None:
        """It waits from now on."""
        if not submission.unique:
            return
        holder = self.holders.setdefault((submission.kind, submission.unique), submission.task_id)
        if holder != submission.task_id:
            raise LogCorrupt(f"Tasks {holder} and {submission.task_id} have the same unique key at a time.")

    def release(self, submission: Submission) -> None:
        """It has ended."""
        if submission.unique:
            del self.holders[submission.kind, submission.unique]
