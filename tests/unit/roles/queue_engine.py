"""A memory engine in virtual time for one role under test: its faults are scripted, its log can be read beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from ohmesh.engines.memory.cluster import MemoryCluster, MemoryEngine
from ohmesh.engines.memory.faults import EngineFaults
from ohmesh.model.subject import Subjects
from ohmesh.protocols.queue.rows import LogFrame, Row, decode_log_frame
from ohmesh.roles.log_writer import LogWriter, LogWriterConfig
from ohmesh.roles.shard_loader import ShardSource
from ohmesh.simulator.entropy import SimulatedEntropy
from ohmesh.simulator.run import run_virtual

SUBJECTS = Subjects("m")
LOG = SUBJECTS.log(0)
DURABLE_EVERY_MS = 1_000.0

Result = TypeVar("Result")


def virtually(main: Callable[[QueueEngine], Coroutine[Any, Any, Result]]) -> Result:
    """Run `main(engine)` in virtual time, on an engine whose power cuts take what is younger than a second."""

    async def begin() -> Result:
        engine = QueueEngine()
        await engine.side.log.create(LOG)
        return await main(engine)

    return run_virtual(begin)


class QueueEngine:
    def __init__(self) -> None:
        faults = EngineFaults(durable_every_ms=DURABLE_EVERY_MS)
        self.cluster = MemoryCluster(faults=faults, seed=1, keeps_history=True)
        self.side = self.connect("side")
        self._writers = 0

    def connect(self, process: str) -> MemoryEngine:
        return self.cluster.connect(process)

    def writer(self, engine: MemoryEngine | None = None) -> LogWriter:
        self._writers += 1
        process = engine or self.connect(f"writer-{self._writers}")
        entropy = SimulatedEntropy(1, f"writer-{self._writers}")
        return LogWriter(process.log, LOG, entropy, LogWriterConfig())

    def source(self, engine: MemoryEngine | None = None) -> ShardSource:
        one = engine or self.side
        return ShardSource(one.log, one.blobs, one.state, LOG, 0)

    def frames(self) -> list[LogFrame]:
        """Every frame that is in the log, trimmed ones too."""
        return [decode_log_frame(entry.data, entry.sequence) for entry in self.cluster.history(LOG)]

    def rows(self) -> list[Row]:
        return [row for frame in self.frames() for row in frame.rows]

    async def time_passes(self, duration_s: float) -> None:
        await asyncio.sleep(duration_s)

    def cut_power(self) -> None:
        self.cluster.power_cut()
        self.cluster.start_server()
