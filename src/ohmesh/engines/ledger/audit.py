"""Checking the chain: the hashes are computed again from the stored rows, streaming, in steps of bounded work.

Each step is a short transaction of its own, so a check of hours keeps no snapshot open; history is append-only, so
steps see one history all the same. The check ends at the batch that was the last when it began.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence

from msgspec import structs
from sqlalchemy import Table, func, select
from sqlalchemy.engine import Connection

from ohmesh.engines.ledger import schema
from ohmesh.engines.ledger.chain import GENESIS, Link, LinkHash, batch_of, first_entry
from ohmesh.engines.ledger.rows import Row
from ohmesh.ports.ledger import ChainVerdict

_BEFORE_ALL = -(1 << 62)


class ChainCheck:
    """Call `step` until it returns True; then `verdict` holds."""

    def __init__(self, *, page_rows: int) -> None:
        self._page_rows = page_rows
        self._rows = [_TableReader(table, page_rows) for table in schema.HISTORY]
        self._links: deque[Link] = deque()
        self._ends: tuple[int, int] | None = None
        self._previous = GENESIS
        self.verdict = ChainVerdict(batches=0, entries=0)

    def step(self, connection: Connection) -> bool:
        """Check about a page of rows (one batch at least). True when the end, or a break, is reached."""
        if self._ends is None:
            self._ends = _ends(connection)
        last, last_with_rows = self._ends
        goal = self.verdict.entries + self._page_rows
        while self.verdict.batches < last:
            if not self._links:
                self._links = self._next_links(connection, last)
            if not self._links or not self._follows(connection, self._links.popleft()):
                return self._break()
            if self.verdict.entries >= goal:
                return False
        return True if last_with_rows <= last else self._break()

    def _next_links(self, connection: Connection, last: int) -> deque[Link]:
        chain = schema.chain
        wanted = (
            select(chain.c.number, chain.c.source, chain.c.position, chain.c.entries, chain.c.hash)
            .where(chain.c.number > (self.verdict.batches or _BEFORE_ALL), chain.c.number <= last)
            .order_by(chain.c.number)
            .limit(self._page_rows)
        )
        return deque(Link(*row) for row in connection.execute(wanted))

    def _follows(self, connection: Connection, link: Link) -> bool:
        number = self.verdict.batches + 1
        computed = LinkHash(self._previous)
        for reader in self._rows:
            for chunk in reader.up_to(connection, number):
                computed.add(str(reader.table.name), chunk)
        hashed = computed.finish(number, link.source, link.position)
        if (link.number, link.entries, link.hash) != (number, computed.entries, hashed):
            return False
        self._previous = hashed
        entries = self.verdict.entries + computed.entries
        self.verdict = ChainVerdict(batches=number, entries=entries, head=hashed.hex())
        return True

    def _break(self) -> bool:
        self.verdict = structs.replace(self.verdict, broken_at=self.verdict.batches + 1)
        return True


class _TableReader:
    """The rows of one table in order of their keys, a page in memory at a time."""

    def __init__(self, table: Table, page_rows: int) -> None:
        self.table = table
        self._page_rows = page_rows
        self._page: Sequence[Row] = ()
        self._after = _BEFORE_ALL

    def up_to(self, connection: Connection, number: int) -> Iterator[Sequence[Row]]:
        """What was not given yet of this batch, and of any before it that the chain does not know."""
        beyond = first_entry(number + 1)
        while True:
            if not self._page:
                self._page = self._next_page(connection)
            end = bisect_left(self._page, beyond, key=_entry)
            if end:
                yield self._page[:end]
            self._page = self._page[end:]
            if self._page or not end:
                return

    def _next_page(self, connection: Connection) -> Sequence[Row]:
        entry = self.table.c.entry
        wanted = select(*self.table.columns).where(entry > self._after).order_by(entry).limit(self._page_rows)
        page = [tuple(row) for row in connection.execute(wanted)]
        if page:
            self._after = _entry(page[-1])
        return page


def _entry(row: Row) -> int:
    return int(row[0])


def _ends(connection: Connection) -> tuple[int, int]:
    """The last batch of the chain, and the last one that any row claims to be of; one statement, so one snapshot."""
    columns = (schema.chain.c.number, *(table.c.entry for table in schema.HISTORY))
    highest = select(*[select(func.max(column)).scalar_subquery() for column in columns])
    last, *entries = connection.execute(highest).one()
    return last or 0, max((batch_of(entry) for entry in entries if entry is not None), default=0)
