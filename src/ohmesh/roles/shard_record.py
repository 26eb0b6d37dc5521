"""What the ledger has of one shard: up to where, under which source, and how more is added to it.

A log that lost its tail uses sequences again, and the ledger's positions only rise. So such a log goes on as another
source: `<log>`, then `<log>~1`, `<log>~2` for each tail that was lost with history already taken from it. What the
lost entries told stays in the ledger; it did happen. Which source is the present one is found by looking: the last one
that has a position.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence

from ohmesh.errors import Backpressure, EngineError, SequenceConflict
from ohmesh.model.task import TaskView
from ohmesh.ports.ledger import Batch, Event, TaskQuery
from ohmesh.protocols.queue.history import Happening, Opening
from ohmesh.roles.projector_config import ProjectorConfig, ProjectorPorts
from ohmesh.roles.shard_loader import projector_key

IDS_PER_QUERY = 500
_EPOCH = re.compile(r"Epoch (\d+) of ")


class ShardRecord:
    """`known_to`: entries up to here are history already. `recorded`: the present source's position in the ledger."""

    def __init__(
        self,
        ports: ProjectorPorts,
        config: ProjectorConfig,
        *,
        log: str,
        shard: int,
        notice: Callable[[str], None],
    ) -> None:
        self.source = log
        self.recorded = 0
        self.known_to = 0
        self._ports = ports
        self._config = config
        self._log = log
        self._shard = shard
        self._notice = notice
        self._generation = 0
        self._openings: frozenset[str] = frozenset()
        self._epochs: frozenset[int] = frozenset()
        self._oldest_epoch = 0
        self._published = -1
        self._published_ms = 0

    async def load(self) -> None:
        """Read from the ledger where history of this shard ends."""
        ledger = self._ports.ledger
        generation, position = 0, await ledger.position(self._log)
        while position and (later := await ledger.position(self._named(generation + 1))):
            generation, position = generation + 1, later
        self._generation, self.source = generation, self._named(generation)
        self.recorded = self.known_to = position
        self._openings, is_whole = await self._details("epoch_started")
        met, met_whole = await self._details("epoch_met")
        self._epochs = _epochs(met) | _epochs(self._openings)
        self._oldest_epoch = 0 if is_whole and met_whole else min(self._epochs, default=0)

    def is_known(self, opening: Opening) -> bool:
        """Whether the ledger has heard of this very beginning of an epoch. Epochs older than those that we asked for
        count as known."""
        return opening.epoch < self._oldest_epoch or opening.detail in self._openings

    def knows_epoch(self, epoch: int) -> bool:
        return epoch in self._epochs or epoch < self._oldest_epoch or epoch == 0

    def branch(self, sequence: int) -> str:
        """From this entry on the log is not the one that the ledger knows: go on from here as the next source."""
        lost_to = self.known_to
        self._generation += 1
        self.source = self._named(self._generation)
        self.recorded = 0
        self.known_to = sequence - 1
        self._published = -1
        return (
            f"Log {self._log} was written anew from entry {sequence} or before, when history had reached {lost_to}: a "
            f"power cut took its tail. What the lost entries told stays; history goes on as source {self.source}."
        )

    async def record(self, position: int, tasks: Sequence[TaskView], happenings: Sequence[Happening]) -> None:
        """Add one batch, however long the ledger is away. SequenceConflict: another projector has done so."""
        events = [Event(*each) for each in happenings]
        batch = Batch(self.source, position, tasks, events, self.recorded)
        pause_ms, failures = self._config.retry_ms, 0
        while True:
            try:
                await self._ports.ledger.record(batch)
                break
            except SequenceConflict:
                raise
            except (EngineError, Backpressure) as error:
                failures += 1
                if failures == 1:
                    self._notice(f"History of {self._log} falls behind at entry {self.recorded}: {error}")
            await asyncio.sleep(pause_ms / 1000)
            pause_ms = min(2 * pause_ms, self._config.retry_max_ms)
        self.recorded = self.known_to = position
        if failures:
            self._notice(
                f"The ledger records again: {self._log} up to entry {position}, after {failures} failures."
            )

    async def unrecorded(self, views: Sequence[TaskView]) -> list[TaskView]:
        """Those of these ends that the ledger does not have."""
        missing = []
        for start in range(0, len(views), IDS_PER_QUERY):
            some = views[start : start + IDS_PER_QUERY]
            present = await self._ends_of([task.task_id for task in some])
            missing += [task for task in some if (task.task_id, task.finished_ms) not in present]
        return missing

    async def publish(self, *, at_once: bool = False) -> None:
        """Tell the dispatcher up to where history is safe, now and then. Failing is no harm: the next time does it."""
        now_ms, position = self._ports.clock.monotonic_ms(), self.known_to
        behind = position - self._published
        is_due = (
            at_once
            or behind >= self._config.publish_every_frames
            or now_ms - self._published_ms >= self._config.publish_every_ms
        )
        if not behind or not is_due:
            return
        self._published_ms = now_ms
        await self._ports.state.put(projector_key(self._shard), b"%d" % position)
        self._published = position

    async def _ends_of(self, task_ids: Sequence[str]) -> set[tuple[str, int]]:
        ends: set[tuple[str, int]] = set()
        after = ""
        while True:
            query = TaskQuery(task_ids=task_ids, limit=IDS_PER_QUERY, after=after)
            page = await self._ports.ledger.tasks(query)
            ends.update((task.task_id, task.finished_ms) for task in page.tasks)
            after = page.after
            if not after:
                return ends

    async def _details(self, kind: str) -> tuple[frozenset[str], bool]:
        """What the ledger's newest events of this kind say about this log, and whether those are all there are."""
        limit = self._config.openings
        events = await self._ports.ledger.events(kind=kind, limit=limit)
        return frozenset(event.detail for event in events if event.subject == self._log), len(events) < limit

    def _named(self, generation: int) -> str:
        return f"{self._log}~{generation}" if generation else self._log


def _epochs(details: frozenset[str]) -> frozenset[int]:
    return frozenset(int(found[1]) for detail in details if (found := _EPOCH.match(detail)))
