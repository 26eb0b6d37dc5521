"""Follows one shard's log into the ledger, for ever.

    base (snapshot or beginning) -> entries up to the ledger's position, silently -> stretches, recorded one by one
      ^                                                                                    |
      `---- the log ends before us, an entry does not follow, another has recorded <-------'

Every doubt has one answer: begin again from what ledger and log hold. So nothing is remembered between lives, and
stopping at any point changes nothing of what is written. Three things are told apart on the way:

* the log was cut and written anew (an epoch begins, at or before the ledger's position, of which the ledger has not
  heard): history goes on from there under another source;
* an entry does not follow although nothing was cut: `log_corrupt` is recorded, and history goes on from the next
  snapshot, whose ended tasks are recorded where the ledger does not have them;
* the log begins after our position: `history_gap`, and likewise.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ohmesh.errors import Backpressure, EngineError, EngineUnavailable, LogCorrupt, SequenceConflict
from ohmesh.model.task import TaskView
from ohmesh.ports.log import Entry
from ohmesh.protocols.queue.history import Happening, History
from ohmesh.roles.projector_config import ProjectorConfig, ProjectorPorts
from ohmesh.roles.shard_record import ShardRecord
from ohmesh.roles.shard_replica import ShardReplica


class ShardFollower:
    def __init__(
        self,
        ports: ProjectorPorts,
        config: ProjectorConfig,
        *,
        log: str,
        shard: int,
        notice: Callable[[str], None],
    ) -> None:
        self._ports = ports
        self._config = config
        self._log = log
        self._notice = notice
        self._record = ShardRecord(ports, config, log=log, shard=shard, notice=notice)
        self._replica = ShardReplica(ports, config, log=log, shard=shard, notice=notice)
        self.knows_position = False
        self._history: History | None = None
        self._limit = config.stretch_frames
        self._suspect = 0
        self._recorded_ms = 0
        self._complaint = ""

    @property
    def position(self) -> int:
        """The last sequence of the log whose history is safe in the ledger; 0 before `knows_position`."""
        return self._record.known_to

    async def run(self) -> None:
        pause_ms, retry_ms = self._config.poll_ms, self._config.retry_ms
        while True:
            _honour_cancellation()
            try:
                is_busy, has_news = await self._step()
            except SequenceConflict as error:
                self._notice(f"{error}")
                self._history, is_busy, has_news = None, False, True
            except (EngineError, Backpressure) as error:
                self._complain(f"The projector of {self._log} waits: {error}")
                await asyncio.sleep(retry_ms / 1000)
                retry_ms = min(2 * retry_ms, self._config.retry_max_ms)
                continue
            self._complaint, retry_ms = "", self._config.retry_ms
            pause_ms = self._config.poll_ms if has_news else min(2 * pause_ms, self._config.poll_idle_ms)
            await asyncio.sleep(0 if is_busy else pause_ms / 1000)

    async def _step(self) -> tuple[bool, bool]:
        """One stretch; returns whether the next is due at once, and whether there was anything new."""
        history = self._history or await self._begin()
        if history.named_snapshot is not None:
            await self._adopt(history, history.named_snapshot.key)
            return True, True
        limit = self._limit
        entries = await self._replica.read(history.sequence + 1, limit)
        if not entries:
            await self._check_end(history)
        elif entries[0].sequence > history.sequence + 1:
            self._history = await self._bridge_gap()
        else:
            await self._fold(history, entries)
        # What came up to a snapshot that is needed is recorded together with what the snapshot brings.
        if self._history is not history or history.named_snapshot is not None:
            return True, True
        await self._flush(history)
        is_behind = len(entries) >= limit or (bool(entries) and history.sequence < entries[-1].sequence)
        return is_behind, bool(entries)

    async def _begin(self) -> History:
        await self._ports.log.create(self._log)
        await self._record.load()
        self.knows_position = True
        await self._record.publish(at_once=True)
        bounds = await self._replica.bounds()
        history = await self._replica.before(self._record.known_to, bounds, self._record.knows_epoch)
        self._history = history or await self._bridge_gap()
        return self._history

    async def _check_end(self, history: History) -> None:
        bounds = await self._replica.bounds()
        if bounds.last < history.sequence:
            self._notice(f"Log {self._log} ends at {bounds.last}; we had read it up to {history.sequence}.")
            self._history = None

    async def _fold(self, history: History, entries: list[Entry]) -> None:
        """Take entries in until the stretch is full, a snapshot is to be adopted, or one does not follow."""
        self._limit = self._next_limit(entries)
        folded_bytes = 0
        for entry in entries:
            try:
                self._take_in(history, entry)
            except LogCorrupt as error:
                await self._break(history, entry, error)
                return
            if history.named_snapshot is not None or len(history.tasks) >= self._config.stretch_tasks:
                return
            folded_bytes += len(entry.data)
            if folded_bytes >= self._config.yield_bytes:
                folded_bytes = 0
                await asyncio.sleep(0)

    def _take_in(self, history: History, entry: Entry) -> None:
        frame = history.check(entry.sequence, entry.data)
        if entry.sequence <= self._record.known_to:
            opening = history.opening(entry.sequence, entry.data, frame)
            if opening is not None and not self._record.is_known(opening):
                lost = self._record.branch(opening.sequence)
                self._notice(lost)
                history.happenings.append(Happening(opening.at_ms, "tail_lost", self._log, lost))
        history.apply(entry.sequence, entry.data, frame, silent=entry.sequence <= self._record.known_to)

    async def _break(self, history: History, entry: Entry, error: LogCorrupt) -> None:
        """The first time it is our replica that is doubted, and built anew; the second time it is the log."""
        if not history.astray_since and self._suspect != entry.sequence:
            self._suspect, self._history = entry.sequence, None
            return
        self._notice(f"{error}")
        history.stray(entry.sequence)
        if entry.sequence > self._record.known_to:
            history.note("log_corrupt", str(error))
            await self._write(history)

    async def _adopt(self, history: History, key: str) -> None:
        """A row named a snapshot of which this fold is in need: put it in the replica's place."""
        fresh = await self._replica.at(key, history)
        if fresh is None:
            history.named_snapshot = None
            return
        if history.sequence > self._record.known_to:
            recovered = await self._record.unrecorded(history.ended_elsewhere(fresh.table))
            fresh.tasks, fresh.happenings = history.take()
            await self._resume(fresh, recovered, key)
        self._history = fresh

    async def _bridge_gap(self) -> History:
        """The log does not reach back to where history ends: go on from a snapshot, or wait for one."""
        record, bounds = self._record, await self._replica.bounds()
        history = await self._replica.before(record.known_to, bounds, record.knows_epoch)
        if history is not None:
            return history
        gap = f"Log {self._log} begins at entry {bounds.first}, history ends at entry {record.known_to}."
        history = await self._replica.after(record.known_to, bounds)
        if history is None and (history := await self._replica.after(0, bounds)) is not None:
            if record.knows_epoch(history.table.epoch):
                raise EngineUnavailable(
                    f"Log {self._log} was trimmed while it was read.", hint="It is read again."
                )
            # Only snapshots of an epoch that history has not heard of: the log was written anew, and then trimmed.
            gap = record.branch(history.sequence)
        astray = self._replica.astray(bounds.first - 1)
        if history is None:
            self._notice(f"{gap} No snapshot leads over it yet.")
            return astray
        self._notice(gap)
        recovered = await record.unrecorded(astray.ended_elsewhere(history.table))
        history.note("history_gap", gap)
        await self._resume(history, recovered, f"after entry {history.sequence}")
        return history

    async def _resume(self, history: History, recovered: list[TaskView], where: str) -> None:
        """Record what the snapshot knew and the ledger did not, in batches that it takes. Each needs a position of its
        own, and there are as many as entries were passed. What was gathered before goes first."""
        record, most = self._record, self._config.recovered_tasks
        kept = recovered[-most * (history.sequence - record.known_to) :]
        story = f"{len(recovered)} ended tasks were known to the snapshot {where} only"
        story += f", of which the oldest {len(recovered) - len(kept)} are left out."
        while len(kept) > most:
            tasks, happenings = history.take()
            await record.record(record.known_to + 1, [*tasks, *kept[:most]], happenings)
            kept = kept[most:]
        history.tasks += kept
        history.meet_epoch(where)
        history.note("history_resumed", story)
        await self._write(history)

    async def _flush(self, history: History) -> None:
        """Record what was gathered; a position alone only now and then, and never while we are astray."""
        now_ms = self._ports.clock.monotonic_ms()
        has_news = bool(history.tasks or history.happenings)
        is_due = not history.astray_since and now_ms - self._recorded_ms >= self._config.publish_every_ms
        if history.sequence > self._record.known_to and (has_news or is_due):
            await self._write(history)
        await self._record.publish()

    async def _write(self, history: History) -> None:
        tasks, happenings = history.take()
        try:
            await self._record.record(history.sequence, tasks, happenings)
        except SequenceConflict:
            self._history = None
            raise
        self._recorded_ms = self._ports.clock.monotonic_ms()

    def _next_limit(self, entries: list[Entry]) -> int:
        average_bytes = sum(len(entry.data) for entry in entries) // len(entries) + 1
        return max(1, min(self._config.stretch_frames, self._config.stretch_bytes // average_bytes))

    def _complain(self, words: str) -> None:
        """Say it once, not at each of a thousand tries."""
        if words != self._complaint:
            self._complaint = words
            self._notice(words)


def _honour_cancellation() -> None:
    """A call may have lost it: asyncio.wait_for does, before Python 3.12, when its result comes in the same moment."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
