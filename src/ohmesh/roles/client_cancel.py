"""Cancelling with an answer: an id is asked to its shard until the shard has said what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from enum import Enum

from ohmesh.errors import MeshUnreachable
from ohmesh.model.message import CancelAnswer
from ohmesh.roles.client_config import ClientConfig
from ohmesh.roles.client_lane import Lane


class Verdict(Enum):
    CANCELLED = "cancelled"
    TOO_LATE = "too_late"
    UNKNOWN = "unknown"


class Cancellations:
    """Questions that are open, one future for each waiting caller and id."""

    def __init__(self, lanes: Sequence[Lane], config: ClientConfig) -> None:
        self._lanes = lanes
        self._config = config
        self._open: dict[str, list[asyncio.Future[Verdict]]] = {}

    async def ask(self, places: dict[str, int], timeout_s: float) -> CancelAnswer:
        """Cancel the tasks of `places` (id -> shard). Safe to repeat, so it is repeated until answered.

        MeshUnreachable names those that nobody answered for; they may be cancelled all the same.
        """
        loop = asyncio.get_running_loop()
        futures: dict[str, asyncio.Future[Verdict]] = {task_id: loop.create_future() for task_id in places}
        for task_id, future in futures.items():
            self._open.setdefault(task_id, []).append(future)
        try:
            await self._repeat(futures, places, loop.time() + timeout_s)
        finally:
            for task_id, future in futures.items():
                self._close(task_id, future)
        silent = [task_id for task_id, future in futures.items() if not future.done()]
        if silent:
            raise MeshUnreachable(
                f"Nobody said within {timeout_s:g} s whether {len(silent)} of {len(places)} tasks are cancelled, "
                f"such as {silent[0]}.",
                hint="Cancelling is safe to repeat; `ohmesh doctor` says what is wrong with the mesh.",
            )
        return _answer({task_id: future.result() for task_id, future in futures.items()})

    def receive(self, answer: CancelAnswer) -> None:
        for verdict, task_ids in (
            (Verdict.CANCELLED, answer.cancelled),
            (Verdict.TOO_LATE, answer.too_late),
            (Verdict.UNKNOWN, answer.unknown),
        ):
            for task_id in task_ids:
                for future in self._open.get(task_id, ()):
                    if not future.done():
                        future.set_result(verdict)

    async def _repeat(
        self, futures: dict[str, asyncio.Future[Verdict]], places: dict[str, int], deadline_s: float
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            waiting = [task_id for task_id, future in futures.items() if not future.done()]
            remaining_s = deadline_s - loop.time()
            if not waiting or remaining_s <= 0:
                return
            for shard, lane in enumerate(self._lanes):
                lane.cancel(task_id for task_id in waiting if places[task_id] == shard)
            pause_s = min(remaining_s, self._config.retry_min_ms / 1000)
            await asyncio.wait([futures[task_id] for task_id in waiting], timeout=pause_s)

    def _close(self, task_id: str, future: asyncio.Future[Verdict]) -> None:
        waiting = self._open[task_id]
        waiting.remove(future)
        if not waiting:
            del self._open[task_id]


def _answer(verdicts: dict[str, Verdict]) -> CancelAnswer:
    def of(wanted: Verdict) -> list[str]:
        return [task_id for task_id, verdict in verdicts.items() if verdict is wanted]

    return CancelAnswer(of(Verdict.CANCELLED), of(Verdict.TOO_LATE), of(Verdict.UNKNOWN))
