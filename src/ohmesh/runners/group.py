"""The processes for sync agents, or those for async ones, with the tasks that wait for them.

Invariant: a task is in exactly one place: the queue, its agent's `parked`, or the custody of one process; leaving the
last of them makes exactly one outcome. A process holds little more than it runs, so what waits behind a task that turns
out slow is recalled within two ticks and given to another process, or handed back to the mesh when it is late.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from ohmesh.errors import InvalidArgument
from ohmesh.model.message import Progress, StreamItems
from ohmesh.model.task import Grant, Outcome, OutcomeStatus, TaskFailure
from ohmesh.runners.agent_load import AgentLoad
from ohmesh.runners.config import RunnerConfig
from ohmesh.runners.held_task import HeldTask
from ohmesh.runners.page import CURRENT, ITEM, SINCE, rows_in
from ohmesh.runners.process import RunnerProcess
from ohmesh.runners.wire import Items, Row, Stop, decode_rows

_NS_PER_MS = 1_000_000
_log = logging.getLogger("ohmesh.runners")


class Group:
    def __init__(
        self, config: RunnerConfig, resize: Callable[[str, int], None], *, is_async: bool, size: int
    ) -> None:
        self.is_async = is_async
        self.size = size
        self.processes: list[RunnerProcess] = []
        self.agents: list[AgentLoad] = []
        self.is_stopping = False
        self.handed_back = 0
        self._unexplained: deque[int] = deque(maxlen=config.unexplained_deaths_max)  # when
        self._config = config
        self._resize = resize
        self._queue: deque[HeldTask] = deque()
        self._queued_ns = 0
        self._committed: dict[RunnerProcess, int] = {}

    @property
    def is_busy(self) -> bool:
        return self.waiting() > 0 or any(process.custody.sent for process in self.processes)

    def waiting(self) -> int:
        return len(self._queue) + sum(len(agent.parked) for agent in self.agents)

    def add(self, agent: AgentLoad, grant: Grant, now_ns: int) -> None:
        """Queue it; `pump` sends it on."""
        ahead_ns = self._queued_ns // self.size
        late_at_ns = now_ns + ahead_ns + self._config.hand_back_ms * _NS_PER_MS
        estimate_ns = agent.estimate_ns * grant.items if grant.items else agent.estimate_ns
        self._queue.append(HeldTask(grant, agent, late_at_ns=late_at_ns, estimate_ns=estimate_ns))
        self._queued_ns += estimate_ns

    def pump(self) -> None:
        """Give waiting tasks to the processes that have room, spread evenly."""
        ready = [one for one in self.processes if not one.custody.is_holding]
        if self._queue and ready:
            ready.sort(key=self._load_of)
            share = (self._queued_ns + sum(one.custody.backlog_ns for one in ready)) // len(ready)
            per_process = -(-(len(self._queue) + sum(len(one.custody.sent) for one in ready)) // len(ready))
            for process in ready:
                batch = self._batch_for(process, share, per_process)
                if batch:
                    process.send(process.custody.take(batch))
        if not self._queue:
            self._reopen(ready)

    def finished(self, process: RunnerProcess, rows: Iterable[Row]) -> list[Outcome]:
        """Settle the rows that a process sent or left behind."""
        settle = process.custody.settle
        outcomes: list[Outcome] = []
        touched: set[AgentLoad] = set()
        returned: list[HeldTask] = []
        for row in rows:
            if row.items:
                envelope = process.custody.sent.get(row.number)
                if envelope is not None:
                    envelope.take_items(row.outcome, row.first, row.items)
                continue
            task = settle(row.number)
            if task is None:
                continue
            agent = task.agent
            agent.held -= 1
            touched.add(agent)
            if row.outcome.status is OutcomeStatus.RETURNED:
                returned.append(task)
                continue
            if task.grant.items:
                agent.observe(row.duration_ns // max(1, task.place))
                outcomes.append(task.envelope_outcome(row.outcome))
                continue
            agent.observe(row.duration_ns)
            outcomes.append(row.outcome)
        self._unpark(touched)
        outcomes += self._take_back(returned)
        process.custody.release()
        self.pump()
        for agent in touched:
            agent.announce(self._resize)
        return outcomes

    def gone(self, process: RunnerProcess) -> list[Outcome]:
        """Account for all that a dead process held: finished, guilty, innocent."""
        self.processes.remove(process)
        self._committed.pop(process, None)
        outcomes = self.finished(process, rescued_rows(process))
        custody = process.custody
        guilty = process.page.words[CURRENT]
        since_ns = process.page.words[SINCE]
        is_explained = bool(custody.condemned) or guilty in custody.sent or not custody.sent
        blame_all = not is_explained and self._is_one_too_many()
        innocent: list[HeldTask] = []
        touched: set[AgentLoad] = set()
        for number in list(custody.sent):
            suspected = number == guilty or (blame_all and custody.has_started(number))
            condemned = custody.condemned.get(number)
            was_asked_to_stop = number in custody.endings and custody.has_started(number)
            task = custody.settle(number)
            if task is None:
                continue
            task.agent.held -= 1
            touched.add(task.agent)
            item = process.page.words[ITEM] if number == guilty and not self.is_async else 0
            if condemned is not None:
                outcome = _killed(task, condemned, since_ns if number == guilty else 0)
                outcomes.append(task.ended_by(outcome, item))
            elif was_asked_to_stop and task.is_cancelled:
                outcomes.append(task.ended_by(task.outcome(OutcomeStatus.CANCELLED), item))
            elif suspected and not custody.condemned:
                outcome = _crashed(task, process, since_ns if number == guilty else 0)
                outcomes.append(task.ended_by(outcome, item))
            else:
                innocent.append(task)
        self._unpark(touched)
        outcomes += [self._handed_back(task) for task in innocent]
        return outcomes

    def cancel(self, leases: set[int], now_ns: int) -> list[Outcome]:
        """Stop these wherever they are; outcomes of those that had not left this process."""
        outcomes = [task.outcome(OutcomeStatus.CANCELLED) for task in self._remove_waiting(leases)]
        kill_at_ns = now_ns + self._config.cancel_grace_ms * _NS_PER_MS
        for process in self.processes:
            custody = process.custody
            numbers = [number for number, task in custody.sent.items() if task.grant.lease in leases]
            for number in numbers:
                custody.sent[number].is_cancelled = True
                custody.end(number, OutcomeStatus.CANCELLED, kill_at_ns)
            if any(not custody.has_started(number) for number in numbers):
                custody.hold(now_ns)
            if numbers and self.is_async:
                process.send(Stop(numbers))
        return outcomes

    def tick(self, now_ns: int) -> list[Outcome]:
        """Look at every process: collect, recall, kill; then hand back what is late."""
        outcomes: list[Outcome] = []
        for process in list(self.processes):
            process.look()
            outcomes += self._collect(process)
            recalled = process.custody.recall(now_ns)
            for task in recalled:
                task.agent.held -= 1
            self._unpark({task.agent for task in recalled})
            outcomes += self._take_back(recalled)
            is_stuck, lasting = process.custody.look()
            if is_stuck:
                process.custody.hold(now_ns)
            self._judge(process, lasting, now_ns)
        self.pump()
        return outcomes + self._hand_back_late(now_ns)

    def progress(self) -> list[Progress]:
        """What tasks that run now have said of themselves since the last look."""
        now_ms = time.time_ns() // _NS_PER_MS
        return [
            Progress(
                task.grant.task_id,
                task.grant.attempt,
                one.done,
                one.total,
                one.note,
                now_ms,
                task.grant.lease,
                one.count,
            )
            for process in self.processes
            for one in process.progress.look()
            if (task := process.custody.sent.get(one.number)) is not None
        ]

    def yielded(self, process: RunnerProcess, items: Items) -> StreamItems | None:
        """The same, of its task; None where that is accounted for already."""
        task = process.custody.sent.get(items.number)
        if task is None:
            return None
        grant = task.grant
        return StreamItems(
            grant.task_id, grant.attempt, grant.lease, items.first, items.values, items.is_kept
        )

    def stop(self, now_ns: int) -> list[Outcome]:
        """Start nothing more; what has not started comes back now or within two ticks."""
        self.is_stopping = True
        for process in self.processes:
            process.custody.hold(now_ns)
        return [self._handed_back(task) for task in self._remove_waiting(None)]

    def _load_of(self, process: RunnerProcess) -> int:
        return len(process.custody.sent) if self.is_async else process.custody.backlog_ns

    def _batch_for(self, process: RunnerProcess, share_ns: int, per_process: int) -> list[HeldTask]:
        """What this process takes now, off the queue; tasks of an agent that is full are parked on the way."""
        queue = self._queue
        batch: list[HeldTask] = []
        backlog_ns = process.custody.backlog_ns
        count = len(process.custody.sent)
        while queue:
            task = queue[0]
            agent = task.agent
            if agent.held >= agent.limit:
                queue.popleft()
                self._queued_ns -= task.estimate_ns
                agent.parked.append(task)
                continue
            if count and not self._has_room(
                backlog_ns, task.estimate_ns, share_ns, count=count, fair=per_process
            ):
                break
            queue.popleft()
            self._queued_ns -= task.estimate_ns
            agent.held += 1
            batch.append(task)
            backlog_ns += task.estimate_ns
            count += 1
        return batch

    def _has_room(self, backlog_ns: int, estimate_ns: int, share_ns: int, *, count: int, fair: int) -> bool:
        config = self._config
        if self.is_async:
            return count < min(fair, config.async_tasks_max)
        ahead_ns = config.process_ahead_ms * _NS_PER_MS
        return (
            count < config.process_tasks_max
            and backlog_ns < share_ns
            and backlog_ns + estimate_ns <= ahead_ns
        )

    def _take_back(self, tasks: Sequence[HeldTask]) -> list[Outcome]:
        """Unstarted tasks that a process gave back: cancelled, handed back, or first in the queue again."""
        outcomes = []
        again = []
        for task in tasks:
            if task.is_cancelled:
                outcomes.append(task.outcome(OutcomeStatus.CANCELLED))
            elif self.is_stopping:
                outcomes.append(self._handed_back(task))
            else:
                again.append(task)
        self._queue_first(again)
        return outcomes

    def _queue_first(self, tasks: Sequence[HeldTask]) -> None:
        self._queue.extendleft(reversed(tasks))
        self._queued_ns += sum(task.estimate_ns for task in tasks)

    def _unpark(self, agents: Iterable[AgentLoad]) -> None:
        for agent in agents:
            count = min(len(agent.parked), max(0, agent.limit - agent.held))
            self._queue_first([agent.parked.popleft() for _ in range(count)])

    def _remove_waiting(self, leases: set[int] | None) -> list[HeldTask]:
        """Take the tasks of these leases (None: all) out of the queue and of `parked`."""
        removed: list[HeldTask] = []
        for waiting in (self._queue, *(agent.parked for agent in self.agents)):
            kept = [task for task in waiting if leases is not None and task.grant.lease not in leases]
            if len(kept) < len(waiting):
                removed += [task for task in waiting if leases is None or task.grant.lease in leases]
                waiting.clear()
                waiting.extend(kept)
        self._queued_ns = sum(task.estimate_ns for task in self._queue)
        return removed

    def _collect(self, process: RunnerProcess) -> list[Outcome]:
        """Results that lie in the page since the last tick, because user code keeps the process from sending them."""
        word, rows = process.page.committed()
        before = self._committed.get(process)
        self._committed[process] = word
        if word != before or not rows_in(word) or process.page.committed()[0] != word:
            return []
        try:
            return self.finished(process, decode_rows(rows_in(word), rows))
        except InvalidArgument as error:
            process.spoil(error)
            return []

    def _judge(self, process: RunnerProcess, lasting: int, now_ns: int) -> None:
        """Kill the process whose task ran past its timeout, or did not stop when it was asked to."""
        custody = process.custody
        number, since_ns = custody.running()
        task = custody.sent.get(number)
        if task is not None and number == lasting and _is_overdue(task.grant, now_ns - since_ns):
            may_end = self.is_async or task.agent.is_stream
            grace_ms = self._config.cancel_grace_ms if may_end else 0
            custody.end(number, OutcomeStatus.TIMED_OUT, now_ns + grace_ms * _NS_PER_MS)
        for condemned, ending in custody.endings.items():
            runs = custody.has_started(condemned) if self.is_async else condemned == number
            if now_ns >= ending.kill_at_ns and runs:
                custody.condemned[condemned] = ending.status
        if custody.condemned:
            process.kill()

    def _hand_back_late(self, now_ns: int) -> list[Outcome]:
        outcomes = []
        closed: set[AgentLoad] = set()
        for waiting in (self._queue, *(agent.parked for agent in self.agents)):
            while waiting and waiting[0].late_at_ns <= now_ns:
                task = waiting.popleft()
                if waiting is self._queue:
                    self._queued_ns -= task.estimate_ns
                closed.add(task.agent)
                outcomes.append(self._handed_back(task))
        for agent in closed:
            agent.is_closed = True
            agent.announce(self._resize)
        return outcomes

    def _is_one_too_many(self) -> bool:
        """A process died and no task's code was running (a thread, a callback): count it. Somebody here kills, and
        would do so for ever if nobody's attempt were counted."""
        now_ns = time.monotonic_ns()
        self._unexplained.append(now_ns)
        window_ns = self._config.unexplained_window_ms * _NS_PER_MS
        is_full = len(self._unexplained) == self._config.unexplained_deaths_max
        if not is_full or now_ns - self._unexplained[0] > window_ns:
            return False
        self._unexplained.clear()
        return True

    def _reopen(self, ready: Sequence[RunnerProcess]) -> None:
        """An agent that handed tasks back announces its width again once a process could take one at once."""
        if not any(not process.custody.sent or self.is_async for process in ready):
            return
        for agent in self.agents:
            if agent.is_closed and not agent.is_full:
                agent.is_closed = False
                agent.announce(self._resize)

    def _handed_back(self, task: HeldTask) -> Outcome:
        self.handed_back += 1
        return task.unstarted_outcome()


def rescued_rows(process: RunnerProcess) -> list[Row]:
    """The finished results that a dead process had not sent."""
    word, rows = process.page.committed()
    try:
        return decode_rows(rows_in(word), rows) if rows_in(word) else []
    except InvalidArgument as error:
        _log.error("the last results of runner process %d are lost: %s", process.pid, error)
        return []


def _is_overdue(grant: Grant, ran_ns: int) -> bool:
    return grant.timeout_ms > 0 and ran_ns > grant.timeout_ms * _NS_PER_MS


def _killed(task: HeldTask, status: OutcomeStatus, since_ns: int) -> Outcome:
    failure = None
    if status is OutcomeStatus.TIMED_OUT:
        message = f"It ran past its timeout of {task.grant.timeout_ms} ms and its runner process was killed."
        failure = TaskFailure("timeout", message)
    started_ms, ended_ms = _wall_times(since_ns)
    return task.outcome(status, failure=failure, started_ms=started_ms, ended_ms=ended_ms)


def _crashed(task: HeldTask, process: RunnerProcess, since_ns: int) -> Outcome:
    message = f"Its runner process (pid {process.pid}) {process.ending()} while this task's code was running."
    started_ms, ended_ms = _wall_times(since_ns)
    return task.outcome(
        OutcomeStatus.CRASHED, failure=TaskFailure("crash", message), started_ms=started_ms, ended_ms=ended_ms
    )


def _wall_times(since_ns: int) -> tuple[int, int]:
    """Start and end on the wall clock of what ran since `since_ns` until now; 0 is unknown."""
    now_ns = time.time_ns()
    started_ms = (now_ns - (time.monotonic_ns() - since_ns)) // _NS_PER_MS if since_ns else 0
    return started_ms, now_ns // _NS_PER_MS
