"""A runner without user code: attempts that take their time and end as drawn from the seed, or as scripted.

It keeps the promise of the port: one outcome for each grant, within the timeout and the grace. What it did is written
to a record outside of the process, so a checker sees attempts whose host has died.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from msgspec import Struct

from ohmesh.engines.memory.faults import Range, draw, happens
from ohmesh.model.agent import AgentSpec
from ohmesh.model.envelope import join, split
from ohmesh.model.message import Progress
from ohmesh.model.task import Grant, ItemFailure, OpenedItems, Outcome, OutcomeStatus, TaskFailure
from ohmesh.ports.clock import Clock
from ohmesh.ports.entropy import Entropy
from ohmesh.ports.runner import NoticeItems, NoticeProgress, Report, Resize

_ENDLESS_MS = float("inf")


class Host(Protocol):
    """Where a runner runs: a simulated process is one."""

    @property
    def name(self) -> str: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def entropy(self) -> Entropy: ...


class Conduct(Struct, frozen=True, kw_only=True):
    """What one attempt does. duration_ms inf hangs until its timeout. CRASHED takes the agent's other attempts along.

    echo: the value is the payload. steps: it reports progress so often, evenly over its duration.
    """

    duration_ms: float = 1.0
    status: OutcomeStatus = OutcomeStatus.SUCCEEDED
    value: bytes = b""
    echo: bool = True
    retry_after_ms: int = -1
    steps: int = 0


class RunnerOptions(Struct, frozen=True, kw_only=True):
    """Chances of how an attempt ends, drawn where none is scripted; kill_ms: how late a stop takes effect."""

    duration_ms: Range = (1.0, 50.0)
    failed: float = 0.0
    failed_permanently: float = 0.0
    crashed: float = 0.0
    hung: float = 0.0
    kill_ms: Range = (0.0, 500.0)
    takes_envelopes: bool = True


Conductor = Callable[[Grant, random.Random], Conduct | None]
"""What a grant is to do; None leaves it to chance."""


@dataclass(slots=True)
class Execution:
    """One attempt as it really was, in milliseconds of virtual time; a status of None never ended (its host died)."""

    host: str
    agent: str
    task_id: str
    lease: int
    attempt: int
    started_ms: float
    ended_ms: float = -1.0
    status: OutcomeStatus | None = None


@dataclass(slots=True, eq=False)
class _Attempt:
    grant: Grant
    conduct: Conduct
    execution: Execution
    started_ms: int
    end: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class _Lane:
    """One agent: as many attempts at once as it has slots, the rest waits in order."""

    spec: AgentSpec
    waiting: deque[Grant] = field(default_factory=deque)
    running: dict[int, _Attempt] = field(default_factory=dict)


class SimulatedRunner:
    """The port Runner. `executions` collects what was run, of all hosts that share it."""

    def __init__(
        self,
        host: Host,
        agents: Sequence[AgentSpec],
        *,
        options: RunnerOptions | None = None,
        conduct: Conductor | None = None,
        executions: list[Execution] | None = None,
    ) -> None:
        self.executions = executions if executions is not None else []
        self._host = host.name
        self._clock = host.clock
        self._rng = host.entropy.rng()
        self._options = options or RunnerOptions()
        self.takes_envelopes = self._options.takes_envelopes
        self._conductor = conduct or (lambda _grant, _rng: None)
        self._lanes = {spec.agent: _Lane(spec) for spec in agents}
        self._outcomes: list[Outcome] = []
        self._is_stopping = False
        self._idle: asyncio.Future[None] | None = None
        self._report: Report | None = None
        self._notice_progress: NoticeProgress | None = None

    def watch_progress(self, notice: NoticeProgress) -> None:
        self._notice_progress = notice

    def watch_items(self, _notice: NoticeItems) -> None:
        """No kind of it streams; `testing` runs real handlers, which may."""

    async def start(self, report: Report, resize: Resize) -> list[AgentSpec]:
        self._report = report
        for lane in self._lanes.values():
            resize(lane.spec.agent, lane.spec.slots)
        return [lane.spec for lane in self._lanes.values()]

    def run(self, grants: Sequence[Grant]) -> None:
        for grant in grants:
            lane = self._lanes.get(grant.agent)
            if lane is None or self._is_stopping:
                self._tell(Outcome(grant.lease, grant.task_id, OutcomeStatus.RETURNED))
            else:
                lane.waiting.append(grant)
                self._fill(lane)

    def cancel(self, leases: Sequence[int]) -> None:
        for lane in self._lanes.values():
            for grant in [grant for grant in lane.waiting if grant.lease in leases]:
                lane.waiting.remove(grant)
                self._tell(Outcome(grant.lease, grant.task_id, OutcomeStatus.CANCELLED))
            for attempt in [attempt for lease, attempt in lane.running.items() if lease in leases]:
                stop_s = asyncio.get_running_loop().time() + draw(self._rng, self._options.kill_ms)
                if attempt.end is None or stop_s < attempt.end.when():
                    self._end_at(lane, attempt, stop_s, OutcomeStatus.CANCELLED)

    async def stop(self, *, grace_s: float) -> None:
        self._is_stopping = True
        for lane in self._lanes.values():
            while lane.waiting:
                grant = lane.waiting.popleft()
                self._tell(Outcome(grant.lease, grant.task_id, OutcomeStatus.RETURNED))
        loop = asyncio.get_running_loop()
        self._idle = loop.create_future()
        alarm = loop.call_later(grace_s, self._resolve_idle)
        self._notice_idle()
        await self._idle
        alarm.cancel()
        for lane in self._lanes.values():
            for attempt in list(lane.running.values()):
                self._finish(lane, attempt, OutcomeStatus.RETURNED)
        self._flush()

    def _fill(self, lane: _Lane) -> None:
        while lane.waiting and len(lane.running) < max(1, lane.spec.slots):
            self._begin(lane, lane.waiting.popleft())

    def _begin(self, lane: _Lane, grant: Grant) -> None:
        loop = asyncio.get_running_loop()
        conduct = self._conductor(grant, self._rng) or self._draw_conduct()
        now_s = loop.time()
        execution = Execution(
            self._host, grant.agent, grant.task_id, grant.lease, grant.attempt, started_ms=now_s * 1000
        )
        self.executions.append(execution)
        attempt = _Attempt(grant, conduct, execution, self._clock.now_ms())
        lane.running[grant.lease] = attempt
        for step in range(1, conduct.steps + 1):
            when_s = now_s + conduct.duration_ms / 1000 * step / (conduct.steps + 1)
            loop.call_at(when_s, self._progress, lane, attempt, step)
        if 0 < grant.timeout_ms < conduct.duration_ms:
            killed_s = now_s + grant.timeout_ms / 1000 + draw(self._rng, self._options.kill_ms)
            self._end_at(lane, attempt, killed_s, OutcomeStatus.TIMED_OUT)
        elif conduct.duration_ms < _ENDLESS_MS:
            self._end_at(lane, attempt, now_s + conduct.duration_ms / 1000, conduct.status)

    def _progress(self, lane: _Lane, attempt: _Attempt, step: int) -> None:
        grant = attempt.grant
        if self._notice_progress is not None and grant.lease in lane.running:
            now_ms, total = self._clock.now_ms(), attempt.conduct.steps
            told = Progress(grant.task_id, grant.attempt, step, total, "simulated", now_ms, grant.lease, step)
            self._notice_progress([told])

    def _draw_conduct(self) -> Conduct:
        rng, options = self._rng, self._options
        duration_ms = draw(rng, options.duration_ms) * 1000
        for chance, status in (
            (options.failed, OutcomeStatus.FAILED),
            (options.failed_permanently, OutcomeStatus.FAILED_PERMANENTLY),
            (options.crashed, OutcomeStatus.CRASHED),
        ):
            if happens(rng, chance):
                return Conduct(duration_ms=duration_ms, status=status)
        return Conduct(duration_ms=_ENDLESS_MS if happens(rng, options.hung) else duration_ms)

    def _end_at(self, lane: _Lane, attempt: _Attempt, when_s: float, status: OutcomeStatus) -> None:
        if attempt.end is not None:
            attempt.end.cancel()
        attempt.end = asyncio.get_running_loop().call_at(when_s, self._end, lane, attempt, status)

    def _end(self, lane: _Lane, attempt: _Attempt, status: OutcomeStatus) -> None:
        self._finish(lane, attempt, status)
        if status is OutcomeStatus.CRASHED:
            for innocent in list(lane.running.values()):
                self._finish(lane, innocent, OutcomeStatus.RETURNED)
        self._fill(lane)
        self._notice_idle()

    def _finish(self, lane: _Lane, attempt: _Attempt, status: OutcomeStatus) -> None:
        if attempt.end is not None:
            attempt.end.cancel()
        grant, conduct = attempt.grant, attempt.conduct
        del lane.running[grant.lease]
        attempt.execution.ended_ms = asyncio.get_running_loop().time() * 1000
        attempt.execution.status = status
        succeeded = status is OutcomeStatus.SUCCEEDED
        failed = not succeeded and status is not OutcomeStatus.RETURNED
        if grant.items and not succeeded:
            self._tell(self._partly(attempt, status))
            return
        self._tell(
            Outcome(
                grant.lease,
                grant.task_id,
                status,
                value=(grant.payload if conduct.echo else conduct.value) if succeeded else b"",
                failure=TaskFailure(status.name.lower(), "simulated") if failed else None,
                started_ms=attempt.started_ms,
                ended_ms=self._clock.now_ms(),
                retry_after_ms=conduct.retry_after_ms,
            )
        )

    def _partly(self, attempt: _Attempt, status: OutcomeStatus) -> Outcome:
        """An envelope ends so at one of its items: those before it are done, those after it are not."""
        grant = attempt.grant
        payloads = split(grant.payload)
        place = int(self._rng.random() * grant.items)
        failed: list[ItemFailure] = []
        if status not in (OutcomeStatus.RETURNED, OutcomeStatus.CANCELLED):
            failure = TaskFailure(status.name.lower(), "simulated")
            failed = [ItemFailure(place, status, failure, attempt.started_ms, attempt.conduct.retry_after_ms)]
        return Outcome(
            grant.lease,
            grant.task_id,
            OutcomeStatus.OPENED,
            join(payloads[:place], place) if place else b"",
            started_ms=attempt.started_ms,
            ended_ms=self._clock.now_ms(),
            opened=OpenedItems(list(range(place)), failed),
        )

    def _tell(self, outcome: Outcome) -> None:
        """Outcomes of one instant travel in one report."""
        if not self._outcomes:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outcomes.append(outcome)

    def _flush(self) -> None:
        outcomes, self._outcomes = self._outcomes, []
        if outcomes and self._report is not None:
            self._report(outcomes)

    def _notice_idle(self) -> None:
        if not any(lane.running for lane in self._lanes.values()):
            self._resolve_idle()

    def _resolve_idle(self) -> None:
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)
