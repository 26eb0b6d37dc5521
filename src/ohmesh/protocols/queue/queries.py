"""What a shard answers to questions; nothing here changes it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from ohmesh.model.agent import Duty, HostView, Liveness
from ohmesh.model.message import ListTasks, ShardDescription, TaskPage
from ohmesh.model.task import TaskState
from ohmesh.protocols.queue.shard import Shard
from ohmesh.protocols.queue.task_table import HostRecord, Task, view

MAX_PAGE = 1_000


def list_tasks(shard: Shard, query: ListTasks) -> TaskPage:
    """A page of what the shard holds, newest submission first; `after` is the order of the last task shown."""
    limit = max(1, min(query.limit, MAX_PAGE))
    tasks = shard.table.tasks
    if query.task_ids:
        found = [tasks[task_id] for task_id in query.task_ids if task_id in tasks]
        return TaskPage([view(task, shard.max_attempts(task)) for task in found], "", len(found))
    matching: Iterable[Task] = reversed(tasks.values())
    if query.after:
        last_order = int(query.after)
        matching = (task for task in matching if task.order < last_order)
    if query.kind:
        matching = (task for task in matching if task.submission.kind == query.kind)
    if query.state:
        matching = (task for task in matching if task.state == query.state)
    page = list(islice(matching, limit + 1))
    after = str(page[limit - 1].order) if len(page) > limit else ""
    return TaskPage([view(task, shard.max_attempts(task)) for task in page[:limit]], after, len(tasks))


def list_hosts(shard: Shard, now_ms: int) -> list[HostView]:
    """Every host the log knows, offline ones too."""
    return [_host_view(shard, record, now_ms) for record in shard.table.hosts.values()]


def _host_view(shard: Shard, record: HostRecord, now_ms: int) -> HostView:
    live = shard.fleet.hosts.get(record.host)
    kinds = tuple(dict.fromkeys(spec.kind for spec in record.agents))
    if live is None:
        liveness = Liveness.OFFLINE if record.liveness is Liveness.ACTIVE else record.liveness
        return HostView(
            record.host,
            liveness,
            Duty.READY,
            record.changed_ms,
            0,
            0,
            0,
            0,
            kinds,
            tuple(record.agents),
            record.pid,
            record.version,
        )
    agents = live.agents.values()
    return HostView(
        record.host,
        Liveness.ACTIVE if now_ms - live.last_seen_ms <= live.lease_ms else Liveness.SUSPECT,
        live.duty,
        live.last_seen_ms,
        sum(len(agent.leases) for agent in agents),
        sum(agent.width for agent in agents),
        live.completed,
        live.failed,
        kinds,
        tuple(agent.spec for agent in agents),
        record.pid,
        record.version,
    )


def describe(shard: Shard, number: int, last_sequence: int) -> ShardDescription:
    table = shard.table
    return ShardDescription(
        number,
        table.epoch,
        table.owner,
        last_sequence,
        {kind: (depth.queued, depth.running, depth.retrying) for kind, depth in table.depth.items()},
        {str(state): count for state, count in table.ended.items() if state in TaskState},
        sum(1 for host in shard.fleet.hosts.values() if host.reported),
        table.lost_tail,
    )
