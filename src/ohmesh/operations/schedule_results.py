"""What the verbs about schedules answer; the conventions are those of `results.py`."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from ohmesh.model.schedule import CatchUp, Overlap
from ohmesh.operations.results import Value


class ScheduleDescription(Struct, frozen=True):
    """A schedule. next_due_ms: 0 while it is paused. last_task_id, last_state: of the last task made of it; the state
    is "" where that task is not held any more. runs: tasks made; skipped: occurrences left out.

    arguments, named: those of its tasks, of one that is asked for by name; None in a list.
    """

    name: str
    kind: str
    cron: str
    timezone: str
    every_ms: int
    next_due_ms: int
    last_due_ms: int = 0
    last_task_id: str = ""
    last_state: str = ""
    runs: int = 0
    skipped: int = 0
    paused_ms: int = 0
    catch_up: CatchUp = CatchUp.LAST
    overlap: Overlap = Overlap.ALLOW
    priority: str = ""
    timeout_ms: int = 0
    retries: int = -1
    requires: list[str] = []
    arguments: list[Value] | None = None
    named: dict[str, Value] | None = None
    created_ms: int = 0
    generation: int = 0

    @property
    def is_paused(self) -> bool:
        return self.paused_ms > 0

    @property
    def timing(self) -> str:
        """When, in one phrase."""
        return f"{self.cron} {self.timezone}" if self.cron else f"every {self.every_ms / 1000:g} s"

    def __str__(self) -> str:
        return (
            f"{self.name} {self.kind} {self.timing}{', paused' if self.is_paused else ''}, {self.runs} runs"
        )


class ScheduleList(Struct, frozen=True):
    """A page, by name; `after` asks for the next."""

    schedules: list[ScheduleDescription]
    after: str = ""
    total: int = 0

    def __iter__(self) -> Iterator[ScheduleDescription]:
        return iter(self.schedules)

    def __len__(self) -> int:
        return len(self.schedules)

    def __str__(self) -> str:
        return "\n".join([f"{len(self.schedules)} of {self.total} schedules", *map(str, self.schedules)])
