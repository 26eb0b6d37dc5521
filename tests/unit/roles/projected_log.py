"""A shard's log in a simulated world, somebody who writes it, and a projector that follows it into a ledger."""

from __future__ import annotations

import asyncio
from collections import Counter

from ohmesh.model.subject import Subjects
from ohmesh.ports.log import Entry
from ohmesh.roles.projector import Projector
from ohmesh.roles.projector_config import ProjectorConfig, ProjectorPorts
from ohmesh.simulator.process import Process
from ohmesh.simulator.world import World
from tests.unit.protocols.queue.log_maker import End, LogMaker
from tests.unit.roles.memory_ledger import MemoryLedger

SUBJECTS = Subjects("simulated")
LOG = SUBJECTS.log(0)
CONFIG = ProjectorConfig(stretch_frames=5, stretch_tasks=6, recovered_tasks=7, publish_every_frames=10)
# Told by the projector about its own way, not by a row of the log.
OF_ITS_OWN = {"epoch_met", "history_gap", "history_resumed", "log_corrupt", "tail_lost"}
CAUGHT_UP_S = 30.0


class ProjectedLog:
    """`maker` is the log as it should be; `write` brings the engine's up to it."""

    def __init__(self, world: World, maker: LogMaker, *, config: ProjectorConfig = CONFIG) -> None:
        self.world = world
        self.maker = maker
        self.config = config
        self.ledger = MemoryLedger()
        self.notices: list[str] = []
        self._engine = world.cluster.connect("writer")

    async def create(self) -> None:
        await self._engine.log.create(LOG)

    @property
    def stored_last(self) -> int:
        return self.world.cluster.logs.named(LOG).bounds.last

    async def write(self, *, to: int = 0) -> None:
        """Append what the maker has made, up to entry `to` (0: all)."""
        for sequence in range(self.stored_last + 1, (to or self.maker.last) + 1):
            data = self.maker.made[sequence - 1].data
            await self._engine.log.append(LOG, data, expected=sequence - 1)

    async def snapshot(self) -> str:
        """Store the blob of the table as it is and name it in the log, as a dispatcher does."""
        key, blob = self.maker.snapshot()
        await self._engine.blobs.put(key, blob)
        self.maker.name(key)
        return key

    async def trim(self, *, before: int) -> None:
        await self._engine.log.trim(LOG, before=before)

    async def trim_as_allowed(self) -> None:
        """What a dispatcher does: up to the newest snapshot that the published position has passed."""
        entry = await self._engine.state.get("projector.0")
        published = int(entry.value) if entry is not None and entry.value else 0
        keys = [key for key in await self._engine.blobs.list("snapshot.0.") if _at(key) <= published]
        if keys:
            await self.trim(before=_at(max(keys)) + 1)
            for key in sorted(keys)[:-1]:
                await self._engine.blobs.delete(key)

    def spoil(self, sequence: int, data: bytes) -> None:
        """The disk gives back something else than was written."""
        entries = self.world.cluster.logs.named(LOG).entries
        at = sequence - entries[0].sequence
        entries[at] = Entry(sequence, data)

    def start(self) -> None:
        self.world.start("projector", self._main)

    async def caught_up(self, *, source: str = LOG, to: int = 0) -> None:
        """Wait until the ledger has the source up to entry `to` (0: the log's last)."""
        deadline_s = self.world.loop.time() + CAUGHT_UP_S
        while self.ledger.position_of(source) < (to or self.stored_last):
            at = f"{source} at {self.ledger.position_of(source)} of {to or self.stored_last}"
            assert self.world.loop.time() < deadline_s, f"{at}; {self.notices[-5:]}"
            await asyncio.sleep(0.05)

    def told(self) -> list[End]:
        return [(task.task_id, task.state.value, task.finished_ms, task.value) for task in self.ledger.rows]

    def told_happenings(self) -> list[tuple[str, str]]:
        events = (event for event in self.ledger.all_events if event.kind not in OF_ITS_OWN)
        return [(event.kind, "log" if event.subject == LOG else event.subject) for event in events]

    def own_events(self) -> Counter[str]:
        return Counter(event.kind for event in self.ledger.all_events if event.kind in OF_ITS_OWN)

    def check_whole(self) -> None:
        """Everything the log means is told once and in order, and nothing else is."""
        assert self.told() == self.maker.ends()
        assert self.told_happenings() == self.maker.happenings()
        assert not self.own_events()

    async def _main(self, process: Process) -> None:
        engine = process.engine
        ports = ProjectorPorts(engine.log, engine.blobs, engine.state, self.ledger, process.clock)
        projector = Projector(ports, subjects=SUBJECTS, shards=1, config=self.config)
        projector.notice = self.notices.append
        await projector.run(1)


def _at(key: str) -> int:
    return int(key.rpartition(".")[2])
