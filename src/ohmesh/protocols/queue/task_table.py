"""The task table: what the log says is true. It changes by rows and by nothing else.

Applying a row never decides, reads no clock and calls no policy, so the same rows give the same table wherever they
are replayed. A row that does not fit the table (a lease that is not live, a task that exists already) can only come
from a bug or a damaged log and raises LogCorrupt with the story of the task.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from sys import intern

from ohmesh.errors import LogCorrupt
from ohmesh.model.agent import Liveness
from ohmesh.model.task import DEAD_LETTER_STATES, FINAL_STATES, TaskState
from ohmesh.protocols.queue import envelopes
from ohmesh.protocols.queue import rows as r
from ohmesh.protocols.queue.depth import Depth
from ohmesh.protocols.queue.forgotten import ForgottenIds
from ohmesh.protocols.queue.held_tasks import HeldTasks
from ohmesh.protocols.queue.host_record import HostRecord, kinds_served
from ohmesh.protocols.queue.kind_limits import KindLimits
from ohmesh.protocols.queue.lock_table import LockTable
from ohmesh.protocols.queue.parked import Parking
from ohmesh.protocols.queue.schedule_table import ScheduleTable
from ohmesh.protocols.queue.task_record import Task, edited, without_payload
from ohmesh.protocols.queue.unique_keys import UniqueKeys

MAX_FAILURES_KEPT = 10

REQUEUEABLE_STATES = DEAD_LETTER_STATES | {TaskState.CANCELLED}
# A member of an enum is looked up by a descriptor, which the loops below need not do for each task.
_QUEUED, _RUNNING, _SUCCEEDED = TaskState.QUEUED, TaskState.RUNNING, TaskState.SUCCEEDED
_AFTER_FAILURE = {TaskState.RETRYING} | DEAD_LETTER_STATES


class TaskTable(HeldTasks):
    """All tasks of a shard, live and ended, with the leases and hosts. Public attributes are for reading.

    held_bytes: the payloads of those that have not ended."""

    def __init__(self, parking: Parking | None = None) -> None:
        super().__init__(parking)
        self.epoch = 0
        self.owner = ""
        self.time_ms = 0
        self.next_order = 1
        self.next_lease = 1
        self.held_bytes = 0
        self.leases: dict[int, Task] = {}
        self.finished: deque[Task] = deque()
        self.retained = 0
        self.came_out: Counter[str] = Counter()
        self.dead_letters: dict[str, Task] = {}
        self.paused: dict[str, int] = {}
        self.limits = KindLimits()
        self.unique = UniqueKeys()
        self.schedules = ScheduleTable()
        self.locks = LockTable()
        self.forgotten = ForgottenIds()
        self.horizon_ms = 0
        self.hosts: dict[str, HostRecord] = {}
        self._served: frozenset[str] | None = None
        self.depth: dict[str, Depth] = {}
        self.ended: Counter[TaskState] = Counter()
        self.snapshot: r.SnapshotTaken | None = None
        self.lost_tail = ""
        self.appliers: dict[type, Callable[..., None]] = {
            r.EpochStarted: self._epoch_started,
            r.Submitted: self._submitted,
            r.Granted: self._granted,
            r.Succeeded: self._succeeded,
            r.Failed: self._failed,
            r.Returned: self._returned,
            r.Cancelled: self._cancelled,
            r.Released: self._released,
            r.HostChanged: self._host_changed,
            r.Forgotten: self._forgotten,
            r.SnapshotTaken: self._snapshot_taken,
            r.HorizonMoved: self._horizon_moved,
            r.Requeued: self._requeued,
            r.DeadLettersPurged: self._dead_letters_purged,
            r.KindPaused: self._kind_paused,
            r.Opened: self._opened,
            r.ItemsCancelled: self._items_cancelled,
            r.KindLimited: self._kind_limited,
            r.ScheduleSet: self._schedule_changed,
            r.ScheduleRemoved: self._schedule_changed,
            r.SchedulePaused: self._schedule_changed,
            r.ScheduleRan: self._schedule_ran,
            r.LockTaken: self._lock_changed,
            r.LockReleased: self._lock_changed,
        }

    def apply(self, row: r.Row) -> None:
        self.appliers[type(row)](row)

    def apply_all(self, rows: Iterable[r.Row]) -> None:
        for row in rows:
            self.appliers[type(row)](row)

    def _epoch_started(self, row: r.EpochStarted) -> None:
        if row.epoch <= self.epoch:
            raise LogCorrupt(f"Epoch {row.epoch} was started after epoch {self.epoch}.")
        self.epoch = row.epoch
        self.owner = row.owner
        self.lost_tail = row.lost_tail or self.lost_tail
        self.time_ms = row.at_ms

    def _submitted(self, row: r.Submitted) -> None:
        self.time_ms = at_ms = row.at_ms
        order, held_bytes = self.next_order, self.held_bytes
        tasks, parked, parking = self.tasks, self.parked, self.parking
        far_ms, most = at_ms + parking.delay_ms, parking.waiting
        for submission in row.tasks:
            task_id, kind = submission.task_id, submission.kind
            if task_id in tasks or (parked.count and parked.find(task_id)):
                raise LogCorrupt(f"Task {task_id} was submitted twice.")
            if submission.unique:
                self.unique.claim(submission, at_ms)
            depth = self.depth_of(kind)
            queued = depth.queued
            if submission.due_ms > far_ms or (queued >= most and queued - parked.queued[kind] >= most):
                parked.park_submission(submission, order, at_ms)
            else:
                tasks[task_id] = Task(submission, order, at_ms, due_ms=submission.due_ms)
            count = submission.items or 1
            depth.queued = queued + count
            order += count
            held_bytes += len(submission.payload)
        self.next_order, self.held_bytes = order, held_bytes

    def _granted(self, row: r.Granted) -> None:
        self.time_ms = at_ms = row.at_ms
        lease = row.first_lease
        if lease < self.next_lease:
            raise LogCorrupt(f"Lease {lease} was granted again; the next one is {self.next_lease}.")
        tasks, leases, depths, limits = self.tasks, self.leases, self.depth, self.limits
        agent = intern(row.agent)
        for task_id in row.task_ids:
            task = tasks.get(task_id) or self.known(task_id)
            submission, state = task.submission, task.state
            if task.lease or state in FINAL_STATES:
                raise LogCorrupt(f"{self.story_of(task)} was granted although it was not waiting.")
            depth = depths[submission.kind]
            count = task.count if submission.items else 1
            if state is _QUEUED:
                depth.queued -= count
            else:
                depth.retrying -= count
            depth.running += count
            task.state = _RUNNING
            task.attempts += 1
            task.lease = lease
            task.agent = agent
            task.granted_ms = at_ms
            task.timeout_ms = submission.timeout_ms or row.timeout_ms
            leases[lease] = task
            if limits.of:
                limits.begin(submission.kind, lease)
            lease += 1
        self.next_lease = lease

    def _succeeded(self, row: r.Succeeded) -> None:
        self.time_ms = at_ms = row.at_ms
        finished, depths = self.finished, self.depth
        total = ended_bytes = 0
        for lease, value, started_ms in zip(row.leases, row.values, row.started_ms, strict=True):
            task = self.end_lease(lease)
            if task.state is not _RUNNING:
                raise LogCorrupt(f"{self.story_of(task)} succeeded after its end.")
            submission = task.submission
            if submission.unique:
                self.unique.release_after_success(submission, task.submitted_ms, at_ms)
            task.state = _SUCCEEDED
            task.value = value
            task.started_ms = started_ms
            task.finished_ms = at_ms
            ended_bytes += len(submission.payload)
            task.submission = without_payload(submission)
            finished.append(task)
            count = submission.items or 1
            depths[submission.kind].running -= count
            total += count
        self.ended[TaskState.SUCCEEDED] += total
        self.retained += total
        self.held_bytes -= ended_bytes

    def _failed(self, row: r.Failed) -> None:
        self.time_ms = row.at_ms
        task = self.end_lease(row.lease)
        if task.state is not _RUNNING or row.state not in _AFTER_FAILURE:
            raise LogCorrupt(f"{self.story_of(task)} cannot become {row.state} by a failure.")
        task.failures = (*task.failures[-MAX_FAILURES_KEPT + 1 :], row.failure)
        task.started_ms = row.started_ms or task.started_ms
        if row.lost:
            task.attempts -= 1
            task.losses += 1
        depth = self.depth[task.submission.kind]
        depth.running -= 1
        if row.state is TaskState.RETRYING:
            depth.retrying += 1
            task.state = TaskState.RETRYING
            task.due_ms = row.due_ms
            if row.due_ms > row.at_ms + self.parking.delay_ms:
                self.park(task)
        else:
            self.end(task, row.state, row.at_ms)

    def _returned(self, row: r.Returned) -> None:
        self.time_ms = row.at_ms
        for lease in row.leases:
            task = self.end_lease(lease)
            if task.state is not _RUNNING:
                raise LogCorrupt(f"{self.story_of(task)} was handed back after its end.")
            task.attempts -= 1
            task.state = TaskState.QUEUED
            depth = self.depth[task.submission.kind]
            depth.running -= task.count
            depth.queued += task.count

    def _cancelled(self, row: r.Cancelled) -> None:
        self.time_ms = row.at_ms
        for task_id in row.task_ids:
            task = self.known(task_id)
            if task.state in FINAL_STATES:
                raise LogCorrupt(f"{self.story_of(task)} was cancelled after its end.")
            self.leave_depth(task)
            self.end(task, TaskState.CANCELLED, row.at_ms)

    def _opened(self, row: r.Opened) -> None:
        self.time_ms = row.at_ms
        envelopes.open_up(self, row)

    def _items_cancelled(self, row: r.ItemsCancelled) -> None:
        self.time_ms = row.at_ms
        envelopes.cancel_items(self, row)

    def _released(self, row: r.Released) -> None:
        for lease in row.leases:
            task = self.end_lease(lease)
            if task.state not in FINAL_STATES:
                raise LogCorrupt(f"{self.story_of(task)} lost its lease {lease} while it was not ended.")

    def _host_changed(self, row: r.HostChanged) -> None:
        self.time_ms = row.at_ms
        self._served = None
        self.hosts[row.host] = HostRecord(
            row.host, row.incarnation, row.liveness, row.agents, row.at_ms, row.pid, row.version
        )
        if row.liveness is Liveness.LEFT and not row.agents:
            del self.hosts[row.host]

    def _forgotten(self, row: r.Forgotten) -> None:
        if row.count > len(self.finished):
            raise LogCorrupt(f"{row.count} ended tasks were forgotten, {len(self.finished)} are held.")
        gone = [self.finished.popleft() for _ in range(row.count)]
        for task in gone:
            if task.lease:
                raise LogCorrupt(f"{self.story_of(task)} was forgotten while its lease was live.")
            task_id, kind = task.submission.task_id, task.submission.kind
            self.retained -= task.count
            del self.tasks[task_id]
            envelopes.forget_item(self, task_id)
            self.dead_letters.pop(task_id, None)
            # Else kinds that are used once, or mistyped, would stay for ever.
            if kind in self.depth and not self.depth[kind].total():
                del self.depth[kind]
        self.forgotten.extend([task.submission.task_id for task in gone], [task.finished_ms for task in gone])

    def _horizon_moved(self, row: r.HorizonMoved) -> None:
        self.horizon_ms = max(self.horizon_ms, self.forgotten.drop(row.count))

    def _requeued(self, row: r.Requeued) -> None:
        self.time_ms = at_ms = row.at_ms
        again = set(row.task_ids)
        if len(again) != len(row.task_ids):
            raise LogCorrupt("A task was queued again twice at once.")
        for task_id in row.task_ids:
            ended = self.known(task_id)
            if ended.lease or ended.state not in REQUEUEABLE_STATES:
                raise LogCorrupt(f"{self.story_of(ended)} cannot be queued again.")
            self.ended[ended.state] -= ended.count
            self.retained -= ended.count
            self.dead_letters.pop(task_id, None)
            submission, edits = edited(ended, row.edit, at_ms)
            self.unique.claim(submission, at_ms)
            # A new object: the old one may stand in a lane as a stale entry, which must stay one. At the end of the
            # dict, which is in the order of `order`; due now, so that it does not age from its first submission.
            del self.tasks[task_id]
            self.tasks[task_id] = Task(
                submission,
                self.next_order,
                ended.submitted_ms,
                due_ms=at_ms,
                failures=ended.failures,
                request=row.request,
                opened=ended.opened,
                edits=edits,
            )
            self.next_order += ended.submission.items or 1
            self.held_bytes += len(submission.payload)
            self.depth_of(ended.submission.kind).queued += ended.count
        self.finished = deque(task for task in self.finished if task.submission.task_id not in again)

    def _dead_letters_purged(self, row: r.DeadLettersPurged) -> None:
        self.time_ms = row.at_ms
        for task_id in row.task_ids:
            task = self.dead_letters.pop(task_id, None)
            if task is None:
                raise LogCorrupt(f"Task {task_id} was purged, but it is no dead letter.")
            task.is_purged = True

    def _kind_paused(self, row: r.KindPaused) -> None:
        self.time_ms = row.at_ms
        if row.is_paused == (row.kind in self.paused):
            raise LogCorrupt(f"Kind {row.kind!r} was {'paused' if row.is_paused else 'resumed'} twice.")
        if row.is_paused:
            self.paused[row.kind] = row.at_ms
        else:
            del self.paused[row.kind]

    def _kind_limited(self, row: r.KindLimited) -> None:
        self.time_ms = row.at_ms
        self.limits.apply(row, {lease: task.submission.kind for lease, task in self.leases.items()})

    def _schedule_changed(self, row: r.ScheduleSet | r.ScheduleRemoved | r.SchedulePaused) -> None:
        self.time_ms = row.at_ms
        self.schedules.apply(row)

    def _schedule_ran(self, row: r.ScheduleRan) -> None:
        self._submitted(r.Submitted(row.at_ms, row.tasks))
        self.schedules.apply(row)

    def _lock_changed(self, row: r.LockTaken | r.LockReleased) -> None:
        self.time_ms = row.at_ms
        self.locks.apply(row)

    def _snapshot_taken(self, row: r.SnapshotTaken) -> None:
        self.time_ms = row.at_ms
        self.snapshot = row

    def end(self, task: Task, state: TaskState, at_ms: int) -> None:
        self.unique.release(task.submission)
        self.held_bytes -= len(task.submission.payload)
        task.state = state
        task.finished_ms = at_ms
        self.finished.append(task)
        self.ended[state] += task.count
        self.retained += task.count
        if state in DEAD_LETTER_STATES:
            self.dead_letters[task.submission.task_id] = task

    def end_lease(self, lease: int) -> Task:
        task = self.leases.pop(lease, None)
        if task is None:
            raise LogCorrupt(f"Lease {lease} ended, but it is not live.")
        task.lease = 0
        if self.limits.of:
            self.limits.end(task.submission.kind, lease)
        return task

    def is_to_be_parked(self, task: Task) -> bool:
        """This one, which waits."""
        kind, parking = task.submission.kind, self.parking
        if task.due_ms > self.time_ms + parking.delay_ms:
            return True
        return self.depth_of(kind).queued - self.parked.queued[kind] >= parking.waiting

    def serves(self, kind: str) -> bool:
        """Some worker that is here runs this kind."""
        if self._served is None:
            self._served = kinds_served(self.hosts.values())
        return kind in self._served

    def leave_depth(self, task: Task) -> None:
        """It does not count any more as one that has not ended."""
        depth = self.depth[task.submission.kind]
        if task.state is TaskState.QUEUED:
            depth.queued -= task.count
        elif task.state is TaskState.RETRYING:
            depth.retrying -= task.count
        else:
            depth.running -= task.count

    def depth_of(self, kind: str) -> Depth:
        depth = self.depth.get(kind)
        if depth is None:
            depth = self.depth[kind] = Depth()
        return depth

    @staticmethod
    def story_of(task: Task) -> str:
        return (
            f"Task {task.task_id} ({task.state}, attempts {task.attempts}, losses {task.losses}, "
            f"lease {task.lease}, agent {task.agent or 'none'})"
        )
