"""History in a node: the projector that writes the ledger, and beside it the historian that answers from it.

Both are one role of the assignment record, so whoever writes also knows how far it has come. The ledger is opened anew
in each term, and that it is away keeps nobody else from running: it is tried again, and the historian says why there
is no answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from msgspec import structs

from ohmesh.assembly.data_directory import Shape
from ohmesh.assembly.settings import data_directory
from ohmesh.assembly.system import SystemClock
from ohmesh.config import Config
from ohmesh.engines.ledger import LedgerConfig, checked_ledger, open_ledger
from ohmesh.engines.nats.engine import NatsEngine
from ohmesh.errors import Backpressure, EngineError, InvalidArgument
from ohmesh.model.subject import Subjects
from ohmesh.ports.ledger import Ledger
from ohmesh.roles.historian import Historian
from ohmesh.roles.historian_config import HistorianConfig, HistorianPorts
from ohmesh.roles.projector import Projector, ProjectorPorts
from ohmesh.roles.projector_config import ProjectorConfig

Notice = Callable[[str], None]


def ledger_url(config: Config) -> str:
    """May hold a password: never shown."""
    return config.mesh.ledger or data_directory(config).ledger_url


class HistoryRole:
    """What a node runs under the name `projector`."""

    def __init__(self, config: Config, engine: NatsEngine, shape: Shape, notice: Notice) -> None:
        self._config = config
        self._engine = engine
        self._shards = shape.shards
        self._mesh_id = shape.id
        self._subjects = Subjects(config.mesh.name)
        self._notice = notice

    async def run(self, term: int) -> None:
        """Until it is cancelled."""
        historian = await self._historian()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(historian.run(), name="historian")
                await self._project(term, historian)
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _historian(self) -> Historian:
        historian = Historian(
            HistorianPorts(self._engine.bus, self._engine.log, SystemClock()),
            subjects=self._subjects,
            shards=self._shards,
            where=await checked_ledger(ledger_url(self._config)),
            config=self._config.of(HistorianConfig),
        )
        historian.notice = self._notice
        return historian

    async def _project(self, term: int, historian: Historian) -> None:
        engine = self._engine
        ledger = await self._opened(historian)
        try:
            ports = ProjectorPorts(engine.log, engine.blobs, engine.state, ledger, SystemClock())
            settings = self._config.of(ProjectorConfig)
            projector = Projector(ports, subjects=self._subjects, shards=self._shards, config=settings)
            projector.notice = self._notice
            historian.opened(ledger, projector.positions)
            await projector.run(term)
        finally:
            historian.closed()
            await ledger.close()

    async def _opened(self, historian: Historian) -> Ledger:
        """However long the ledger is away, refuses us or is missing: somebody can mend that while the mesh goes on."""
        settings = self._config.of(ProjectorConfig)
        bounds = self._config.of(LedgerConfig)
        # Each shard may have one batch on its way, and asks while it begins: that is nobody's pressure.
        bounds = structs.replace(
            bounds,
            waiting_records_max=max(bounds.waiting_records_max, self._shards),
            waiting_reads_max=max(bounds.waiting_reads_max, 2 * self._shards),
        )
        pause_ms, said = settings.retry_ms, ""
        while True:
            try:
                ledger = await open_ledger(ledger_url(self._config), bounds, mesh_id=self._mesh_id)
            except (EngineError, Backpressure, InvalidArgument) as error:
                words = f"The ledger cannot be opened: {error}"
            else:
                if said:
                    self._notice("The ledger is open now; history catches up.")
                return ledger
            historian.refused(words)
            if words != said:
                self._notice(f"{words} It is tried again; tasks go on meanwhile.")
                said = words
            await asyncio.sleep(pause_ms / 1000)
            pause_ms = min(2 * pause_ms, settings.retry_max_ms)
