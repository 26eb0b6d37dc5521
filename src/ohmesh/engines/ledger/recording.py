"""Recording a batch: one transaction in which the position is compared, rows are inserted and a link is added.

Whose history it is stands in the chain too: an empty batch whose source is the id of the mesh.

Everything that is decided is read under the writers' lock, so of two processes that record the same stretch one
writes and the other finds it done; no number, position or hash is remembered between batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from sqlalchemy import func, insert, select
from sqlalchemy.engine import Connection

from ohmesh.engines.ledger import schema
from ohmesh.engines.ledger.chain import GENESIS, LinkHash, first_entry
from ohmesh.engines.ledger.config import LedgerConfig
from ohmesh.engines.ledger.database import Database
from ohmesh.engines.ledger.rows import Row, event_row, task_row
from ohmesh.errors import EngineFailed, InvalidArgument, SequenceConflict
from ohmesh.ports.ledger import Batch

OWNER = "mesh:"
BEYOND_OWNERS = "mesh;"  # the character after the colon; no log is named so


def checked_batch(batch: Batch, config: LedgerConfig) -> Batch:
    rows = len(batch.tasks) + len(batch.events)
    if rows > config.batch_rows_max:
        raise InvalidArgument(
            f"A batch of {rows} rows is too large for the ledger.",
            hint=f"Record at most {config.batch_rows_max} at once (batch_rows_max).",
        )
    if not batch.source or batch.position < 1:
        raise InvalidArgument(
            f"A batch of source {batch.source!r} at position {batch.position} cannot be recorded.",
            hint="Name the source; positions count from 1.",
        )
    return batch


def claim(connection: Connection, database: Database, mesh_id: str, config: LedgerConfig) -> None:
    database.lock(connection)
    source = schema.chain.c.source
    owner = select(source).where(source >= OWNER, source < BEYOND_OWNERS).limit(1)
    owned = connection.execute(owner).scalar()
    if owned is None:
        record(connection, database, Batch(f"{OWNER}{mesh_id}", 1), config)
    elif owned != f"{OWNER}{mesh_id}":
        raise EngineFailed(
            f"{database.shown} keeps the history of another mesh (its id is {owned.removeprefix(OWNER)}, ours is "
            f"{mesh_id}).",
            hint="Give this mesh another file or database with --ledger; nothing was written to that one.",
        )


def stored_position(connection: Connection, source: str) -> int:
    highest = select(func.max(schema.chain.c.position)).where(schema.chain.c.source == source)
    return connection.execute(highest).scalar() or 0


def record(connection: Connection, database: Database, batch: Batch, config: LedgerConfig) -> None:
    database.lock(connection)
    position = stored_position(connection, batch.source)
    if batch.position <= position:
        return
    if batch.follows not in (-1, position):
        raise SequenceConflict(
            f"The ledger has {batch.source} up to {position}, and this batch begins after {batch.follows}.",
            expected=batch.follows,
            last=position,
            hint="Another projector has recorded meanwhile: go on from the ledger's position.",
        )
    number, previous = _end_of_chain(connection)
    number += 1
    link = LinkHash(previous)
    line = first_entry(number)
    for table, rows in (
        (schema.tasks, (task_row(line + at, view, config) for at, view in enumerate(batch.tasks))),
        (schema.events, (event_row(line + at, each, config) for at, each in enumerate(batch.events))),
    ):
        for chunk in _chunks(rows, config.chunk_rows):
            link.add(str(table.name), chunk)
            database.append(connection, table, chunk)
    connection.execute(
        insert(schema.chain),
        {
            "number": number,
            "source": batch.source,
            "position": batch.position,
            "entries": link.entries,
            "hash": link.finish(number, batch.source, batch.position),
        },
    )


def _end_of_chain(connection: Connection) -> tuple[int, bytes]:
    last = select(schema.chain.c.number, schema.chain.c.hash).order_by(schema.chain.c.number.desc()).limit(1)
    found = connection.execute(last).one_or_none()
    return (0, GENESIS) if found is None else (found.number, found.hash)


def _chunks(rows: Iterator[Row], size: int) -> Iterator[Sequence[Row]]:
    while chunk := list(islice(rows, size)):
        yield chunk
