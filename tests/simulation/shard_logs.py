"""What the raw log of a shard says at the end of a run, whatever its dispatchers believed."""

from __future__ import annotations

from dataclasses import dataclass, field

from ohmesh.engines.memory.cluster import MemoryCluster
from ohmesh.model.envelope import item_id
from ohmesh.model.task import Submission
from ohmesh.protocols.queue.rows import Opened, ScheduleRan, Succeeded, decode_log_frame
from ohmesh.protocols.queue.task_table import TaskTable


@dataclass
class ShardLog:
    """committed: (task, lease) of each result; in_envelopes: items whose result came in that of an envelope."""

    table: TaskTable = field(default_factory=TaskTable)
    committed: list[tuple[str, int]] = field(default_factory=list)
    in_envelopes: list[str] = field(default_factory=list)
    occurrences: list[Submission] = field(default_factory=list)


def read_shard(cluster: MemoryCluster, log: str) -> ShardLog:
    """All of it, what was trimmed too."""
    read = ShardLog()
    table = read.table
    for entry in cluster.history(log):
        frame = decode_log_frame(entry.data, entry.sequence)
        for row in frame.rows:
            if isinstance(row, Succeeded):
                whole = [table.leases[lease] for lease in row.leases]
                read.committed += [(task.task_id, task.lease) for task in whole if not task.submission.items]
                read.in_envelopes += [
                    item_id(task.task_id, n) for task in whole for n in range(task.submission.items)
                ]
            elif isinstance(row, Opened):
                read.in_envelopes += [item_id(row.task_id, index) for index in row.finished]
            elif isinstance(row, ScheduleRan):
                read.occurrences += row.tasks
            table.apply(row)
    return read
