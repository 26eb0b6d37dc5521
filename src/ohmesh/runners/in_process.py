"""The port Runner without child processes: handlers run in the event loop of their host.

For tests, where nothing but the test's own code is at stake. One outcome for each grant, as the port promises, with
these differences from a pool of processes: a sync handler stops the whole loop while it runs, and that it ran past its
timeout shows only afterwards; async code that does not yield to its cancellation is reported after the grace and left
to itself, since there is no process to kill; code that takes its process along takes everything along.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from ohmesh.model.agent import AgentSpec
from ohmesh.model.message import Progress, StreamItems
from ohmesh.model.task import Grant, Outcome, OutcomeStatus, TaskFailure
from ohmesh.ports.clock import Clock
from ohmesh.ports.handler import Handler
from ohmesh.ports.runner import NoticeItems, NoticeProgress, Report, Resize
from ohmesh.runners.config import RunnerConfig
from ohmesh.runners.progress import put_of_task
from ohmesh.runners.stream import Stream, run_stream_async
from ohmesh.runners.verdict import check_size, failed
from ohmesh.runners.wire import Items


@dataclass(slots=True, eq=False)
class _Attempt:
    """`ending`: why it was told to stop, if it was."""

    grant: Grant
    task: asyncio.Task[None] | None = None
    alarm: asyncio.TimerHandle | None = None
    has_begun: bool = False
    started_ms: int = 0
    started_monotonic_ms: int = 0
    ending: OutcomeStatus | None = None


class InProcessRunner:
    takes_envelopes = False

    def __init__(
        self, handlers: Sequence[Handler], clock: Clock, *, config: RunnerConfig | None = None
    ) -> None:
        self._handlers = {handler.spec.agent: handler for handler in handlers}
        self._clock = clock
        self._config = config or RunnerConfig(targets=())
        self._attempts: dict[int, _Attempt] = {}
        self._outcomes: list[Outcome] = []
        self._report: Report | None = None
        self._is_stopping = False
        self._notice_progress: NoticeProgress | None = None
        self._notice_items: NoticeItems | None = None
        self._steps = 0

    def watch_progress(self, notice: NoticeProgress) -> None:
        self._notice_progress = notice

    def watch_items(self, notice: NoticeItems) -> None:
        self._notice_items = notice

    async def start(self, report: Report, resize: Resize) -> list[AgentSpec]:
        """An agent that does not say has `async_slots` when it is async, else one. They never change."""
        self._report = report
        return [
            msgspec.structs.replace(
                handler.spec,
                slots=handler.spec.slots or (self._config.async_slots if handler.is_async else 1),
            )
            for handler in self._handlers.values()
        ]

    def run(self, grants: Sequence[Grant]) -> None:
        loop = asyncio.get_running_loop()
        for grant in grants:
            handler = self._handlers.get(grant.agent)
            if handler is None or self._is_stopping:
                self._tell(Outcome(grant.lease, grant.task_id, OutcomeStatus.RETURNED))
                continue
            attempt = self._attempts[grant.lease] = _Attempt(grant)
            attempt.task = loop.create_task(self._do(attempt, handler), name=f"attempt-{grant.lease}")

    def cancel(self, leases: Sequence[int]) -> None:
        for lease in leases:
            attempt = self._attempts.get(lease)
            if attempt is not None:
                self._end(attempt, OutcomeStatus.CANCELLED)

    async def stop(self, *, grace_s: float) -> None:
        self._is_stopping = True
        for attempt in [attempt for attempt in self._attempts.values() if not attempt.has_begun]:
            self._end(attempt, OutcomeStatus.RETURNED)
        await self._ended(grace_s)
        for attempt in list(self._attempts.values()):
            self._end(attempt, OutcomeStatus.RETURNED)
        await self._ended(None)
        self._flush()

    async def _ended(self, timeout_s: float | None) -> None:
        """Every attempt ends, at the latest a grace after it was told to."""
        deadline_s = None if timeout_s is None else asyncio.get_running_loop().time() + timeout_s
        while self._attempts:
            running = [attempt.task for attempt in self._attempts.values() if attempt.task is not None]
            pause_s = self._config.tick_ms / 1000
            if deadline_s is not None:
                pause_s = min(pause_s, deadline_s - asyncio.get_running_loop().time())
                if pause_s <= 0:
                    return
            await asyncio.wait(running, timeout=pause_s)

    async def _do(self, attempt: _Attempt, handler: Handler) -> None:
        grant = attempt.grant
        if self._attempts.get(grant.lease) is not attempt:
            return  # taken back before it began
        attempt.has_begun = True
        attempt.started_ms = self._clock.now_ms()
        attempt.started_monotonic_ms = self._clock.monotonic_ms()
        if grant.timeout_ms > 0:
            attempt.alarm = asyncio.get_running_loop().call_later(
                grant.timeout_ms / 1000, self._end, attempt, OutcomeStatus.TIMED_OUT
            )
        put_of_task.set(partial(self._progressed, grant))
        try:
            value = await self._value(handler, grant)
            check_size(value, self._config.value_max_bytes)
        except (Exception, asyncio.CancelledError, SystemExit) as error:  # noqa: BLE001 - user code's outcome
            outcome = self._failed(attempt, error)
        else:
            outcome = self._outcome(attempt, OutcomeStatus.SUCCEEDED, value=value)
        elapsed_ms = self._clock.monotonic_ms() - attempt.started_monotonic_ms
        if not handler.is_async and 0 < grant.timeout_ms < elapsed_ms:
            outcome = self._outcome(attempt, OutcomeStatus.TIMED_OUT)
        self._finish(attempt, outcome)

    def _end(self, attempt: _Attempt, status: OutcomeStatus) -> None:
        """Tell it to stop, once; what has not begun, or does not stop within the grace, is over then."""
        if not attempt.has_begun:
            self._finish(attempt, Outcome(attempt.grant.lease, attempt.grant.task_id, status))
        elif attempt.ending is None:
            attempt.ending = status
            if attempt.alarm is not None:
                attempt.alarm.cancel()
            assert attempt.task is not None, "what has begun has a task"
            attempt.task.cancel()
            attempt.alarm = asyncio.get_running_loop().call_later(
                self._config.cancel_grace_ms / 1000, self._give_up, attempt, status
            )

    def _give_up(self, attempt: _Attempt, status: OutcomeStatus) -> None:
        self._finish(attempt, self._outcome(attempt, status))

    def _progressed(self, grant: Grant, done: float, total: float | None, note: str) -> None:
        if self._notice_progress is not None and grant.lease in self._attempts:
            self._steps += 1
            now_ms, count = self._clock.now_ms(), self._steps
            step = Progress(grant.task_id, grant.attempt, done, total, note, now_ms, grant.lease, count)
            self._notice_progress([step])

    async def _value(self, handler: Handler, grant: Grant) -> bytes:
        if handler.manner.stream:
            stream = Stream(
                0,
                handler.manner.stream,
                partial(self._yielded, grant),
                max_bytes=self._config.value_max_bytes,
            )
            return await run_stream_async(handler.items(grant.payload), stream)
        return (
            await handler.invoke_async(grant.payload) if handler.is_async else handler.invoke(grant.payload)
        )

    def _yielded(self, grant: Grant, items: Items) -> None:
        if self._notice_items is not None and grant.lease in self._attempts:
            self._notice_items(
                StreamItems(
                    grant.task_id, grant.attempt, grant.lease, items.first, items.values, items.is_kept
                )
            )

    def _failed(self, attempt: _Attempt, error: BaseException) -> Outcome:
        if attempt.ending is not None and isinstance(error, asyncio.CancelledError):
            return self._outcome(attempt, attempt.ending)
        ran = attempt.grant, attempt.started_ms, self._clock.now_ms()
        rule = self._handlers[attempt.grant.agent].manner.retry_rule
        return failed(ran, error, rule, max_chars=self._config.traceback_max_chars)

    def _outcome(self, attempt: _Attempt, status: OutcomeStatus, *, value: bytes = b"") -> Outcome:
        grant = attempt.grant
        failure = None
        if status is OutcomeStatus.TIMED_OUT:
            failure = TaskFailure("timeout", f"It ran past its timeout of {grant.timeout_ms} ms.")
        return Outcome(
            grant.lease, grant.task_id, status, value, failure, attempt.started_ms, self._clock.now_ms()
        )

    def _finish(self, attempt: _Attempt, outcome: Outcome) -> None:
        """Once: what an attempt that was given up still brings is not heard."""
        if attempt.alarm is not None:
            attempt.alarm.cancel()
        if self._attempts.get(outcome.lease) is attempt:
            del self._attempts[outcome.lease]
            self._tell(outcome)

    def _tell(self, outcome: Outcome) -> None:
        """Outcomes of one moment travel in one report."""
        if not self._outcomes:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outcomes.append(outcome)

    def _flush(self) -> None:
        outcomes, self._outcomes = self._outcomes, []
        if outcomes and self._report is not None:
            self._report(outcomes)
