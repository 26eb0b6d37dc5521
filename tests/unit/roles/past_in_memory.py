"""A past to ask about: a ledger in memory, a historian that may come and go, and a client, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from ohmesh.engines.memory.cluster import MemoryCluster
from ohmesh.model.task import TaskState, TaskView
from ohmesh.ports.ledger import Batch, Event, TaskHistoryPage, TaskQuery
from ohmesh.roles.client import Client
from ohmesh.roles.historian import Historian
from ohmesh.roles.historian_config import HistorianConfig, HistorianPorts
from ohmesh.simulator.clock import SimulatedClock
from ohmesh.simulator.run import run_virtual
from tests.unit.roles.memory_ledger import MemoryLedger
from tests.unit.roles.scripted_dispatcher import SUBJECTS, Notices, ScriptedDispatcher, start_client

LOG = SUBJECTS.log(0)
CONFIG = HistorianConfig(concurrent=2, questions=8, event_bytes=1_000)


class WatchedLedger(MemoryLedger):
    """Counts how many questions it has at once; `page_tasks` is how many of them it gives at most."""

    def __init__(self, *, takes_s: float = 0.002) -> None:
        super().__init__(takes_s=takes_s)
        self.at_once = self.most_at_once = 0
        self.page_tasks = 1_000
        self.is_defective = False
        self.asked: list[TaskQuery] = []

    async def tasks(self, query: TaskQuery) -> TaskHistoryPage:
        if self.is_defective:
            raise ZeroDivisionError("a defect")
        self.asked.append(query)
        limit = min(query.limit, self.page_tasks)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await super().tasks(TaskQuery(query.task_ids, limit=limit, after=query.after))
        finally:
            self.at_once -= 1


class Past:
    """A mesh of one shard whose log has entries, a historian that may come and go, and a client."""

    def __init__(self, cluster: MemoryCluster, client: Client) -> None:
        self.engine = cluster.connect("node-1")
        self.dispatcher = ScriptedDispatcher(cluster.connect("dispatcher"))
        self.client = client
        self.ledger = WatchedLedger()
        self.positions: dict[int, int] = {}
        self.notices = Notices()
        self._running: list[asyncio.Task[None]] = []

    async def record(self, *views: TaskView, events: Sequence[Event] = ()) -> None:
        position = await self.ledger.position(LOG) + 1
        await self.ledger.record(Batch(LOG, position, list(views), list(events)))

    async def lengthen_log(self, entries: int) -> None:
        for before in range(entries):
            await self.engine.log.append(LOG, b"an entry", expected=before)

    def start(self, *, opens: bool = True) -> Historian:
        clock = SimulatedClock(asyncio.get_running_loop())
        ports = HistorianPorts(self.engine.bus, self.engine.log, clock)
        historian = Historian(ports, subjects=SUBJECTS, shards=1, where="sqlite:///there", config=CONFIG)
        historian.notice = self.notices
        if opens:
            historian.opened(self.ledger, lambda: self.positions)
        self._running.append(asyncio.create_task(historian.run()))
        return historian

    async def stop(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._running.clear()


def with_past(scenario: Callable[[Past], Awaitable[None]]) -> None:
    async def main() -> None:
        cluster = MemoryCluster()
        past = Past(cluster, await start_client(cluster))
        await past.engine.log.create(LOG)
        await past.dispatcher.start()
        await scenario(past)
        await past.stop()
        await past.client.close()

    run_virtual(main)


def ended(number: int, *, value: bytes = b"\xc0", finished_ms: int = 0) -> TaskView:
    return TaskView(
        f"T{number:04}", "text", TaskState.SUCCEEDED, 1, 1, 4, 1, finished_ms=finished_ms, value=value
    )
