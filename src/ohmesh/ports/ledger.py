"""The ledger: history for people and audits. Append-only, hash-chained, a projection that can be rebuilt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from ohmesh.model.task import TaskView


class Event(Struct, frozen=True):
    """Something worth keeping that is not a task's end: an epoch, a host come or gone, a lost tail, a snapshot."""

    at_ms: int
    kind: str
    subject: str
    detail: str = ""


class Batch(Struct, frozen=True):
    """What one stretch of a source's log means to history. `position`: the last sequence it covers.

    follows: the position after which the stretch begins. A projector gives it, so that of two that read the same log
    only one writes; -1 is not checked.
    """

    source: str
    position: int
    tasks: Sequence[TaskView] = ()
    events: Sequence[Event] = ()
    follows: int = -1


class TaskQuery(Struct, frozen=True):
    """All given conditions hold; `after` is the cursor of the page before; newest first by the time of the end.

    since_ms <= finished_ms < until_ms; 0 is no bound.
    """

    task_ids: Sequence[str] = ()
    kind: str = ""
    state: str = ""
    host: str = ""
    since_ms: int = 0
    until_ms: int = 0
    limit: int = 100
    after: str = ""


class TaskHistoryPage(Struct, frozen=True):
    tasks: Sequence[TaskView]
    after: str = ""


class ChainVerdict(Struct, frozen=True):
    """`broken_at` is the number of the first batch whose hash does not follow, 0 when the chain is whole.

    batches, entries: what was found whole. head: the last hash of that, in hexadecimal; kept elsewhere, it shows later
    whether the newest batches were cut off, which a chain cannot show by itself.
    """

    batches: int
    entries: int
    broken_at: int = 0
    head: str = ""


class Ledger(Protocol):
    async def position(self, source: str) -> int:
        """The last position recorded for `source`, 0 when none."""
        ...

    async def record(self, batch: Batch) -> None:
        """One transaction: rows, position and chain together. A batch whose position was reached already (a retry)
        changes nothing. SequenceConflict when the ledger is not at `follows`: another has recorded meanwhile; read
        `position` again and go on from there."""
        ...

    async def tasks(self, query: TaskQuery) -> TaskHistoryPage: ...

    async def events(self, *, kind: str = "", limit: int = 100) -> Sequence[Event]:
        """Newest first."""
        ...

    async def verify(self) -> ChainVerdict:
        """Recompute the chain from the stored rows."""
        ...

    async def close(self) -> None: ...
