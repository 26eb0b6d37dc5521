"""The projector on a real ledger: SQLite, in a real loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ohmesh.engines.ledger import open_ledger
from ohmesh.engines.memory.cluster import MemoryCluster
from ohmesh.model.subject import Subjects
from ohmesh.model.task import TaskView
from ohmesh.ports.ledger import Event, Ledger, TaskQuery
from ohmesh.roles.projector import Projector
from ohmesh.roles.projector_config import ProjectorConfig, ProjectorPorts
from ohmesh.simulator.clock import SimulatedClock
from tests.unit.protocols.queue.log_maker import LogMaker
from tests.waiting import eventually

SUBJECTS = Subjects("real")
LOG = SUBJECTS.log(0)
CONFIG = ProjectorConfig(poll_ms=1, poll_idle_ms=10, stretch_frames=7, stretch_tasks=9, publish_every_ms=5)
Run = Callable[[Coroutine[Any, Any, None]], None]


class Follower:
    """A log in memory, a ledger in a file, and projectors that come and go."""

    def __init__(self, cluster: MemoryCluster, ledger: Ledger) -> None:
        self.engine = cluster.connect("projector")
        self.ledger = ledger
        self.task: asyncio.Task[None] | None = None
        self.projector: Projector | None = None

    async def restart(self) -> None:
        await self.stop()
        clock = SimulatedClock(asyncio.get_running_loop())
        ports = ProjectorPorts(self.engine.log, self.engine.blobs, self.engine.state, self.ledger, clock)
        self.projector = Projector(ports, subjects=SUBJECTS, shards=1, config=CONFIG)
        self.task = asyncio.create_task(self.projector.run(1))

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)

    def reached(self, position: int) -> bool:
        assert self.task is not None
        assert not self.task.done()
        return self.projector is not None and self.projector.positions().get(0, 0) >= position

    async def history(self) -> tuple[list[TaskView], list[Event]]:
        page = await self.ledger.tasks(TaskQuery(limit=1000))
        assert not page.after
        return sorted(page.tasks, key=lambda task: task.task_id), sorted(
            await self.ledger.events(limit=1000), key=repr
        )


async def follow(
    cluster: MemoryCluster, path: Path, *, restarts: int, rng: Random
) -> tuple[list[TaskView], list[Event]]:
    ledger = await open_ledger(f"sqlite:///{path}")
    try:
        follower = Follower(cluster, ledger)
        last = cluster.logs.named(LOG).bounds.last
        await follower.restart()
        for point in sorted(rng.randint(1, last) for _ in range(restarts)):
            await eventually(partial(follower.reached, point), what=f"entry {point} in the ledger")
            await follower.restart()
        await eventually(lambda: follower.reached(last), what="the whole log in the ledger")
        await follower.stop()
        verdict = await ledger.verify()
        assert verdict.broken_at == 0
        return await follower.history()
    finally:
        await ledger.close()


@pytest.mark.parametrize("seed", range(4))
def test_the_ledger_is_the_same_however_often_its_writer_was_replaced(
    run: Run, tmp_path: Path, seed: int
) -> None:
    async def main() -> None:
        cluster, maker, rng = MemoryCluster(), LogMaker(seed), Random(seed)
        engine = cluster.connect("writer")
        await engine.log.create(LOG)
        for _ in range(4):
            maker.add(20)
            key, blob = maker.snapshot()
            await engine.blobs.put(key, blob)
            maker.name(key)
        for before, data in enumerate(maker.data()):
            await engine.log.append(LOG, data, expected=before)
        at_once = await follow(cluster, tmp_path / "once.db", restarts=0, rng=rng)
        in_pieces = await follow(cluster, tmp_path / "pieces.db", restarts=6, rng=rng)
        assert in_pieces == at_once
        assert [(task.task_id, task.finished_ms) for task in at_once[0]] == sorted(
            end[::2][:2] for end in maker.ends()
        )

    run(main())
