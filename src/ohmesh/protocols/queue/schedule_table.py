"""The schedules of a shard: what the log says of them. They change by rows and by nothing else, as the table does."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from ohmesh.errors import LogCorrupt
from ohmesh.model.schedule import Schedule
from ohmesh.protocols.queue import rows as r

_FAR_MS = 1 << 62


class ScheduleRecord(Struct, array_like=True, gc=False):
    """`created_ms` is what an interval is counted from. last_due_ms, last_task_id: of the last occurrence that became
    a task. next_due_ms: 0 is never."""

    schedule: Schedule
    generation: int
    created_ms: int
    next_due_ms: int
    paused_ms: int = 0
    last_due_ms: int = 0
    last_task_id: str = ""
    runs: int = 0
    skipped: int = 0


class ScheduleTable:
    """`records` by name. `earliest_ms`: before it nothing is due."""

    def __init__(self, records: Iterable[ScheduleRecord] = (), next_generation: int = 1) -> None:
        self.records: dict[str, ScheduleRecord] = {record.schedule.name: record for record in records}
        self.next_generation = next_generation
        self._earliest_ms = 0

    @property
    def earliest_ms(self) -> int:
        if not self._earliest_ms:
            times = (record.next_due_ms for record in self.records.values() if is_live(record))
            self._earliest_ms = min(times, default=_FAR_MS)
        return self._earliest_ms

    def apply(self, row: r.ScheduleSet | r.ScheduleRemoved | r.SchedulePaused | r.ScheduleRan) -> None:
        self._earliest_ms = 0
        if isinstance(row, r.ScheduleSet):
            self._set(row)
        elif isinstance(row, r.ScheduleRemoved):
            del self.records[self._named(row.name).schedule.name]
        elif isinstance(row, r.SchedulePaused):
            self._paused(self._named(row.name), row)
        else:
            self._ran(self._named(row.name), row)

    def _set(self, row: r.ScheduleSet) -> None:
        if row.generation < self.next_generation:
            raise LogCorrupt(f"Generation {row.generation} of a schedule was given twice.")
        self.next_generation = row.generation + 1
        record = ScheduleRecord(row.schedule, row.generation, row.at_ms, row.next_due_ms)
        former = self.records.get(row.schedule.name)
        if former is not None:  # what it has done is kept, and a pause is somebody's wish
            record.paused_ms, record.last_due_ms = former.paused_ms, former.last_due_ms
            record.last_task_id, record.runs, record.skipped = (
                former.last_task_id,
                former.runs,
                former.skipped,
            )
        self.records[row.schedule.name] = record

    @staticmethod
    def _paused(record: ScheduleRecord, row: r.SchedulePaused) -> None:
        record.paused_ms = row.at_ms if row.is_paused else 0
        if not row.is_paused:
            record.next_due_ms = row.next_due_ms

    @staticmethod
    def _ran(record: ScheduleRecord, row: r.ScheduleRan) -> None:
        record.next_due_ms = row.next_due_ms
        record.runs += len(row.tasks)
        record.skipped += row.skipped
        if row.tasks:
            record.last_task_id = row.tasks[-1].task_id
            record.last_due_ms = row.due_ms or record.last_due_ms

    def _named(self, name: str) -> ScheduleRecord:
        record = self.records.get(name)
        if record is None:
            raise LogCorrupt(f"A row speaks of schedule {name!r}, which is not in the table.")
        return record


def is_live(record: ScheduleRecord) -> bool:
    """Occurrences of it come."""
    return record.next_due_ms > 0 and not record.paused_ms
