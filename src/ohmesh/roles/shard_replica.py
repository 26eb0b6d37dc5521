"""Where a projector begins to fold: the newest snapshot that history has passed, or the log's first entry.

A snapshot counts when it is of this log as it is now: the entry it was taken after has the digest noted in it, or, if
that was trimmed, the next entry names that digest. After a lost tail blobs of the former log may still lie around.
"""

from __future__ import annotations

from collections.abc import Callable

from ohmesh.errors import LogCorrupt
from ohmesh.ports.log import Bounds, Entry
from ohmesh.protocols.queue.history import History
from ohmesh.protocols.queue.rows import decode_log_frame, digest
from ohmesh.protocols.queue.task_table import TaskTable
from ohmesh.roles.projector_config import ProjectorConfig, ProjectorPorts
from ohmesh.roles.shard_loader import read_snapshot, snapshot_prefix, snapshot_sequence


class ShardReplica:
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
        self._shard = shard
        self._notice = notice

    async def bounds(self) -> Bounds:
        return await self._ports.log.bounds(self._log)

    async def read(self, first: int, limit: int) -> list[Entry]:
        return await self._ports.log.read(self._log, first=first, limit=limit)

    async def before(
        self, position: int, bounds: Bounds, knows_epoch: Callable[[int], bool]
    ) -> History | None:
        """The fold at the newest point that history has passed; None when the log does not reach back to one. What
        was made in an epoch that history has not heard of is of a log that was written anew."""
        for key in reversed(await self._snapshots(bounds)):
            history = await self._of_this_log(key, bounds) if snapshot_sequence(key) <= position else None
            if history is not None and knows_epoch(history.table.epoch):
                return history
        return self._begin(TaskTable(), 0, b"") if bounds.first <= 1 else None

    async def after(self, position: int, bounds: Bounds) -> History | None:
        """The fold at the oldest snapshot after `position`: all that is left where the log does not reach back."""
        for key in await self._snapshots(bounds):
            history = await self._of_this_log(key, bounds) if snapshot_sequence(key) > position else None
            if history is not None:
                return history
        return None

    async def at(self, key: str, upto: History) -> History | None:
        """The fold from the snapshot `key`, brought to where `upto` is. None when that does not lead there."""
        history = await self._restored(key)
        try:
            while history is not None and history.sequence < upto.sequence:
                limit = min(self._config.stretch_frames, upto.sequence - history.sequence)
                entries = await self.read(history.sequence + 1, limit)
                if not entries:
                    return None
                for entry in entries:
                    frame = history.check(entry.sequence, entry.data)
                    history.apply(entry.sequence, entry.data, frame, silent=True)
        except LogCorrupt as error:
            self._notice(f"Snapshot {key} does not lead on: {error}")
            return None
        if history is None or (history.sequence, history.previous) != (upto.sequence, upto.previous):
            return None
        return history

    def astray(self, before: int) -> History:
        """A fold that knows nothing and waits for a snapshot; the next entry is the one after `before`."""
        history = self._begin(TaskTable(), before, None)
        history.astray_since = max(1, before)
        return history

    async def _snapshots(self, bounds: Bounds) -> list[str]:
        """Keys of those that the log reaches back to, oldest first."""
        keys = await self._ports.blobs.list(snapshot_prefix(self._shard))
        usable = [key for key in keys if bounds.first - 1 <= snapshot_sequence(key) <= bounds.last]
        return sorted(usable, key=snapshot_sequence)

    async def _restored(self, key: str) -> History | None:
        try:
            found = await read_snapshot(self._ports.blobs, key)
            return self._begin(*found) if found is not None else None
        except LogCorrupt as error:
            self._notice(f"Snapshot {key} is passed over: {error}")
            return None

    async def _of_this_log(self, key: str, bounds: Bounds) -> History | None:
        history = await self._restored(key)
        if history is None:
            return None
        try:
            return history if await self._is_of_this_log(history, bounds) else None
        except LogCorrupt:
            # The entry that would prove it cannot be read; it is told of when the fold comes there.
            return None

    async def _is_of_this_log(self, history: History, bounds: Bounds) -> bool:
        sequence = history.sequence
        if not bounds.first - 1 <= sequence <= bounds.last:
            return False
        if sequence == bounds.last < bounds.first:
            return True
        witness = max(sequence, bounds.first)
        entries = await self.read(witness, 1)
        if not entries or entries[0].sequence != witness:
            return False
        data = entries[0].data
        named = digest(data) if witness == sequence else decode_log_frame(data, witness).previous
        return named == history.previous

    def _begin(self, table: TaskTable, sequence: int, previous: bytes | None) -> History:
        return History(
            self._log, table, sequence=sequence, previous=previous, max_attempts=self._config.max_attempts
        )
