"""The port `Ledger` on SQL: one thread records, a few read, and the event loop waits for neither.

Invariants: nothing blocks the event loop; rows, position and link of a batch are one transaction; a second process on
the same ledger is safe, whether it reads or records.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import msgspec
from sqlalchemy import Row, Select
from sqlalchemy.engine import Connection

from ohmesh.engines.ledger import recording, schema
from ohmesh.engines.ledger.address import Address, parse_address
from ohmesh.engines.ledger.audit import ChainCheck
from ohmesh.engines.ledger.config import LedgerConfig
from ohmesh.engines.ledger.database import Database
from ohmesh.engines.ledger.lane import Lane
from ohmesh.engines.ledger.pages import Cursor, Places, read_rows, select_events, select_places
from ohmesh.engines.ledger.rows import event_of, task_view
from ohmesh.errors import EngineFailed, InvalidArgument
from ohmesh.ports.ledger import Batch, ChainVerdict, Event, TaskHistoryPage, TaskQuery


async def open_sql_ledger(url: str, config: LedgerConfig, mesh_id: str = "") -> SqlLedger:
    opened = SqlLedger(_database(parse_address(url), config), config)
    try:
        await opened.prepare()
        if mesh_id:
            await opened.claim(mesh_id)
    except BaseException:
        await opened.close()
        raise
    return opened


def checked_address(url: str) -> str:
    """What is shown of the URL; InvalidArgument when no ledger can be opened there on this machine."""
    address = parse_address(url)
    _database(address, LedgerConfig())
    return address.shown


class SqlLedger:
    def __init__(self, database: Database, config: LedgerConfig) -> None:
        self._database = database
        self._config = config
        self._writer = Lane(
            database,
            database.engine(write=True, connections=1),
            threads=1,
            waiting_max=config.waiting_records_max,
            answer_ms=config.answer_ms,
        )
        self._readers = Lane(
            database,
            database.engine(write=False, connections=config.readers),
            threads=config.readers,
            waiting_max=config.waiting_reads_max,
            answer_ms=config.answer_ms,
        )

    def __repr__(self) -> str:
        return f"SqlLedger({self._database.shown!r})"

    async def prepare(self) -> None:
        """Create what is missing; safe when several processes do so at once."""
        await asyncio.to_thread(self._database.prepare)
        await self._writer.run("open the ledger", self._create_schema)

    async def claim(self, mesh_id: str) -> None:
        """Keep the history of this mesh and of no other. EngineFailed where it is another's."""
        job = partial(recording.claim, database=self._database, mesh_id=mesh_id, config=self._config)
        await self._writer.run("look whose history the ledger keeps", job)

    async def position(self, source: str) -> int:
        job = partial(recording.stored_position, source=source)
        return await self._readers.run("read the ledger's position", job)

    async def record(self, batch: Batch) -> None:
        recording.checked_batch(batch, self._config)
        job = partial(recording.record, database=self._database, batch=batch, config=self._config)
        await self._writer.run("record history", job)

    async def tasks(self, query: TaskQuery) -> TaskHistoryPage:
        wanted = select_places(query, self._config)
        return await self._readers.run(
            "read the history of tasks", partial(self._task_page, wanted, query.limit)
        )

    async def events(self, *, kind: str = "", limit: int = 100) -> Sequence[Event]:
        wanted = select_events(kind, limit, self._config)
        return await self._readers.run("read the history of events", partial(self._events, wanted))

    async def verify(self) -> ChainVerdict:
        check = ChainCheck(page_rows=self._config.page_rows_max)
        while not await self._readers.run("verify the ledger", check.step):
            continue
        return check.verdict

    async def close(self) -> None:
        await self._readers.close(self._config.close_ms)
        await self._writer.close(self._config.close_ms)

    def _create_schema(self, connection: Connection) -> None:
        version = schema.stored_version(connection)
        if not version:
            self._database.lock(connection)
            version = schema.stored_version(connection)
        if not version:
            schema.create(connection)
        elif version != schema.VERSION:
            raise EngineFailed(
                f"{self._database.shown} holds a ledger of version {version}, this ohmesh writes {schema.VERSION}.",
                hint="Use the ohmesh that wrote it, or another file or database.",
            )

    def _task_page(self, wanted: Places, limit: int, connection: Connection) -> TaskHistoryPage:
        places = [Cursor(row.finished_ms, row.entry) for row in connection.execute(wanted).all()]
        rows = list(read_rows(connection, places[:limit], self._config))
        try:
            views = [task_view(row) for row in rows]
        except (ValueError, msgspec.MsgspecError) as error:
            raise self._damaged("tasks", rows) from error
        after = str(places[len(rows) - 1]) if len(places) > len(rows) else ""
        return TaskHistoryPage(views, after)

    def _events(self, wanted: Select[tuple[object, ...]], connection: Connection) -> list[Event]:
        rows = connection.execute(wanted).all()
        try:
            return [event_of(row) for row in rows]
        except (ValueError, msgspec.MsgspecError) as error:
            raise self._damaged("events", rows) from error

    def _damaged(self, table: str, rows: Sequence[Row[tuple[object, ...]]]) -> EngineFailed:
        entries = f"{rows[-1].entry} and {rows[0].entry}"
        return EngineFailed(
            f"{self._database.shown}: a row of {table} between the entries {entries} is damaged.",
            hint="Verify the ledger; it names the batch. History can be rebuilt as far as the logs reach.",
        )


def _database(address: Address, config: LedgerConfig) -> Database:
    if address.scheme == "sqlite":
        from ohmesh.engines.ledger.sqlite import SqliteDatabase

        return SqliteDatabase(address, config)
    try:
        from ohmesh.engines.ledger.postgresql import PostgresqlDatabase
    except ImportError:
        raise InvalidArgument(
            "A ledger on PostgreSQL needs psycopg, which is not installed.",
            hint="Install it with: pip install 'ohmesh[postgresql]', or use sqlite:///path/to/ledger.db.",
        ) from None
    return PostgresqlDatabase(address, config)
