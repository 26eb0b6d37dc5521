"""The tables. History is append-only: a trigger refuses UPDATE and DELETE (and TRUNCATE) on both databases.

    ledger   one row: the version of this schema
    chain    one row per recorded batch: number, source, position, entries, hash
    tasks    one row per finished task; a task replayed from the dead letters ends again in a row of its own
    events   one row per event

`entry`, the key of a history row, is its batch's number shifted by LINE_BITS plus its line in the batch: rows of a
batch are a range of keys, insertion is at the end, and a table added later (conflicts, operations) needs a place in
HISTORY and no change to the others.

The indexes serve every combination of kind, state and host, newest first, as a seek: there are five final states, so
a query that names none is five seeks, merged. SQLite's INSERT OR REPLACE fires no delete trigger; a guard on each
insert would halve the speed, and `verify` finds it. Dropping whole old batches (retention) will have to lift the
triggers in the open and leave an anchor for the chain; it does not exist yet.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.engine import Connection

VERSION = 2

# An INTEGER key is SQLite's own row number; BIGINT would add a second index. "C" compares bytes, as SQLite does.
_Whole = BigInteger().with_variant(Integer(), "sqlite")
_Words = Text().with_variant(Text(collation="C"), "postgresql")

metadata = MetaData()

ledger = Table("ledger", metadata, Column("version", Integer, primary_key=True, autoincrement=False))


def _key(name: str) -> Column[int]:
    return Column(name, _Whole, primary_key=True, autoincrement=False)


def _whole(name: str) -> Column[int]:
    return Column(name, _Whole, nullable=False)


def _words(name: str) -> Column[str]:
    return Column(name, _Words, nullable=False)


def _octets(name: str) -> Column[bytes]:
    return Column(name, LargeBinary, nullable=False)


chain = Table(
    "chain",
    metadata,
    _key("number"),
    _words("source"),
    _whole("position"),
    _whole("entries"),
    _octets("hash"),
    Index("chain_source", "source", "position", unique=True),
)

tasks = Table(
    "tasks",
    metadata,
    _key("entry"),
    _words("task_id"),
    _words("kind"),
    _words("state"),
    _whole("priority"),
    _whole("attempts"),
    _whole("max_attempts"),
    _whole("submitted_ms"),
    _whole("started_ms"),
    _whole("finished_ms"),
    _whole("due_ms"),
    _words("host"),
    _words("agent"),
    _words("failures"),
    _octets("value"),
    _whole("value_omitted_bytes"),
    _whole("task_order"),
    _words("complexity"),
    _whole("items"),
    _words("opened"),
    _whole("timeout_ms"),
    Index("tasks_id", "task_id", "entry"),
    Index("tasks_state", "state", "finished_ms", "entry"),
    Index("tasks_kind", "kind", "state", "finished_ms", "entry"),
    Index("tasks_host", "host", "state", "finished_ms", "entry"),
    Index("tasks_kind_host", "kind", "host", "state", "finished_ms", "entry"),
)

events = Table(
    "events",
    metadata,
    _key("entry"),
    _whole("at_ms"),
    _words("kind"),
    _words("subject"),
    _words("detail"),
    Index("events_time", "at_ms", "entry"),
    Index("events_kind", "kind", "at_ms", "entry"),
)

HISTORY = (tasks, events)
"""The tables whose rows the chain covers, in the order in which they are hashed."""

_GUARDED = ("ledger", "chain", "tasks", "events")


def stored_version(connection: Connection) -> int:
    """The version of the schema that is there; 0 when there is none."""
    if not inspect(connection).has_table(ledger.name):
        return 0
    return connection.execute(select(ledger.c.version)).scalar() or 0


def create(connection: Connection) -> None:
    """All tables, indexes and triggers. The caller holds the writers' lock, in one transaction with this."""
    metadata.create_all(connection, checkfirst=False)
    connection.execute(insert(ledger), {"version": VERSION})
    guards = _postgresql_guards() if connection.dialect.name == "postgresql" else _sqlite_guards()
    for statement in guards:
        connection.execute(text(statement))


def _sqlite_guards() -> list[str]:
    return [
        f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: {verb} on {table} refused'); END"
        for table in _GUARDED
        for verb in ("UPDATE", "DELETE")
    ]


def _postgresql_guards() -> list[str]:
    refuse = (
        "CREATE OR REPLACE FUNCTION ohmesh_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION USING ERRCODE = 'restrict_violation', "
        "MESSAGE = 'the ledger is append-only: ' || TG_OP || ' on ' || TG_TABLE_NAME || ' refused'; END $$"
    )
    return [refuse] + [
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION ohmesh_append_only()"
        for table in _GUARDED
    ]
