"""A ledger in memory for tests in virtual time (a real one has threads, which the simulator refuses).

It keeps the contract of the port: one transaction, a reached position changes nothing, `follows` is checked. And it can
be away, or do what it was asked and lose the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ohmesh.errors import EngineUnavailable, SequenceConflict
from ohmesh.model.task import TaskView
from ohmesh.ports.ledger import Batch, ChainVerdict, Event, TaskHistoryPage, TaskQuery


class MemoryLedger:
    def __init__(self, *, takes_s: float = 0.002) -> None:
        self.batches: list[Batch] = []
        self.is_away = False
        self.loses_answers = 0
        self.refusals = 0
        self._takes_s = takes_s

    @property
    def rows(self) -> list[TaskView]:
        return [task for batch in self.batches for task in batch.tasks]

    @property
    def all_events(self) -> list[Event]:
        return [event for batch in self.batches for event in batch.events]

    def position_of(self, source: str) -> int:
        return max((batch.position for batch in self.batches if batch.source == source), default=0)

    async def position(self, source: str) -> int:
        await self._answer()
        return self.position_of(source)

    async def record(self, batch: Batch) -> None:
        await self._answer()
        reached = self.position_of(batch.source)
        if batch.position > reached:
            if batch.follows not in (-1, reached):
                raise SequenceConflict(
                    f"{batch.source} is at {reached}", expected=batch.follows, last=reached
                )
            self.batches.append(batch)
        if self.loses_answers:
            self.loses_answers -= 1
            raise EngineUnavailable("The ledger did as it was told and its answer got lost.")
        await asyncio.sleep(self._takes_s)

    async def tasks(self, query: TaskQuery) -> TaskHistoryPage:
        await self._answer()
        wanted = [task for task in self.rows if not query.task_ids or task.task_id in query.task_ids]
        start = int(query.after or 0)
        page = wanted[start : start + query.limit]
        return TaskHistoryPage(page, str(start + len(page)) if start + len(page) < len(wanted) else "")

    async def events(self, *, kind: str = "", limit: int = 100) -> Sequence[Event]:
        await self._answer()
        return [event for event in reversed(self.all_events) if kind in ("", event.kind)][:limit]

    async def verify(self) -> ChainVerdict:
        return ChainVerdict(len(self.batches), len(self.rows) + len(self.all_events))

    async def close(self) -> None:
        await self._answer()

    async def _answer(self) -> None:
        await asyncio.sleep(self._takes_s)
        if self.is_away:
            self.refusals += 1
            raise EngineUnavailable("The disk of the ledger is full.")
