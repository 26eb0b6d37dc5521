"""What a shard answers to questions; nothing here changes it."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import msgspec

from ohmesh.errors import InvalidArgument
from ohmesh.model.agent import Duty, HostView, Liveness
from ohmesh.model.explanation import Explain
from ohmesh.model.limit import LimitStanding
from ohmesh.model.message import (
    DEAD_LETTER,
    Describe,
    HostPage,
    ListHosts,
    ListTasks,
    Problem,
    Reply,
    ShardDescription,
    TaskPage,
)
from ohmesh.model.schedule import ListSchedules
from ohmesh.model.task import TaskView
from ohmesh.protocols.queue.envelopes import items_of
from ohmesh.protocols.queue.explanation import explain
from ohmesh.protocols.queue.host_record import HostRecord
from ohmesh.protocols.queue.scheduling import list_schedules
from ohmesh.protocols.queue.shard import Shard
from ohmesh.protocols.queue.sizes import failure_bytes
from ohmesh.protocols.queue.task_record import Task
from ohmesh.protocols.queue.task_view import VIEW_BYTES, view, with_payloads

MAX_PAGE = 1_000
MAX_PAGE_BYTES = 400_000
MAX_HOSTS = 2_000


@dataclass(frozen=True, slots=True)
class Sieve:
    """Which tasks are meant; given, because selectors are read above. At most `scan_tasks` are looked at for a page,
    so that a question about a million tasks holds up nobody's work."""

    matches: Callable[[TaskView], bool]
    scan_tasks: int


def answer(
    shard: Shard,
    question: ListTasks | ListHosts | Describe | Explain | ListSchedules,
    now_ms: int,
    last_sequence: int,
    *,
    sieve: Sieve | None = None,
) -> Reply:
    """`sieve` belongs to a ListTasks with a filter."""
    if isinstance(question, ListHosts):
        return HostPage(list_hosts(shard, now_ms))
    if isinstance(question, Describe):
        return describe(shard, now_ms, last_sequence)
    if isinstance(question, Explain):
        return explain(shard, question.task_id, now_ms)
    if isinstance(question, ListSchedules):
        return list_schedules(shard, question)
    if question.after and not question.after.isdecimal():
        return Problem(InvalidArgument.code, f"{question.after!r} is not the cursor of a page.")
    return list_tasks(shard, question, sieve)


def list_tasks(shard: Shard, query: ListTasks, sieve: Sieve | None = None) -> TaskPage:
    """A page of what the shard holds, newest submission first; `after` is the order of the last task shown.

    A page ends early where it would be too large for one message; of tasks asked for by id those are shown without
    their value (`value_omitted_bytes` says so)."""
    limit = max(1, min(query.limit, MAX_PAGE))
    is_dead = query.state == DEAD_LETTER
    table = shard.table
    if query.task_ids:
        find = table.dead_letters.get if is_dead else table.find
        found = [task for task_id in query.task_ids[:MAX_PAGE] if (task := find(task_id)) is not None]
        return TaskPage(_views(shard, found, query.with_payload), "", len(found))
    last_order = int(query.after) if query.after else None
    if is_dead:  # they stand in the order of their ends
        dead = table.dead_letters.values()
        matching: Iterable[Task] = sorted(dead, key=lambda task: task.order, reverse=True)
        if query.kind:
            matching = (task for task in matching if task.submission.kind == query.kind)
    else:
        matching = _with_items(table.newest_first(last_order, query.kind, query.state))
    if last_order is not None:
        matching = (task for task in matching if task.order < last_order)
    if sieve is not None:
        return _sifted(shard, matching, limit, sieve)
    page = list(islice(matching, limit + 1))
    fitting = _fitting(page[:limit])
    after = str(page[fitting - 1].order) if len(page) > fitting else ""
    return TaskPage(
        [view(task, shard.max_attempts(task)) for task in page[:fitting]],
        after,
        len(table.dead_letters) if is_dead else _total(shard),
    )


def _with_items(tasks: Iterable[Task]) -> Iterator[Task]:
    """With the items of envelopes in the place of these."""
    for task in tasks:
        if task.submission.items:
            yield from reversed(list(items_of(task)))
        else:
            yield task


def _total(shard: Shard) -> int:
    table = shard.table
    return table.retained + sum(depth.total() for depth in table.depth.values())


def _sifted(shard: Shard, candidates: Iterable[Task], limit: int, sieve: Sieve) -> TaskPage:
    """`after` is the order of the last task looked at, unless all were."""
    views: list[TaskView] = []
    size, last_order, after = 0, 0, ""
    for looked_at, task in enumerate(candidates):
        if looked_at == sieve.scan_tasks or len(views) == limit:
            after = str(last_order)
            break
        shown = view(task, shard.max_attempts(task))
        if sieve.matches(shown):
            size += _view_bytes(task)
            if size > MAX_PAGE_BYTES and views:
                after = str(last_order)
                break
            views.append(shown)
        last_order = task.order
    return TaskPage(views, after, _total(shard))


def _fitting(page: list[Task]) -> int:
    """How many of these, from the first on, one message holds; at least one."""
    size = 0
    for count, task in enumerate(page):
        size += _view_bytes(task)
        if size > MAX_PAGE_BYTES and count:
            return count
    return len(page)


def _views(shard: Shard, tasks: list[Task], with_payload: bool) -> list[TaskView]:
    views: list[TaskView] = []
    size = 0
    for task in tasks:
        shown = view(task, shard.max_attempts(task))
        size += _view_bytes(task)
        if size > MAX_PAGE_BYTES and views:
            size -= _view_bytes(task) - VIEW_BYTES
            shown = msgspec.structs.replace(
                shown, value=b"", failures=(), value_omitted_bytes=len(shown.value)
            )
        if with_payload:
            shown, size = with_payloads(task, shown, size, MAX_PAGE_BYTES)
        views.append(shown)
    return views


def _view_bytes(task: Task) -> int:
    return VIEW_BYTES + len(task.value) + sum(map(failure_bytes, task.failures))


def list_hosts(shard: Shard, now_ms: int) -> list[HostView]:
    """The hosts the log knows, offline ones too; beyond MAX_HOSTS those that changed last."""
    records: Iterable[HostRecord] = shard.table.hosts.values()
    if len(shard.table.hosts) > MAX_HOSTS:
        records = heapq.nlargest(MAX_HOSTS, records, key=lambda record: record.changed_ms)
    return [_host_view(shard, record, now_ms) for record in records]


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
        tuple(agent.spec for agent in agents) or tuple(record.agents),
        record.pid,
        record.version,
        {agent.spec.agent: (len(agent.leases), agent.width) for agent in agents},
    )


def describe(shard: Shard, now_ms: int, last_sequence: int) -> ShardDescription:
    table = shard.table
    return ShardDescription(
        shard.number,
        table.epoch,
        table.owner,
        last_sequence,
        {kind: (depth.queued, depth.running, depth.retrying) for kind, depth in table.depth.items()},
        {str(state): count for state, count in table.ended.items() if count},
        sum(1 for host in shard.fleet.hosts.values() if host.reported),
        table.lost_tail,
        dict(table.paused),
        dict(Counter(task.submission.kind for task in table.dead_letters.values())),
        now_ms,
        _limits(shard, now_ms),
    )


def _limits(shard: Shard, now_ms: int) -> dict[str, LimitStanding]:
    at_ms = shard.advance(now_ms)
    asked = ((kind, bool(shard.waiting.lanes(kind))) for kind in shard.table.limits.of)
    found = ((kind, shard.buckets.standing(kind, at_ms, waits=waits)) for kind, waits in asked)
    return {kind: standing for kind, standing in found if standing is not None}
