"""What tests need around a pool: a stand-in for the host that sees each outcome exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from ohmesh.model.agent import AgentSpec
from ohmesh.model.envelope import join
from ohmesh.model.task import Grant, Outcome, OutcomeStatus
from ohmesh.runners.config import RunnerConfig
from ohmesh.runners.pool import ProcessRunnerPool

AGENTS_FOLDER = str(Path(__file__).resolve().parent)
DEADLINE_S = 30.0


def payload(*positional: object, **keyword: object) -> bytes:
    return msgspec.msgpack.encode([list(positional), keyword])


class Host:
    """Grants tasks to a pool and keeps what it hears."""

    def __init__(self, pool: ProcessRunnerPool) -> None:
        self.pool = pool
        self.outcomes: dict[int, Outcome] = {}
        self.twice: list[int] = []
        self.slots: dict[str, int] = {}
        self.slots_heard: list[tuple[str, int]] = []
        self.specs: list[AgentSpec] = []
        self.granted = 0

    def report(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            if outcome.lease in self.outcomes:
                self.twice.append(outcome.lease)
            self.outcomes[outcome.lease] = outcome

    def resize(self, agent: str, slots: int) -> None:
        self.slots[agent] = slots
        self.slots_heard.append((agent, slots))

    def grant(self, agent: str, *arguments: object, timeout_ms: int = 20_000) -> int:
        return self.grant_many(agent, [arguments], timeout_ms=timeout_ms)[0]

    def grant_many(
        self, agent: str, calls: Sequence[Sequence[object]], *, timeout_ms: int = 20_000
    ) -> list[int]:
        first = self.granted + 1
        self.granted += len(calls)
        grants = [
            Grant(lease, f"task-{lease}", agent, payload(*arguments), 1, timeout_ms)
            for lease, arguments in enumerate(calls, first)
        ]
        self.pool.run(grants)
        return [one.lease for one in grants]

    def grant_envelope(
        self, agent: str, calls: Sequence[Sequence[object]], *, timeout_ms: int = 20_000
    ) -> int:
        """All of these calls as one grant."""
        self.granted += 1
        lease = self.granted
        content = join([payload(*arguments) for arguments in calls], len(calls))
        self.pool.run([Grant(lease, f"task-{lease}", agent, content, 1, timeout_ms, len(calls))])
        return lease

    async def until(self, is_true: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not is_true():
                await asyncio.sleep(0.005)

    async def code_runs(self, agent: str) -> None:
        """Wait until code of `agent` is running this instant."""

        def runs() -> bool:
            processes = [one for group in self.pool._groups.values() for one in group.processes]
            tasks = [one.custody.sent.get(one.custody.running()[0]) for one in processes]
            return any(task is not None and task.agent.name == agent for task in tasks)

        await self.until(runs)

    async def started(self, *leases: int) -> None:
        """Wait until the turn of these has come, in processes that start what they are sent."""

        def have_started() -> bool:
            custodies = [one.custody for group in self.pool._groups.values() for one in group.processes]
            started = {
                task.grant.lease
                for custody in custodies
                if not custody.is_holding
                for number, task in custody.sent.items()
                if custody.has_started(number)
            }
            return started.issuperset(leases)

        await self.until(have_started)

    async def ended(self, *leases: int) -> list[Outcome]:
        await self.until(lambda: all(lease in self.outcomes for lease in leases))
        return [self.outcomes[lease] for lease in leases]

    async def status(self, lease: int) -> OutcomeStatus:
        return (await self.ended(lease))[0].status

    async def value(self, lease: int) -> Any:
        (outcome,) = await self.ended(lease)
        assert outcome.status is OutcomeStatus.SUCCEEDED, outcome
        return msgspec.msgpack.decode(outcome.value)

    async def do(self, agent: str, *arguments: object) -> Any:
        """Grant again while it is handed back, as the mesh would."""
        while True:
            lease = self.grant(agent, *arguments)
            if await self.status(lease) is not OutcomeStatus.RETURNED:
                return await self.value(lease)


def config(*names: str, **settings: Any) -> RunnerConfig:
    """Agents of `runner_agents` by name, on few processes, with short graces."""
    chosen: dict[str, Any] = {"sync_processes": 2, "cancel_grace_ms": 200, "restart_delay_ms": 20, **settings}
    targets = tuple(f"runner_agents:{name}" for name in names)
    return RunnerConfig(targets=targets, import_paths=(AGENTS_FOLDER,), **chosen)


@asynccontextmanager
async def running(settings: RunnerConfig) -> AsyncIterator[Host]:
    """A started pool; afterwards it is stopped, and each grant has had exactly one outcome."""
    pool = ProcessRunnerPool(settings)
    host = Host(pool)
    host.specs = await pool.start(host.report, host.resize)
    try:
        yield host
    finally:
        await pool.stop(grace_s=0)
    await asyncio.sleep(0)  # what was refused is reported in the loop's next turn
    assert not host.twice
    assert set(host.outcomes) == set(range(1, host.granted + 1))
