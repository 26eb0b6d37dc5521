"""The log behind its snapshot, and the configurations that stand in it.

Invariants: entry i stands at `entries[i - first]`; `snapshot.index < first`, with no gap; `stable` is the last index
that is on disk as it stands here; what is committed is never cut off; the configuration in force is the last in the
log, committed or not (section 6), so cutting entries off may bring an earlier one back.
"""

from __future__ import annotations

from collections.abc import Sequence

from ohmesh.protocols.consensus.raft.configuration import Configuration, decode_configuration
from ohmesh.protocols.consensus.raft.messages import Entry, EntryKind, Snapshot

ENTRY_OVERHEAD_BYTES = 16


class RaftLog:
    def __init__(self, snapshot: Snapshot, entries: Sequence[Entry] = ()) -> None:
        self.snapshot = snapshot
        self.committed = snapshot.index
        self.applied = snapshot.index
        self._entries: list[Entry] = []
        self._offset = snapshot.index  # entries[i] is number offset + 1 + i
        self._offset_term = snapshot.term
        self._configurations: list[tuple[int, Configuration]] = [(snapshot.index, snapshot.configuration)]
        self.append(entries)
        self.stable = self.last_index

    @property
    def first_index(self) -> int:
        return self._offset + 1

    @property
    def last_index(self) -> int:
        return self._offset + len(self._entries)

    @property
    def last_term(self) -> int:
        return self._entries[-1].term if self._entries else self._offset_term

    @property
    def configuration(self) -> Configuration:
        return self._configurations[-1][1]

    @property
    def configuration_index(self) -> int:
        return self._configurations[-1][0]

    @property
    def committed_configuration(self) -> Configuration:
        return self.configuration_at(self.committed)

    def configuration_at(self, index: int) -> Configuration:
        return next(each for at, each in reversed(self._configurations) if at <= index)

    def term_at(self, index: int) -> int | None:
        """None: before the snapshot's trail or behind the end."""
        if index == self._offset:
            return self._offset_term
        if not self._offset < index <= self.last_index:
            return None
        return self._entries[index - self._offset - 1].term

    def entries_from(self, index: int, *, limit: int, limit_bytes: int) -> tuple[Entry, ...]:
        """At most `limit` entries and about `limit_bytes`, but at least one where there is one."""
        found: list[Entry] = []
        size = 0
        start = index - self._offset - 1
        for entry in self._entries[start : start + limit]:
            size += len(entry.data) + ENTRY_OVERHEAD_BYTES
            if found and size > limit_bytes:
                break
            found.append(entry)
        return tuple(found)

    def slice(self, after: int, until: int) -> tuple[Entry, ...]:
        return tuple(self._entries[after - self._offset : until - self._offset])

    def append(self, entries: Sequence[Entry]) -> int:
        for number, entry in enumerate(entries, self.last_index + 1):
            if entry.kind is EntryKind.CONFIGURATION:
                self._configurations.append((number, decode_configuration(entry.data)))
        self._entries.extend(entries)
        return self.last_index

    def cut(self, last_kept: int) -> None:
        """Drop everything behind `last_kept`."""
        assert last_kept >= self.committed, (
            f"entry {self.committed} is committed, {last_kept} is to be the last"
        )
        del self._entries[last_kept - self._offset :]
        self.stable = min(self.stable, last_kept)
        while self._configurations[-1][0] > last_kept:
            self._configurations.pop()

    def compact(self, index: int, data: bytes, *, trail: int) -> Snapshot:
        """The state machine stands at `index` and is `data`. The last `trail` entries before it stay, for those who
        are only a little behind."""
        term = self.term_at(index)
        assert term is not None, f"entry {index} is not in the log from {self._offset} to {self.last_index}"
        assert index <= self.applied, f"entry {index} has not been applied, the last one was {self.applied}"
        self.snapshot = Snapshot(index, term, self.configuration_at(index), data)
        self._drop_until(max(self._offset, index - trail))
        return self.snapshot

    def restore(self, snapshot: Snapshot) -> None:
        """Forget the log: this is what stands now."""
        self.snapshot = snapshot
        self._entries.clear()
        self._offset, self._offset_term = snapshot.index, snapshot.term
        self._configurations = [(snapshot.index, snapshot.configuration)]
        self.committed = self.stable = snapshot.index

    def _drop_until(self, index: int) -> None:
        term = self.term_at(index)
        assert term is not None
        del self._entries[: index - self._offset]
        self._offset, self._offset_term = index, term
        in_force = self.configuration_at(index)
        later = [(at, each) for at, each in self._configurations if at > index]
        self._configurations = [(index, in_force), *later]
