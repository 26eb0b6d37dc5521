"""The audit: what really happened to every task, counted in the raw log and taken from nobody's word.

The rows are read as they stand on disk and followed here without the code that wrote or applied them: a lease belongs
to the task that it was granted for, and a task is committed when a success of one of its leases, a final failure or a
cancellation stands in the log. Lost: acknowledged to a client, and without such a row. Committed twice: two of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from ohmesh.errors import LogCorrupt
from ohmesh.model.subject import Subjects
from ohmesh.model.task import FINAL_STATES
from ohmesh.ports.log import Log
from ohmesh.protocols.queue import rows as r

PAGE_ENTRIES = 200


@dataclass(slots=True)
class Attempt:
    """One grant, as the log tells it. `ended_ms` is 0 while nothing was said of its end."""

    task_id: str
    agent: str
    granted_ms: int
    ended_ms: int = 0
    was_lost: bool = False
    was_returned: bool = False


@dataclass(slots=True)
class Audit:
    """Everything the raw log says. `commits` counts the final rows of each task."""

    entries: int = 0
    rows: int = 0
    epochs: int = 0
    submitted_ms: dict[str, int] = field(default_factory=dict)
    committed_ms: dict[str, int] = field(default_factory=dict)
    commits: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    attempts: dict[int, Attempt] = field(default_factory=dict)
    returned: int = 0

    def lost(self, acknowledged: Iterable[str]) -> list[str]:
        """Tasks that a client was told were safe, and that have no end in the log."""
        return sorted(task_id for task_id in set(acknowledged) if not self.commits[task_id])

    def committed_twice(self) -> list[str]:
        return sorted(task_id for task_id, count in self.commits.items() if count > 1)

    def executions(self) -> Counter[str]:
        """Grants of each task that were not handed back; more than one means that it was tried again."""
        return Counter(attempt.task_id for attempt in self.attempts.values() if not attempt.was_returned)

    def held_by(self, host: str, at_ms: int) -> list[Attempt]:
        """What a host held at an instant, by mesh time."""
        return [
            attempt
            for attempt in self.attempts.values()
            if attempt.agent.startswith(f"{host}/")
            and attempt.granted_ms <= at_ms
            and (not attempt.ended_ms or attempt.ended_ms > at_ms)
        ]

    def regranted_ms(self, task_id: str, after_ms: int) -> int:
        """When it was granted again after an instant; 0 when it was not."""
        later = [
            attempt.granted_ms
            for attempt in self.attempts.values()
            if attempt.task_id == task_id and attempt.granted_ms > after_ms
        ]
        return min(later, default=0)


async def audit_log(log: Log, subjects: Subjects, shards: int) -> Audit:
    """Read every entry of every shard. Raises LogCorrupt when a log was trimmed: then it cannot tell everything."""
    audit = Audit()
    for shard in range(shards):
        name = subjects.log(shard)
        first = 1
        while entries := await log.read(name, first=first, limit=PAGE_ENTRIES):
            if entries[0].sequence != first:
                raise LogCorrupt(
                    f"The log of shard {shard} has no entry {first}; it goes on at {entries[0].sequence}.",
                    hint="It was trimmed after a snapshot; audit a mesh that has kept its whole log.",
                )
            for entry in entries:
                audit.entries += 1
                for row in r.decode_log_frame(entry.data, entry.sequence).rows:
                    audit.rows += 1
                    _follow(audit, row)
            first = entries[-1].sequence + 1
    return audit


def _follow(audit: Audit, row: r.Row) -> None:
    if isinstance(row, r.Submitted | r.ScheduleRan):
        audit.submitted_ms.update((task.task_id, row.at_ms) for task in row.tasks)
    elif isinstance(row, r.Granted):
        for place, task_id in enumerate(row.task_ids):
            audit.attempts[row.first_lease + place] = Attempt(task_id, row.agent, row.at_ms)
    elif isinstance(row, r.Succeeded):
        for lease in row.leases:
            _commit(audit, _ended(audit, lease, row.at_ms).task_id, "succeeded", row.at_ms)
    elif isinstance(row, r.Failed):
        attempt = _ended(audit, row.lease, row.at_ms)
        attempt.was_lost = row.lost
        if row.state in FINAL_STATES:
            _commit(audit, attempt.task_id, row.state.value, row.at_ms)
    elif isinstance(row, r.Cancelled):
        for task_id in row.task_ids:
            _commit(audit, task_id, "cancelled", row.at_ms)
    elif isinstance(row, r.Returned):
        audit.returned += len(row.leases)
        for lease in row.leases:
            _ended(audit, lease, row.at_ms).was_returned = True
    elif isinstance(row, r.EpochStarted):
        audit.epochs += 1


def _ended(audit: Audit, lease: int, at_ms: int) -> Attempt:
    attempt = audit.attempts.get(lease)
    if attempt is None:
        raise LogCorrupt(f"A row ends lease {lease}, which the log never granted.")
    attempt.ended_ms = at_ms
    return attempt


def _commit(audit: Audit, task_id: str, state: str, at_ms: int) -> None:
    audit.commits[task_id] += 1
    audit.states[state] += 1
    audit.committed_ms[task_id] = at_ms
