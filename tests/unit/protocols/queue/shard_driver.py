"""A shard with its log in a list: what a dispatcher does, without a loop, for tests of the pure machine.

A second table follows the frames alone. Whatever is told is held against it: nobody may hear what is not in the log.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from ohmesh.model.agent import AgentSpec
from ohmesh.model.message import HostReport, Outcomes
from ohmesh.model.task import (
    FINAL_STATES,
    Grant,
    Outcome,
    OutcomeStatus,
    Submission,
    TaskFailure,
    TaskResult,
    TaskState,
)
from ohmesh.policies.priority import rank
from ohmesh.policies.rate_limit import TokenBucket
from ohmesh.policies.retry import RetryPolicy, retry_delay_ms
from ohmesh.policies.routing import fair_share
from ohmesh.policies.schedule import latest_due_ms, next_due_ms
from ohmesh.protocols.queue import cancelling, hosting, intake, placement, retention, scheduling
from ohmesh.protocols.queue.rows import LOG_VERSION, LogFrame, Row, decode_log_frame, encode_log_frame
from ohmesh.protocols.queue.shard import Shard, ShardConfig
from ohmesh.protocols.queue.shard_policies import ShardPolicies
from ohmesh.protocols.queue.step import Step
from ohmesh.protocols.queue.task_table import TaskTable

START_MS = 1_750_000_000_000
RETRY = RetryPolicy(max_attempts=4, base_ms=100, cap_ms=1_000)
AGING_MS = 10_000

POLICIES = ShardPolicies(
    rank=lambda priority, ready_ms, now_ms: rank(priority, ready_ms, now_ms, AGING_MS),
    retry_delay_ms=lambda attempts, rng: retry_delay_ms(RETRY, attempts, rng),
    share=fair_share,
    bucket=TokenBucket,
    next_due_ms=next_due_ms,
    latest_due_ms=latest_due_ms,
)


@dataclass
class Heard:
    """Everything that was told, in order of telling."""

    accepted: list[str] = field(default_factory=list)
    existing: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    finished: dict[str, str] = field(default_factory=dict)
    values: dict[str, bytes] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    too_late: list[str] = field(default_factory=list)
    not_cancellable: list[str] = field(default_factory=list)
    results: dict[str, TaskResult] = field(default_factory=dict)
    enquired: list[str] = field(default_factory=list)
    grants: dict[str, list[Grant]] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    settled: dict[str, list[int]] = field(default_factory=dict)
    revoked: dict[str, list[int]] = field(default_factory=dict)


class ShardDriver:
    """Appends each step to `frames` (through the wire form) and then lets its effects be heard."""

    def __init__(
        self, config: ShardConfig | None = None, seed: int = 1, table: TaskTable | None = None
    ) -> None:
        self.config = config or ShardConfig(lease_ms=10_000)
        self.now_ms = START_MS
        self.epoch = 0
        self.frames: list[bytes] = []
        self.steps: list[Step] = []
        self.mirror = TaskTable(self.config.parking)
        self.heard = Heard()
        self.shard = self._shard(table, seed)
        self.take_over()

    def _shard(self, table: TaskTable | None, seed: int) -> Shard:
        return Shard(self.config, POLICIES, rng=random.Random(seed), table=table)

    def take_over(self, table: TaskTable | None = None) -> None:
        """A successor with this table (by default: with the one replayed from the log) begins an epoch."""
        self.epoch += 1
        self.shard = self._shard(table if table is not None else self.replayed(), self.epoch)
        self.shard.start_epoch(self.epoch, f"process-{self.epoch}", self.now_ms)
        self.settle()

    def replayed(self) -> TaskTable:
        table = TaskTable(self.config.parking)
        for sequence, data in enumerate(self.frames, 1):
            table.apply_all(decode_log_frame(data, sequence).rows)
        return table

    def rows(self) -> list[Row]:
        return [row for n, data in enumerate(self.frames, 1) for row in decode_log_frame(data, n).rows]

    def settle(self) -> None:
        """Append and tell everything that is decided."""
        while True:
            placement.assign(self.shard, self.now_ms)
            step = self.shard.take_step()
            if step is None:
                return
            if step.rows:
                frame = LogFrame(LOG_VERSION, self.epoch, len(self.frames), b"", step.rows)
                self.frames.append(encode_log_frame(frame))
                self.mirror.apply_all(decode_log_frame(self.frames[-1], len(self.frames)).rows)
            self.shard.appended(step)
            self.steps.append(step)
            check_told(step, self.mirror)
            self._tell(step)

    def _tell(self, step: Step) -> None:
        heard = self.heard
        for news in step.clients.values():
            heard.accepted.extend(news.accepted)
            heard.existing.extend(news.existing)
            heard.refused.update({refusal.task_id: refusal.code for refusal in news.refused})
            heard.finished.update({ended.task_id: str(ended.state) for ended in news.finished})
            heard.values.update({ended.task_id: ended.value for ended in news.finished})
            heard.results.update({ended.task_id: ended for ended in news.finished})
            heard.not_cancellable.extend(news.not_cancellable)
            heard.unknown.extend(news.unknown)
            heard.cancelled.extend(news.cancelled)
            heard.too_late.extend(news.too_late)
        for host, host_news in step.hosts.items():
            for batch in host_news.grants:
                heard.grants.setdefault(host, []).extend(batch.grants)
                heard.numbers[host] = batch.number
            heard.settled.setdefault(host, []).extend(host_news.settled)
            heard.revoked.setdefault(host, []).extend(host_news.revoked)
            if host_news.enquire:
                heard.enquired.append(host)

    # What the outside does

    def submit(self, *task_ids: str, client: str = "client", **fields: object) -> None:
        submissions = [submission(task_id, created_ms=self.now_ms, **fields) for task_id in task_ids]
        intake.submit(self.shard, client, submissions, self.now_ms)
        self.settle()

    def join(
        self,
        host: str = "host",
        *,
        slots: int = 1,
        kind: str = "kind",
        incarnation: int = 1,
        **fields: object,
    ) -> None:
        capabilities = fields.pop("capabilities", ())
        assert isinstance(capabilities, tuple)
        specs = [AgentSpec(f"{host}/agent", kind, capabilities, slots)]
        self.report(host, specs=specs, incarnation=incarnation, **fields)

    def report(self, host: str, *, specs: list[AgentSpec], incarnation: int = 1, **fields: object) -> None:
        values: dict[str, object] = {"epoch": self.epoch, "number": 0, "held": [], "lease_ms": 10_000}
        message = HostReport(host=host, incarnation=incarnation, agents=specs, **(values | fields))  # type: ignore[arg-type]  # fields are named by the test
        hosting.report(self.shard, message, self.now_ms)
        self.settle()

    def finish(
        self,
        host: str,
        grant: Grant,
        status: OutcomeStatus = OutcomeStatus.SUCCEEDED,
        *,
        retry_after_ms: int = -1,
    ) -> None:
        succeeded = status is OutcomeStatus.SUCCEEDED
        failure = None if succeeded else TaskFailure("Oops", "it broke")
        value = b"value" if succeeded else b""
        outcome = Outcome(
            grant.lease, grant.task_id, status, value, failure, self.now_ms, self.now_ms, retry_after_ms
        )
        self.shard.outcomes(Outcomes(host, 1, [outcome]), self.now_ms)
        self.settle()

    def cancel(self, *task_ids: str, client: str = "client") -> None:
        cancelling.cancel(self.shard, client, list(task_ids), self.now_ms)
        self.settle()

    def watch(self, *task_ids: str, client: str = "client") -> None:
        intake.watch(self.shard, client, list(task_ids))
        self.settle()

    def heartbeat(self, host: str = "host", *, slots: int = 1) -> None:
        """What a host reports that has received everything and still holds all of it."""
        held = [lease for lease, task in self.shard.table.leases.items() if task.agent.startswith(host + "/")]
        specs = [AgentSpec(f"{host}/agent", "kind", (), slots)]
        self.report(host, specs=specs, held=held, number=self.heard.numbers.get(host, 0))

    def state(self, task_id: str) -> TaskState:
        task = self.shard.table.whole(task_id)
        assert task is not None
        return task.state

    def granted(self, host: str = "host") -> list[Grant]:
        return self.heard.grants.get(host, [])

    def wait(self, duration_ms: int) -> None:
        """Time passes; hosts stay as they are."""
        self.now_ms += duration_ms
        scheduling.run_due(self.shard, self.now_ms)
        self.shard.tick(self.now_ms)
        retention.sweep(self.shard, self.now_ms)
        hosting.expire_hosts(self.shard, self.now_ms)
        self.settle()


def submission(task_id: str, **fields: object) -> Submission:
    values: dict[str, object] = {"kind": "kind", "payload": b"payload"}
    return Submission(task_id=task_id, **(values | fields))  # type: ignore[arg-type]  # fields are named by the test


def check_told(step: Step, table: TaskTable) -> None:
    """What a step lets be heard is true in the log up to and with its own rows."""
    for news in step.clients.values():
        told = [*news.accepted, *news.existing]
        assert all(table.holds(task_id) or task_id in table.forgotten for task_id in told)
        cancelled = [table.find(task_id) for task_id in news.cancelled]
        assert all(task is not None and task.state is TaskState.CANCELLED for task in cancelled)
        ends = [(table.find(ended.task_id), ended.state) for ended in news.finished]
        assert all(task is not None and task.state is state for task, state in ends)
        assert all(ended.state in FINAL_STATES for ended in news.finished)
    for host, host_news in step.hosts.items():
        for batch in host_news.grants:
            assert all(table.leases[grant.lease].task_id == grant.task_id for grant in batch.grants)
            assert all(table.leases[grant.lease].agent == f"{host}/{grant.agent}" for grant in batch.grants)
        owners = [table.leases[lease].agent for lease in host_news.settled if lease in table.leases]
        assert not any(owner.startswith(f"{host}/") for owner in owners)
