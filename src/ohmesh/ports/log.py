"""The log: durable, ordered, and fenced by sequence. One writer is right at a time; the expected sequence says who.

Sequences start at 1 and have no gaps from the first kept entry on. What was acknowledged survives the death of any
process; what a power cut may take depends on the engine's durability.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Entry:
    sequence: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Bounds:
    """`first` is the lowest sequence kept, `last` the highest ever written; an empty log has first = last + 1."""

    first: int
    last: int


class Log(Protocol):
    async def create(self, name: str) -> None:
        """Make the log unless it exists. Raises EngineFailed when it exists with other settings."""
        ...

    async def append(self, name: str, data: bytes, *, expected: int) -> int:
        """One try to write `data` at `expected` + 1; returns that sequence.

        Raises SequenceConflict when the log ends elsewhere (perhaps because an earlier try of ours landed), and
        AppendUnresolved when no answer came: it may or may not have landed, and may still land. Never buffers
        while disconnected: then AppendUnresolved comes at once.
        """
        ...

    async def read(self, name: str, *, first: int, limit: int) -> list[Entry]:
        """Entries from sequence `first` (or the first kept one after it) on, at most `limit`; [] at the end.
        Reads what the writer's own server has committed, so an acknowledged append is always seen."""
        ...

    async def bounds(self, name: str) -> Bounds: ...

    async def trim(self, name: str, *, before: int) -> None:
        """Drop every entry with a sequence lower than `before`; the last entry always stays."""
        ...
