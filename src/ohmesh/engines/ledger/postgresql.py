"""PostgreSQL through psycopg 3: rows go in by COPY, writers of all processes take turns by an advisory lock.

Invariants: the advisory lock ends with its transaction, so a dead writer holds nothing; the server gives up on a
statement before the client gives up on the server; a server that is there but does not answer is left by shutting the
socket down, which works from another thread and needs nothing from the server.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from functools import cache

import psycopg
from sqlalchemy import BigInteger, LargeBinary, Table, create_engine, event, text
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection, QueuePool

from ohmesh.engines.ledger.address import Address
from ohmesh.engines.ledger.config import LedgerConfig
from ohmesh.engines.ledger.rows import Row
from ohmesh.errors import EngineFailed, EngineUnavailable, InvalidArgument, NotAuthorised, OhmeshError

_WRITERS_LOCK = 0x6F686D657368  # "ohmesh"; advisory locks are numbers, and shared by all users of a database

_REFUSED_STATES = ("28", "42501")
_WRONG_STATES = ("3D000", "3F000")
_TRANSIENT_STATES = ("08", "40", "53", "57", "55P03", "58", "25006", "XX000")
_REFUSED_WORDS = ("password", "authentication", "no pg_hba.conf entry", "permission denied", "role ")
_WRONG_WORDS = ("does not exist", "invalid connection option", "could not translate host name")


class PostgresqlDatabase:
    def __init__(self, address: Address, config: LedgerConfig) -> None:
        self._address = address
        self._config = config
        self.shown = address.shown

    def prepare(self) -> None:
        """The database is made by its administrator, the tables by us."""

    def engine(self, *, write: bool, connections: int) -> Engine:
        engine = create_engine(
            self._address.url,
            poolclass=QueuePool,
            pool_size=connections,
            max_overflow=0,
            hide_parameters=True,
            connect_args={
                "connect_timeout": max(2, -(-self._config.connect_ms // 1000)),
                "application_name": "ohmesh ledger",
                "client_encoding": "utf8",
            },
        )
        event.listen(engine, "connect", self._bound_waits)
        if not write:
            event.listen(engine, "connect", _seek)
        return engine

    def lock(self, connection: Connection) -> None:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITERS_LOCK})

    def append(self, connection: Connection, table: Table, rows: Sequence[Row]) -> None:
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        statement, types = _copying(table)
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row(row)

    def interrupt(self, driver: PoolProxiedConnection) -> None:
        inner = driver.driver_connection
        if not isinstance(inner, psycopg.Connection):
            return
        try:
            with socket.socket(fileno=os.dup(inner.fileno())) as line:
                line.shutdown(socket.SHUT_RDWR)
        except (OSError, psycopg.Error):
            return  # closed already, which is what was wanted

    def is_spent(self, error: Exception, driver: PoolProxiedConnection) -> bool:
        inner = driver.driver_connection
        return inner is None or (isinstance(inner, psycopg.Connection) and bool(inner.closed))

    def translate(self, error: Exception, doing: str) -> OhmeshError:
        cause = error.orig if isinstance(error, DBAPIError) else error
        words = " ".join(self._address.scrubbed(str(cause)).split())
        what = f"Could not {doing}: {self.shown}: {words}"
        if not isinstance(cause, psycopg.Error):
            return EngineFailed(
                what, hint="This is a defect of the ledger or damage to its tables; verify it."
            )
        state = cause.sqlstate or ""
        if state.startswith(_REFUSED_STATES) or (not state and _has(words, _REFUSED_WORDS)):
            return NotAuthorised(
                what, hint="Check user and password in the URL, and what this user was granted."
            )
        if state in _WRONG_STATES or (not state and _has(words, _WRONG_WORDS)):
            return InvalidArgument(what, hint="Correct the ledger's URL, or create the database.")
        if state.startswith(_TRANSIENT_STATES) or isinstance(cause, psycopg.OperationalError):
            return EngineUnavailable(
                what, hint="Check that the server runs and has room; then it goes on by itself."
            )
        return EngineFailed(what, hint="If a table is in the way, give the ledger a database of its own.")

    def _bound_waits(self, driver: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        """The server's patience is nine tenths of ours, so that it is the one to end a statement."""
        statement_ms = max(1, self._config.answer_ms * 9 // 10)
        cursor = driver.cursor()
        cursor.execute(f"SET statement_timeout = {statement_ms}; SET lock_timeout = {self._config.busy_ms}")
        cursor.execute("SHOW server_encoding")
        (encoding,) = cursor.fetchone() or ("",)
        cursor.close()
        driver.commit()
        if encoding != "UTF8":
            raise EngineFailed(
                f"The database of {self.shown} stores text as {encoding}, which cannot hold every text.",
                hint="Create it with ENCODING 'UTF8'.",
            )


def _seek(driver: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    """Every query of ours is a seek in an index; a planner that has no statistics yet would read whole kinds."""
    cursor = driver.cursor()
    cursor.execute(
        "SET enable_bitmapscan = off; SET enable_seqscan = off; SET default_transaction_read_only = on"
    )
    cursor.close()
    driver.commit()


@cache
def _copying(table: Table) -> tuple[str, list[str]]:
    names = ", ".join(column.name for column in table.columns)
    types = [
        "int8"
        if isinstance(column.type, BigInteger)
        else "bytea"
        if isinstance(column.type, LargeBinary)
        else "text"
        for column in table.columns
    ]
    return f"COPY {table.name} ({names}) FROM STDIN (FORMAT BINARY)", types


def _has(words: str, parts: tuple[str, ...]) -> bool:
    return any(part in words for part in parts)
