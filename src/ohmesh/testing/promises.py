"""The two promises, judged from the raw log: no acknowledged task is lost, none has two committed results.

The log is read beside all faults and with what was trimmed; the word of a dispatcher counts for nothing. What a client
was told is compared with it: an acknowledgement, and a success.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ohmesh.errors import PromiseBroken
from ohmesh.model.agent import AgentSpec
from ohmesh.model.task import FINAL_STATES, Submission, TaskState
from ohmesh.ports.log import Entry
from ohmesh.protocols.queue import rows as r
from ohmesh.roles.client_handle import Standing, TaskHandle
from ohmesh.simulator.checkers import check_promises

_NAMED = 10


@dataclass
class Account:
    """What the log says, entry by entry. `committed`: one pair of task and lease for each committed result."""

    states: dict[str, TaskState] = field(default_factory=dict)
    submissions: dict[str, Submission] = field(default_factory=dict)
    due_ms: dict[str, int] = field(default_factory=dict)
    paused: set[str] = field(default_factory=set)
    limited: set[str] = field(default_factory=set)
    committed: list[tuple[str, int]] = field(default_factory=list)
    _task_of: dict[int, str] = field(default_factory=dict)
    _entries: int = 0

    def read(self, entries: Sequence[Entry]) -> None:
        """All entries from the first on; those read before are skipped."""
        for entry in entries[self._entries :]:
            for row in r.decode_log_frame(entry.data, entry.sequence).rows:
                self._apply(row)
        self._entries = len(entries)

    def unfinished(self, accepted: Iterable[str]) -> list[str]:
        return [task_id for task_id in accepted if self.states.get(task_id) not in FINAL_STATES]

    def waits_with_reason(self, task_id: str, agents: Sequence[AgentSpec], now_ms: int) -> bool:
        """Not due yet, of a kind that is paused or has a limited rate, or of one that no agent here can do."""
        submission = self.submissions.get(task_id)
        if submission is None or self.states[task_id] is TaskState.RUNNING:
            return False
        if submission.kind in self.paused | self.limited or self.due_ms[task_id] > now_ms:
            return True
        return not any(
            agent.kind == submission.kind and set(submission.requires).issubset(agent.capabilities)
            for agent in agents
        )

    def _apply(self, row: r.Row) -> None:
        if isinstance(row, r.Submitted | r.ScheduleRan):
            for submission in row.tasks:
                self.submissions[submission.task_id] = submission
                self._wait(submission.task_id, TaskState.QUEUED, submission.due_ms)
        elif isinstance(row, r.Granted):
            for lease, task_id in enumerate(row.task_ids, row.first_lease):
                self._task_of[lease] = task_id
                self.states[task_id] = TaskState.RUNNING
        elif isinstance(row, r.Succeeded):
            for lease in row.leases:
                task_id = self._task_of[lease]
                self.committed.append((task_id, lease))
                self.states[task_id] = TaskState.SUCCEEDED
        elif isinstance(row, r.Failed):
            self._wait(self._task_of[row.lease], row.state, row.due_ms)
        elif isinstance(row, r.Returned):
            for lease in row.leases:
                self._wait(self._task_of[lease], TaskState.QUEUED, 0)
        elif isinstance(row, r.Cancelled):
            self.states.update(dict.fromkeys(row.task_ids, TaskState.CANCELLED))
        elif isinstance(row, r.Requeued):
            for task_id in row.task_ids:
                self._wait(task_id, TaskState.QUEUED, row.at_ms)
        elif isinstance(row, r.KindPaused):
            (self.paused.add if row.is_paused else self.paused.discard)(row.kind)
        elif isinstance(row, r.KindLimited):
            (self.limited.add if row.limit and row.limit.count else self.limited.discard)(row.kind)

    def _wait(self, task_id: str, state: TaskState, due_ms: int) -> None:
        self.states[task_id] = state
        self.due_ms[task_id] = due_ms


def accepted_ids(handles: Iterable[TaskHandle]) -> list[str]:
    """Tasks that the client was told are durable, once each, in the order of submission."""
    told = [each.id for each in handles if each.ended is not None or each.standing is Standing.ACCEPTED]
    return list(dict.fromkeys(told))


def judge(account: Account, handles: Sequence[TaskHandle], *, excused: Mapping[str, bool], seed: int) -> None:
    """Raise PromiseBroken, which names the seed. `excused`: tasks that have not ended, and whether they may wait."""
    final = {task_id for task_id, state in account.states.items() if state in FINAL_STATES}
    allowed = final | {task_id for task_id, may_wait in excused.items() if may_wait}
    told = {each.id for each in handles if each.ended and each.ended.state is TaskState.SUCCEEDED}
    unfounded = sorted(told - {task_id for task_id, _ in account.committed})
    try:
        check_promises(accepted=accepted_ids(handles), final=allowed, committed=account.committed)
        if unfounded:
            raise PromiseBroken(
                f"{len(unfounded)} tasks were told to have succeeded, and no result was committed: "
                f"{', '.join(unfounded[:_NAMED])}."
            )
    except PromiseBroken as broken:
        raise PromiseBroken(
            f"{broken.message} The seed is {seed}.", hint=f"seed={seed} makes the same run again."
        ) from None
