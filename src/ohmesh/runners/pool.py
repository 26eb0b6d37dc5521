"""A pool of runner processes: the port ports.runner.Runner over real child processes.

The first process loads the agents and tells what they are; this process never imports user code. Sync agents share a
group of processes that each run one task at a time, async ones a group whose processes run many in an event loop. A
process that dies is replaced at once, with a growing delay while it dies before it has loaded.

Cost: nothing per task but its bookkeeping: no asyncio task, future or timer. One timer for the pool looks at deadlines
and shared pages while there is work.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from ohmesh.errors import AgentDefinitionError
from ohmesh.model.agent import AgentSpec
from ohmesh.model.task import Grant, Outcome, OutcomeStatus
from ohmesh.ports.runner import NoticeItems, NoticeProgress, Report, Resize
from ohmesh.runners.agent_load import AgentLoad
from ohmesh.runners.config import RunnerConfig
from ohmesh.runners.group import Group
from ohmesh.runners.process import RunnerProcess
from ohmesh.runners.wire import Items, LoadedAgent, Row

_log = logging.getLogger("ohmesh.runners")


@dataclass(frozen=True, slots=True)
class RunnerStatistics:
    """deaths: processes that ended on their own or were killed for a task. failed_starts: in a row, now."""

    process_ids: tuple[int, ...]
    waiting: int
    running: int
    deaths: int
    failed_starts: int
    handed_back: int


class ProcessRunnerPool:
    """See RunnerConfig for what runs. `start` raises AgentDefinitionError when the agents cannot be loaded."""

    takes_envelopes = True

    def __init__(self, config: RunnerConfig) -> None:
        self._config = config
        self._agents: dict[str, AgentLoad] = {}
        self._groups: dict[bool, Group] = {}
        self._group_of: dict[RunnerProcess, Group] = {}
        self._starting: set[RunnerProcess] = set()
        self._changed = asyncio.Event()
        self._is_stopping = False
        self._ticks = False
        self._notice_progress: NoticeProgress | None = None
        self._notice_items: NoticeItems | None = None
        self._progress_due_ns = 0
        self._deaths = 0
        self._failed_starts = 0
        self._start_error: AgentDefinitionError | None = None

    def watch_progress(self, notice: NoticeProgress) -> None:
        self._notice_progress = notice

    def watch_items(self, notice: NoticeItems) -> None:
        self._notice_items = notice

    async def start(self, report: Report, resize: Resize) -> list[AgentSpec]:
        self._loop = asyncio.get_running_loop()
        self._report, self._resize = report, resize
        try:
            first = RunnerProcess(self._config, self)
        except OSError as error:
            raise _not_started(error) from error
        self._starting.add(first)
        await self._until(lambda: first.is_loaded)
        self._found_groups(first.agents)
        first_group = next(iter(self._groups.values()))
        self._join(first, first_group)
        for group in self._groups.values():
            for _ in range(group.size - len(group.processes)):
                self._spawn(group)
        await self._until(lambda: all(len(one.processes) == one.size for one in self._groups.values()))
        return [_announced(agent) for agent in self._agents.values()]

    def run(self, grants: Sequence[Grant]) -> None:
        now_ns = time.monotonic_ns()
        agents = self._agents
        refused = []
        for grant in grants:
            agent = agents.get(grant.agent)
            if agent is None or self._is_stopping:
                refused.append(Outcome(grant.lease, grant.task_id, OutcomeStatus.RETURNED))
            else:
                self._groups[agent.is_async].add(agent, grant, now_ns)
        if refused:
            self._loop.call_soon(self._report, refused)
        for group in self._groups.values():
            group.pump()
        self._tick_soon()

    def cancel(self, leases: Sequence[int]) -> None:
        now_ns = time.monotonic_ns()
        outcomes = [one for group in self._groups.values() for one in group.cancel(set(leases), now_ns)]
        if outcomes:
            self._loop.call_soon(self._report, outcomes)
        self._tick_soon()

    async def stop(self, *, grace_s: float) -> None:
        self._is_stopping = True
        now_ns = time.monotonic_ns()
        self._tell([one for group in self._groups.values() for one in group.stop(now_ns)])
        self._tick_soon()
        try:
            async with asyncio.timeout(grace_s):
                while any(group.is_busy for group in self._groups.values()):
                    await self._next_change()
        except TimeoutError:
            _log.warning("stopping: %d tasks did not end within %s s", self.statistics().running, grace_s)
        for process in list(self._group_of):
            process.custody.abandon()
            if process.custody.sent:
                process.kill()
            else:
                process.close()
        await self._bury_all()

    def statistics(self) -> RunnerStatistics:
        groups = self._groups.values()
        processes = [process for group in groups for process in group.processes]
        return RunnerStatistics(
            process_ids=tuple(process.pid for process in processes),
            waiting=sum(group.waiting() for group in groups),
            running=sum(len(process.custody.sent) for process in processes),
            deaths=self._deaths,
            failed_starts=self._failed_starts,
            handed_back=sum(group.handed_back for group in groups),
        )

    def loaded(self, process: RunnerProcess) -> None:
        """A process is warm (called by it)."""
        self._failed_starts = 0
        group = self._group_of.get(process)
        if group is not None:
            self._join(process, group)
        self._changed.set()

    def finished(self, process: RunnerProcess, rows: list[Row]) -> None:
        """Results have come (called by a process)."""
        self._tell(self._group_of[process].finished(process, rows))

    def overdue(self, process: RunnerProcess, numbers: list[int]) -> None:
        """Async tasks were cancelled for their timeout (called by a process)."""
        kill_at_ns = time.monotonic_ns() + self._config.cancel_grace_ms * 1_000_000
        for number in numbers:
            process.custody.end(number, OutcomeStatus.TIMED_OUT, kill_at_ns)

    def yielded(self, process: RunnerProcess, items: Items) -> None:
        """A streaming task has gone on (called by a process)."""
        told = self._group_of[process].yielded(process, items)
        if told is not None and self._notice_items is not None:
            self._notice_items(told)

    def gone(self, process: RunnerProcess) -> None:
        """A process has ended (called by it): settle what it held, and start another."""
        self._starting.discard(process)
        group = self._group_of.pop(process, None)
        outcomes = group.gone(process) if group is not None and process in group.processes else []
        process.page.close()
        if not process.is_loaded:
            self._start_error = process.load_error
        if not self._is_stopping and group is not None:
            self._deaths += 1
            _log.warning("runner process %d %s; it is replaced", process.pid, process.ending())
            self._replace(process, group)
        self._tell(outcomes)
        self._changed.set()

    def _found_groups(self, loaded: Sequence[LoadedAgent]) -> None:
        config = self._config
        for one in loaded:
            agent = self._agents[one.spec.agent] = AgentLoad(
                one.spec, config, is_async=one.is_async, is_stream=one.is_stream
            )
            if one.is_async not in self._groups:
                size = config.async_processes if one.is_async else config.sync_processes
                self._groups[one.is_async] = Group(config, self._resize, is_async=one.is_async, size=size)
            self._groups[one.is_async].agents.append(agent)

    def _join(self, process: RunnerProcess, group: Group) -> None:
        self._starting.discard(process)
        self._group_of[process] = group
        process.begin(is_async=group.is_async)
        group.processes.append(process)
        group.pump()

    def _replace(self, process: RunnerProcess, group: Group) -> None:
        if process.is_loaded:
            self._spawn(group)
        else:
            self._spawn_later(group, process.load_error)

    def _spawn(self, group: Group) -> None:
        if self._is_stopping:
            return
        try:
            process = RunnerProcess(self._config, self)
        except OSError as error:
            self._spawn_later(group, _not_started(error))
            return
        self._starting.add(process)
        self._group_of[process] = group

    def _spawn_later(self, group: Group, error: AgentDefinitionError | None) -> None:
        config = self._config
        delay_ms = min(config.restart_delay_ms << min(self._failed_starts, 20), config.restart_delay_max_ms)
        self._failed_starts += 1
        _log.error("a runner process could not start; again in %d ms: %s", delay_ms, error)
        self._loop.call_later(delay_ms / 1000, self._spawn, group)

    def _tell(self, outcomes: list[Outcome]) -> None:
        if outcomes:
            self._report(outcomes)
        if self._is_stopping:
            self._changed.set()

    def _tick_soon(self) -> None:
        if not self._ticks:
            self._ticks = True
            self._loop.call_later(self._config.tick_ms / 1000, self._tick)

    def _tick(self) -> None:
        self._ticks = False
        now_ns = time.monotonic_ns()
        for group in self._groups.values():
            self._tell(group.tick(now_ns))
        if self._notice_progress is not None and now_ns >= self._progress_due_ns:
            self._progress_due_ns = now_ns + self._config.progress_ms * 1_000_000
            for group in self._groups.values():
                if steps := group.progress():
                    self._notice_progress(steps)
        if any(group.is_busy for group in self._groups.values()):
            self._tick_soon()

    async def _until(self, is_true: Callable[[], bool]) -> None:
        """Wait while processes start; when one cannot, end the others and raise why."""
        while not is_true():
            if self._start_error is not None:
                self._is_stopping = True
                await self._bury_all()
                raise self._start_error
            await self._next_change()

    async def _next_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def _bury_all(self) -> None:
        """Wait for processes that end by themselves, a little; kill the others; return when none is left."""
        left = self._starting | set(self._group_of)
        for process in left:
            if not process.is_loaded:
                process.kill()
        try:
            async with asyncio.timeout(self._config.exit_grace_ms / 1000):
                await self._gone(left)
        except TimeoutError:
            for process in left:
                process.kill()
            await self._gone(left)

    async def _gone(self, processes: set[RunnerProcess]) -> None:
        while not all(process.is_gone for process in processes):
            await self._next_change()


def _announced(agent: AgentLoad) -> AgentSpec:
    return msgspec.structs.replace(agent.spec, slots=agent.concurrency)


def _not_started(error: OSError) -> AgentDefinitionError:
    return AgentDefinitionError(
        f"A runner process could not be started: {error}.",
        hint="The limit of processes or open files may be reached (ulimit -u, ulimit -n).",
    )
