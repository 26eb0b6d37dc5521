"""The queue's brain: a pure machine that decides what happens to the tasks of one shard.

Every public method takes an event and `now_ms`, decides, applies the rows of its decision to the table at once and puts
them, with the effects that may follow, into a step. A driver appends the steps in order, one at a time, and lets the
effects go when an append is resolved. If one never is (another dispatcher owns the log now) the whole shard is dropped;
nothing of what it decided has been told to anyone.

    queued --grant--> running --success--> succeeded
      ^                 |  |---failure---> retrying (due) ... granted again, or dead | timed_out | failed
      |--- returned ----|  '---host lost-> retrying, counted apart
    any of these --cancel--> cancelled (a running one keeps its lease until the host lets go)
    failed, dead, timed_out, cancelled --wished again--> queued, with fresh attempts

Invariants: a lease is live for at most one task; only the outcome of a live lease changes a task, so what a replaced
attempt brings later is refused; an attempt is counted before it is handed out.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ohmesh.model.agent import Liveness
from ohmesh.model.message import Outcomes
from ohmesh.model.task import FINAL_STATES, LEASE_SHARD_SHIFT, Outcome, OutcomeStatus, TaskFailure, TaskState
from ohmesh.protocols.queue import opening
from ohmesh.protocols.queue import rows as r
from ohmesh.protocols.queue.buckets import Buckets
from ohmesh.protocols.queue.fleet import Fleet
from ohmesh.protocols.queue.locks import LockBook, LockConfig
from ohmesh.protocols.queue.parked import Note, Parking
from ohmesh.protocols.queue.shard_policies import ShardPolicies
from ohmesh.protocols.queue.sizes import ROW_OVERHEAD_BYTES, failure_bytes
from ohmesh.protocols.queue.step import Step
from ohmesh.protocols.queue.task_record import Task
from ohmesh.protocols.queue.task_table import TaskTable
from ohmesh.protocols.queue.task_view import result
from ohmesh.protocols.queue.waiting import Waiting, is_waiting

if TYPE_CHECKING:
    import random


@dataclass(frozen=True, slots=True)
class ShardConfig:
    """Bounds and defaults of one shard.

    step_bytes: a step is closed above this size; with the largest payload it still fits one message of the engine.
    undecided_bytes: decided but not yet appended; above it submissions answer 429 (the engine is slow or away), and
        what is only asked is not answered: it is asked again.
    depth_tasks: waiting and running tasks of one kind; above it submissions of that kind answer 429.
    retention_ms, retained_tasks: ended tasks are held here for this long, and no more than this many.
    horizon_ms, horizon_tasks: ids of ended tasks are remembered for this long and this many, so that a late retry of a
        submission is not run again; older submissions are refused.
    losses: how often a task may lose its host before it is given up as the probable cause.
    overrun_ms: a lease older than its timeout and this is void though its host goes on reporting it.
    held_bytes: payloads of the tasks that have not ended; above it submissions answer 429.
    parking: which waiting tasks are held packed. It changes what they take and nothing that is decided.
    delay_limit_ms: a handler's wish to be tried again later is cut to this.
    paused_kinds, limited_kinds: kinds that may be so at a time.
    leap_ms: when nobody has looked for longer, time has leapt, and what rates allow begins anew.
    kept_keys: unique keys of tasks that have ended; above it submissions that want theirs kept answer 429.
    schedules: as many may there be.
    schedule_late_ms: an occurrence that is dealt with so long after its time has been missed.
    hosts: records of hosts that are kept; beyond it the one that has been offline for longest is forgotten.
    """

    step_bytes: int = 400_000
    payload_bytes: int = 512_000
    undecided_bytes: int = 32_000_000
    depth_tasks: int = 1_000_000
    held_bytes: int = 1 << 29
    timeout_ms: int = 30_000
    max_attempts: int = 4
    losses: int = 20
    lease_ms: int = 10_000
    overrun_ms: int = 60_000
    delay_limit_ms: int = 31_536_000_000
    retention_ms: int = 3_600_000
    retained_tasks: int = 200_000
    horizon_ms: int = 600_000
    horizon_tasks: int = 2_000_000
    paused_kinds: int = 1_000
    limited_kinds: int = 1_000
    leap_ms: int = 1_000
    kept_keys: int = 100_000
    schedules: int = 10_000
    schedule_late_ms: int = 60_000
    locks: LockConfig = field(default_factory=LockConfig)
    parking: Parking = field(default_factory=Parking)
    hosts: int = 100_000
    forget_batch: int = 5_000


class Shard:
    """Decisions about tasks; those about hosts are in hosting.py, about submissions in intake.py, about dead letters
    in dead_letters.py, about envelopes in opening.py, about cancellation in cancelling.py, about kinds in pausing.py
    and limiting.py, about what is kept for how long in retention.py.
    `hearing_since_ms`: before it we may have missed what hosts had to say."""

    def __init__(
        self,
        config: ShardConfig,
        policies: ShardPolicies,
        *,
        number: int = 0,
        rng: random.Random,
        table: TaskTable | None = None,
    ) -> None:
        self.config = config
        self.policies = policies
        self.number = number
        self.rng = rng
        self.table = table if table is not None else TaskTable(config.parking)
        self.waiting = Waiting(policies.rank, self.table)
        self.fleet = Fleet()
        self.locks = LockBook(self.table.locks, config.locks)
        self.buckets = Buckets(self.table.limits, policies.bucket, config.leap_ms)
        self.interest = self.table.parked.notes
        self.item_interest: dict[str, set[int]] = {}
        self.stale_outcomes = 0
        self.hearing_since_ms = 0
        self.undecided_bytes = 0
        self.step = Step()
        self._closed: deque[Step] = deque()

    # Life of an epoch

    def start_epoch(self, epoch: int, owner: str, now_ms: int, *, lost_tail: str = "") -> None:
        """Take over what the table holds: tasks wait again in their order, leases start anew."""
        at_ms = self.advance(now_ms)
        self.decide(r.EpochStarted(epoch, owner, at_ms, lost_tail))
        for held in self.table.in_order():
            if isinstance(held, int):
                self.waiting.add_parked(held, at_ms)
            elif held.lease == 0 and is_waiting(held):
                self.waiting.add(held, at_ms)
        self.hearing_since_ms = at_ms
        self.buckets.begin(at_ms)
        self.locks.begin(at_ms)
        lease_ms = self.config.lease_ms
        for record in self.table.hosts.values():
            if record.liveness is Liveness.ACTIVE:
                self.fleet.join(record.host, record.incarnation, at_ms, lease_ms)
        for task in self.table.leases.values():
            host = self.table.hosts.get(task.agent.rpartition("/")[0])
            self.fleet.adopt(task, host, now_ms=at_ms, lease_ms=lease_ms)

    def take_step(self) -> Step | None:
        """The next step to append, oldest first; None when there is nothing. The driver calls appended() later."""
        if self._closed:
            return self._closed.popleft()
        if self.step.is_empty():
            return None
        step, self.step = self.step, Step()
        return step

    def appended(self, step: Step) -> None:
        """The step is in the log, and is told now."""
        self.undecided_bytes -= step.size_bytes
        for name, news in step.hosts.items():
            if news.grants and (host := self.fleet.hosts.get(name)) is not None:
                host.told = news.grants[-1].number

    # Outcomes

    def outcomes(self, message: Outcomes, now_ms: int) -> None:
        """Take what a host reports; anything about a lease that is not live is settled and changes nothing."""
        at_ms = self.advance(now_ms)
        prefix = message.host + "/"
        successes: list[Outcome] = []
        returned: list[int] = []
        released: list[int] = []
        seen: set[int] = set()
        live = self.table.leases
        for outcome in message.outcomes:
            lease = outcome.lease
            task = live.get(lease)
            if task is None or lease in seen or not _belongs(outcome, task, prefix):
                self.stale_outcomes += 1
                continue
            seen.add(lease)
            if task.state in FINAL_STATES:
                released.append(lease)
            elif task.submission.items and opening.concerns(task, outcome):
                opening.take_outcome(self, task, outcome, at_ms)
            elif outcome.status is OutcomeStatus.SUCCEEDED:
                successes.append(outcome)
            elif outcome.status is OutcomeStatus.RETURNED or outcome.status is OutcomeStatus.CANCELLED:
                returned.append(lease)
            else:
                self._attempt_failed(task, outcome, at_ms)
        if successes:
            self._succeed(successes, at_ms, message.host)
        if returned:
            self.hand_back(returned, at_ms, "handed back by its host")
        if released:
            self.release(released)
        for agent, width in message.slots:
            self.fleet.resize(agent, width)
        settled = [outcome.lease for outcome in message.outcomes]
        if settled:
            self.room(9 * len(settled)).host(message.host).settled.extend(settled)

    def _succeed(self, outcomes: list[Outcome], at_ms: int, host_name: str) -> None:
        tasks = self.table.leases
        chunk: list[Outcome] = []
        size = completed = 0
        for outcome in outcomes:
            size += len(outcome.value) + 32
            if size > self.config.step_bytes and chunk:
                completed += self._commit_successes(chunk, size, at_ms, tasks)
                chunk, size = [], len(outcome.value) + 32
            chunk.append(outcome)
        completed += self._commit_successes(chunk, size, at_ms, tasks)
        host = self.fleet.hosts.get(host_name)
        if host is not None:
            host.completed += completed

    def _commit_successes(self, outcomes: list[Outcome], size: int, at_ms: int, live: dict[int, Task]) -> int:
        leases = [outcome.lease for outcome in outcomes]
        ended = [live[lease] for lease in leases]
        values = [outcome.value for outcome in outcomes]
        self.decide(r.Succeeded(at_ms, leases, values, [outcome.started_ms for outcome in outcomes]), size)
        release = self.fleet.release
        completed = 0
        for lease, task in zip(leases, ended, strict=True):
            release(task.agent, lease)
            self.announce(task)
            completed += task.submission.items or 1
        return completed

    def _attempt_failed(self, task: Task, outcome: Outcome, at_ms: int) -> None:
        failure = outcome.failure or TaskFailure("unknown", "The host gave no reason.")
        state, due_ms = self.after_failure(task, outcome.status, outcome.retry_after_ms, at_ms)
        self._fail(task, r.Failed(at_ms, outcome.lease, failure, state, due_ms, outcome.started_ms))
        host = self.fleet.hosts.get(task.agent.rpartition("/")[0])
        if host is not None:
            host.failed += 1

    def after_failure(
        self, task: Task, status: OutcomeStatus, retry_after_ms: int, at_ms: int
    ) -> tuple[TaskState, int]:
        """What the task is after an attempt that ended so, and when it may start again."""
        if status is OutcomeStatus.FAILED_PERMANENTLY:
            return TaskState.FAILED, 0
        if task.attempts >= self.max_attempts(task):
            timed_out = status is OutcomeStatus.TIMED_OUT
            return (TaskState.TIMED_OUT if timed_out else TaskState.DEAD), 0
        delay_ms = retry_after_ms
        if delay_ms < 0:
            delay_ms = self.policies.retry_delay_ms(task.attempts, self.rng)
        return TaskState.RETRYING, at_ms + min(delay_ms, self.config.delay_limit_ms)

    def lose(self, lease: int, reason: str, at_ms: int) -> None:
        """The host of this lease is gone, or has held it past all bounds: the attempt is void, the task is not, and it
        has waited since it was first due."""
        task = self.table.leases[lease]
        if task.state in FINAL_STATES:
            self.release([lease])
            return
        if task.submission.items:
            opening.open_envelope(self, task, at_ms, opening.Account(lost=reason))
            return
        failure = TaskFailure("worker_lost", reason)
        if task.losses + 1 >= self.config.losses:
            row = r.Failed(at_ms, lease, failure, TaskState.DEAD, lost=True)
        else:
            row = r.Failed(at_ms, lease, failure, TaskState.RETRYING, task.due_ms, lost=True)
        self._fail(task, row)

    def _fail(self, task: Task, row: r.Failed) -> None:
        failure = row.failure
        self.decide(row, failure_bytes(failure))
        self.fleet.release(task.agent, row.lease)
        if row.state is not TaskState.RETRYING:
            self.announce(task)
        elif task.task_id in self.table.tasks:
            self.waiting.add(task, row.at_ms, front=row.lost)
        else:
            self.waiting.add_parked(self.table.parked.find(task.task_id), row.at_ms)

    def hand_back(self, leases: list[int], at_ms: int, reason: str) -> None:
        """Uncounted: the tasks wait again, in front of those submitted later."""
        if not leases:
            return
        tasks = [(lease, self.table.leases[lease]) for lease in leases]
        self.decide(r.Returned(at_ms, leases, reason), 9 * len(leases))
        for lease, task in sorted(tasks, key=lambda pair: pair[1].order, reverse=True):
            self.fleet.release(task.agent, lease)
            self.waiting.add(task, at_ms, front=True)

    def release(self, leases: list[int]) -> None:
        """Leases of tasks that had ended already (cancelled while running) are free again."""
        if not leases:
            return
        agents = [self.table.leases[lease].agent for lease in leases]
        self.decide(r.Released(leases), 9 * len(leases))
        for agent, lease in zip(agents, leases, strict=True):
            self.fleet.release(agent, lease)

    # Time

    def tick(self, now_ms: int) -> None:
        """Call often: what is due becomes ready."""
        at_ms = self.advance(now_ms)
        self.buckets.look(at_ms)
        self.waiting.wake(at_ms)

    # Shared by the parts of the machine

    def advance(self, now_ms: int) -> int:
        """Mesh time: the wall clock, but never before the last row."""
        return max(self.table.time_ms, now_ms)

    def decide(self, row: r.Row, size_bytes: int = 0) -> None:
        """A row is decided: it joins the open step (a new one when that is full) and is applied."""
        self.table.apply(row)
        self.room(size_bytes + ROW_OVERHEAD_BYTES).rows.append(row)

    def room(self, size_bytes: int) -> Step:
        """The open step, with room for rows or news of this size: a new one when the last is full."""
        step = self.step
        if step.size_bytes and step.size_bytes + size_bytes > self.config.step_bytes:
            self._closed.append(step)
            step = self.step = Step()
        step.size_bytes += size_bytes
        self.undecided_bytes += size_bytes
        return step

    def is_clogged(self) -> bool:
        """More is decided than may wait for the log."""
        return self.undecided_bytes > self.config.undecided_bytes

    def announce(self, task: Task) -> None:
        """Tell whoever asked how the task ended."""
        if task.submission.items:
            opening.announce_items(self, task)
        clients = self.interest.pop(task.submission.task_id, None)
        if clients is None:
            return
        ended = result(task)
        for client in (clients,) if isinstance(clients, str) else clients:
            self.step.client(client).finished.append(ended)

    def enqueue(self, task_id: str, at_ms: int) -> None:
        """What has just been decided to wait does so."""
        task = self.table.tasks.get(task_id)
        if task is not None:
            self.waiting.add(task, at_ms)
        else:
            self.waiting.add_parked(self.table.parked.find(task_id), at_ms)

    def withdraw(self, task_id: str) -> bool:
        """Whether it is parked. It waits no more then, and is an object: call before a row ends what waits."""
        ref = self.table.parked.find(task_id) if self.table.parked.count else 0
        if ref:
            self.waiting.withdraw(ref)
        return bool(ref)

    def subscribe(self, client: str, task_id: str) -> None:
        """`client` wants to hear the end of a task, or of an item of an envelope, that has not ended."""
        parked = self.table.parked
        ref = parked.find(task_id) if parked.count and task_id not in self.table.tasks else 0
        if ref:
            self.subscribe_parked(client, ref)
            return
        if task_id not in self.table.tasks:
            opening.watch_item(self, task_id)
        self.interest[task_id] = _with(client, self.interest.get(task_id))

    def subscribe_parked(self, client: str, ref: int) -> None:
        present = self.table.parked.note(ref)
        if present != client:
            self.table.parked.set_note(ref, _with(client, present))

    def next_lease(self) -> int:
        """Leases are unique in the mesh, so that a host needs no second key: the shard stands in the high bits."""
        return max(self.table.next_lease, (self.number << LEASE_SHARD_SHIFT) + 1)

    def max_attempts(self, task: Task) -> int:
        """The submission's own, else the kind's as its agent declares it, else the mesh's."""
        if task.submission.max_attempts:
            return task.submission.max_attempts
        agent = self.fleet.agents.get(task.agent)
        return (agent.spec.max_attempts if agent else 0) or self.config.max_attempts


def _with(client: str, others: Note | None) -> Note:
    """Who is to hear of a task."""
    if others is None or others == client:
        return client
    others = (others,) if isinstance(others, str) else others
    return others if client in others else (*others, client)


def _belongs(outcome: Outcome, task: Task, prefix: str) -> bool:
    """A host may remember leases of a mesh whose data are gone; the numbers are given out again, ids are not."""
    return outcome.task_id == task.task_id and task.agent.startswith(prefix)
