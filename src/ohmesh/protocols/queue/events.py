"""Events: what the rows of a shard's log mean to whoever watches the mesh, as a fold over its entries.

Rows speak of leases; the fold remembers which task each is, and of a task only what its events say: of one that has
only been submitted its id and kind. So it is as large as what has not ended, and a bounded number of tasks that ended
without success, which may be queued again.
The same entries give the same events, with the same ids, wherever the folding began.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from sys import intern

import msgspec
from msgspec import Struct

from ohmesh.model.agent import Liveness
from ohmesh.model.envelope import item_id
from ohmesh.model.event import PREFIX, VERSION, Event
from ohmesh.model.limit import KindLimit
from ohmesh.model.task import FINAL_STATES, TaskEdit, TaskFailure, TaskState
from ohmesh.protocols.queue import rows as r
from ohmesh.protocols.queue.task_table import TaskTable

ENDED_TASKS = 100_000
_HERE = (Liveness.ACTIVE, Liveness.JOINING, Liveness.SUSPECT)


class Known(Struct, gc=False):
    """What is remembered of a task."""

    task_id: str
    kind: str
    attempt: int = 0
    agent: str = ""
    lease: int = 0
    items: int = 0
    cancelled: tuple[int, ...] = ()


class EventFold:
    """`take` every entry in order. Begins with nothing, or with the table of a snapshot (`begin_with`)."""

    def __init__(self, shard: int) -> None:
        self.shard = shard
        self.epoch = 0
        self.time_ms = 0
        self._tasks: dict[str, Known | str] = {}  # the kind of one that has only been submitted
        self._leases: dict[int, Known] = {}
        self._ended: dict[str, Known] = {}
        self._here: dict[str, int] = {}
        self._found: list[tuple[str, str, str, dict[str, object]]] = []
        self._read: dict[type, Callable[..., None]] = {
            r.EpochStarted: self._epoch_started,
            r.Submitted: self._submitted,
            r.Granted: self._granted,
            r.Succeeded: self._succeeded,
            r.Failed: self._failed,
            r.Returned: self._returned,
            r.Cancelled: self._cancelled,
            r.Released: self._released,
            r.HostChanged: self._host_changed,
            r.SnapshotTaken: self._snapshot_taken,
            r.Requeued: self._requeued,
            r.DeadLettersPurged: self._purged,
            r.KindPaused: self._paused,
            r.KindLimited: self._limited,
            r.LockTaken: self._lock_taken,
            r.LockReleased: self._lock_released,
            r.Opened: self._opened,
            r.ItemsCancelled: self._items_cancelled,
            r.ScheduleSet: self._schedule_set,
            r.ScheduleRemoved: self._schedule_removed,
            r.SchedulePaused: self._schedule_paused,
            r.ScheduleRan: self._schedule_ran,
        }

    def begin_with(self, table: TaskTable) -> None:
        """As if every entry up to that of this table had been taken."""
        self.epoch, self.time_ms = table.epoch, table.time_ms
        for task in table.every():
            known = Known(
                task.task_id,
                task.submission.kind,
                task.attempts + task.losses,
                task.agent,
                task.lease,
                task.submission.items,
                task.opened,
            )
            if task.lease:
                self._leases[task.lease] = known
            if task.state not in FINAL_STATES:
                is_new = known == Known(task.task_id, task.submission.kind)
                self._tasks[task.task_id] = intern(known.kind) if is_new else known
            elif task.state is not TaskState.SUCCEEDED:
                self._keep(known)
        self._here = {host.host: host.incarnation for host in table.hosts.values() if host.liveness in _HERE}

    def take(self, sequence: int, frame: r.LogFrame) -> list[Event]:
        """The events of this entry, without cursor. A late append of a replaced writer has none."""
        if frame.epoch < self.epoch:
            return []
        events: list[Event] = []
        for row in frame.rows:
            self.time_ms = max(self.time_ms, getattr(row, "at_ms", 0))
            read = self._read.get(type(row))
            if read is not None:
                read(row)
            for what, subject, kind, data in self._found:
                place = f"{self.shard}:{sequence}:{len(events)}"
                events.append(
                    Event(place, f"{PREFIX}{what}{VERSION}", self.time_ms, subject, self.shard, kind, data)
                )
            self._found.clear()
        return events

    def gap(self, sequence: int, reason: str) -> Event:
        """What stands before this entry could not be read; `reason` says why."""
        place, data = f"{self.shard}:{sequence}:gap", {"reason": reason, "resumes_after": sequence}
        return Event(
            place, f"{PREFIX}shard.gap{VERSION}", self.time_ms, f"shard-{self.shard}", self.shard, "", data
        )

    def _known(self, task_id: str) -> Known:
        known = self._tasks.get(task_id, "")
        return Known(task_id, known) if isinstance(known, str) else known

    def _tell(self, what: str, task: Known, **data: object) -> None:
        self._found.append((f"task.{what}", task.task_id, task.kind, data))

    def _of_shard(self, what: str, **data: object) -> None:
        self._found.append((f"shard.{what}", f"shard-{self.shard}", "", data))

    def _epoch_started(self, row: r.EpochStarted) -> None:
        self.epoch = row.epoch
        self._of_shard("epoch_started", epoch=row.epoch, owner=row.owner)
        if row.lost_tail:
            self._of_shard("tail_lost", reason=row.lost_tail)

    def _submitted(self, row: r.Submitted) -> None:
        for task in row.tasks:
            known = Known(task.task_id, task.kind, items=task.items)
            self._tasks[task.task_id] = known if task.items else intern(task.kind)
            data: dict[str, object] = {"priority": task.priority, "due_ms": task.due_ms}
            if task.items:
                data["items"] = task.items
            self._tell("submitted", known, **data)

    def _granted(self, row: r.Granted) -> None:
        for lease, task_id in enumerate(row.task_ids, row.first_lease):
            known = self._tasks[task_id] = self._known(task_id)
            known.attempt += 1
            known.agent, known.lease = row.agent, lease
            self._leases[lease] = known
            self._tell("started", known, agent=row.agent, attempt=known.attempt)

    def _succeeded(self, row: r.Succeeded) -> None:
        for lease, started_ms in zip(row.leases, row.started_ms, strict=True):
            for known in self._let_go(lease):
                self._tasks.pop(known.task_id, None)
                took_ms = max(0, row.at_ms - started_ms) if started_ms else 0
                self._tell("succeeded", known, agent=known.agent, attempt=known.attempt, took_ms=took_ms)

    def _failed(self, row: r.Failed) -> None:
        for known in self._let_go(row.lease):
            data = {"agent": known.agent, "attempt": known.attempt, **_failure(row.failure)}
            if row.state is TaskState.RETRYING:
                self._tell("retrying", known, **data, due_ms=row.due_ms, is_lost=row.lost)
            else:
                self._end(known)
                self._tell(row.state.value, known, **data)

    def _returned(self, row: r.Returned) -> None:
        for lease in row.leases:
            for known in self._let_go(lease):
                known.attempt -= 1
                self._tell("returned", known, agent=known.agent, reason=row.reason)

    def _cancelled(self, row: r.Cancelled) -> None:
        for task_id in row.task_ids:
            known = self._known(task_id)
            self._end(known)
            self._tell("cancelled", known, agent=known.agent if known.lease else "", attempt=known.attempt)

    def _opened(self, row: r.Opened) -> None:
        """The rest of an envelope: what failed is told as it is of any task, what waits by one event for all."""
        known = self._known(row.task_id)
        self._tasks.pop(row.task_id, None)
        for _ in self._let_go(known.lease):
            pass
        apart = {*row.finished, *(item.index for item in row.failed), *known.cancelled}
        waiting = [index for index in range(known.items) if index not in apart]
        self._tell("opened", known, agent=known.agent, finished=len(row.finished), waiting=len(waiting))
        for index in waiting:
            task_id = item_id(row.task_id, index)
            self._tasks[task_id] = Known(task_id, known.kind, 1 if row.lost else 0)
        for item in row.failed:
            task_id = item_id(row.task_id, item.index)
            failed = self._tasks[task_id] = Known(task_id, known.kind, 1)
            data = {"agent": known.agent, "attempt": 1, **_failure(item.failure)}
            if item.state is TaskState.RETRYING:
                self._tell("retrying", failed, **data, due_ms=item.due_ms, is_lost=False)
            else:
                self._end(failed)
                self._tell(item.state.value, failed, **data)

    def _items_cancelled(self, row: r.ItemsCancelled) -> None:
        envelope = self._known(row.task_id)
        envelope.cancelled = (*envelope.cancelled, *row.indices)
        for index in row.indices:
            item = Known(item_id(row.task_id, index), envelope.kind, 1)
            self._end(item)
            self._tell("cancelled", item, agent=envelope.agent, attempt=1)

    def _released(self, row: r.Released) -> None:
        for lease in row.leases:
            self._leases.pop(lease, None)

    def _requeued(self, row: r.Requeued) -> None:
        for task_id in row.task_ids:
            former = self._ended.pop(task_id, None)
            known = self._tasks[task_id] = Known(task_id, former.kind if former else "")
            self._tell("requeued", known, **({"edited": _edited(row.edit)} if row.edit else {}))

    def _purged(self, row: r.DeadLettersPurged) -> None:
        for task_id in row.task_ids:
            self._tell("purged", self._ended.get(task_id) or Known(task_id, ""))

    def _host_changed(self, row: r.HostChanged) -> None:
        is_here, before = row.liveness in _HERE, self._here.get(row.host)
        if is_here and before != row.incarnation:
            what = "worker.joined"
        elif is_here:
            what = "worker.changed"
        else:
            what = f"worker.{row.liveness.value}"
        if is_here:
            self._here[row.host] = row.incarnation
        elif self._here.pop(row.host, None) is None:
            return  # only its record is dropped
        kinds = sorted({spec.kind for spec in row.agents})
        self._found.append((what, row.host, "", {"kinds": kinds, "pid": row.pid, "version": row.version}))

    def _paused(self, row: r.KindPaused) -> None:
        self._found.append((f"kind.{'paused' if row.is_paused else 'resumed'}", row.kind, row.kind, {}))

    def _limited(self, row: r.KindLimited) -> None:
        limit = row.limit or KindLimit()
        data: dict[str, object] = dict(msgspec.structs.asdict(limit))
        self._found.append((f"kind.{'limited' if row.limit else 'unlimited'}", row.kind, row.kind, data))

    def _schedule_set(self, row: r.ScheduleSet) -> None:
        self._of_schedule("set", row.schedule.name, row.schedule.kind, next_due_ms=row.next_due_ms)

    def _schedule_removed(self, row: r.ScheduleRemoved) -> None:
        self._of_schedule("removed", row.name, row.kind)

    def _schedule_paused(self, row: r.SchedulePaused) -> None:
        self._of_schedule("paused" if row.is_paused else "resumed", row.name, row.kind)

    def _schedule_ran(self, row: r.ScheduleRan) -> None:
        for task in row.tasks:
            known = Known(task.task_id, task.kind)
            self._tasks[task.task_id] = intern(task.kind)
            self._tell("submitted", known, priority=task.priority, due_ms=task.due_ms, schedule=row.name)
        if row.skipped:
            self._of_schedule("skipped", row.name, row.kind, occurrences=row.skipped, due_ms=row.due_ms)

    def _of_schedule(self, what: str, name: str, kind: str, **data: object) -> None:
        self._found.append((f"schedule.{what}", name, kind, data))

    def _lock_taken(self, row: r.LockTaken) -> None:
        data = {"holder": row.holder, "token": row.token, "ttl_ms": row.ttl_ms}
        self._found.append(("lock.taken", row.name, "", dict(data)))

    def _lock_released(self, row: r.LockReleased) -> None:
        self._found.append(("lock.released", row.name, "", {"token": row.token}))

    def _snapshot_taken(self, row: r.SnapshotTaken) -> None:
        self._of_shard("snapshot_taken", sequence=row.sequence)

    def _let_go(self, lease: int) -> Iterator[Known]:
        known = self._leases.pop(lease, None)
        if known is not None:
            known.lease = 0
            yield known

    def _end(self, known: Known) -> None:
        self._tasks.pop(known.task_id, None)
        self._keep(known)

    def _keep(self, known: Known) -> None:
        self._ended[known.task_id] = known
        if len(self._ended) > ENDED_TASKS:
            del self._ended[next(iter(self._ended))]


def _edited(edit: TaskEdit) -> list[str]:
    given = {"arguments": edit.payload, "priority": edit.priority, "timeout_ms": edit.timeout_ms}
    return [name for name, value in given.items() if value is not None]


def _failure(failure: TaskFailure) -> dict[str, object]:
    return {"failure": failure.kind, "message": failure.message}
