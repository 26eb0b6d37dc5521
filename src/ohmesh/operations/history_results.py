"""What the verbs about history answer; the conventions are those of `results.py`.

`behind`: how many entries of the logs are not history yet, so what ended a moment ago may be missing; 0 is none,
-1 is not known.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from ohmesh.operations.results import TaskDescription


class TaskHistory(Struct, frozen=True):
    """Tasks by their ends, the last first. `after` asks for the next page ("" on the last); `filter` is what they had
    to match. A task that was run again after its end stands here once for each end."""

    tasks: list[TaskDescription]
    after: str = ""
    behind: int = -1
    filter: str = ""

    def __iter__(self) -> Iterator[TaskDescription]:
        return iter(self.tasks)

    def __len__(self) -> int:
        return len(self.tasks)

    def __str__(self) -> str:
        return "\n".join([f"{len(self.tasks)} ends of tasks", *map(str, self.tasks)])


class HistoryEvent(Struct, frozen=True):
    """What happened beside the ends of tasks; `subject` is whom it happened to: a worker, a task, a log."""

    at_ms: int
    kind: str
    subject: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}: {self.detail}"


class HistoryEvents(Struct, frozen=True):
    """Newest first. `is_cut`: older ones did not fit into the answer; ask for one kind, or for fewer. `filter`: what
    they had to match."""

    events: list[HistoryEvent]
    is_cut: bool = False
    behind: int = -1
    filter: str = ""

    def __iter__(self) -> Iterator[HistoryEvent]:
        return iter(self.events)

    def __len__(self) -> int:
        return len(self.events)

    def __str__(self) -> str:
        return "\n".join(map(str, self.events))
