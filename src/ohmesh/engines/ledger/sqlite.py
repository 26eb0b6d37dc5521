"""SQLite: one file, write-ahead log, one writer at a time in any process, readers that never wait for it.

Invariants: the file is created with mode 0600 (its -wal and -shm inherit that); every wait for another process's lock
ends after `busy_ms`; a transaction on the writing engine takes the write lock at its start, so that what it reads
first (position, end of the chain) still holds when it writes.
Source: sqlite.org, "Write-Ahead Logging", "How To Corrupt An SQLite Database File".
"""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

from sqlalchemy import Table, create_engine, event, insert
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import PoolProxiedConnection, QueuePool

from ohmesh.engines.ledger.address import Address
from ohmesh.engines.ledger.config import LedgerConfig
from ohmesh.engines.ledger.rows import Row
from ohmesh.errors import EngineFailed, EngineUnavailable, InvalidArgument, NotAuthorised, OhmeshError

_BUSY_PAUSE_S = 0.01
_REFUSED_ERRNOS = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_LOCKED = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_REFUSED = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH})
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_TRANSIENT = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_INTERRUPT}
)


class SqliteDatabase:
    def __init__(self, address: Address, config: LedgerConfig) -> None:
        self._config = config
        # Absolute now: the working directory of a process may change under its open ledger.
        self._path = Path(address.url.database or "").absolute()
        self.shown = f"sqlite:///{self._path}"

    def prepare(self) -> None:
        """Create the file, never open one that is there: closing it would drop the locks SQLite holds on it."""
        try:
            if self._path.is_dir():
                raise InvalidArgument(
                    f"{self._path} is a directory.", hint="Name a file in it, such as ledger.db."
                )
            if not self._path.parent.is_dir():
                raise InvalidArgument(
                    f"The directory {self._path.parent} does not exist.",
                    hint="Create it, or name another path.",
                )
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            self._refuse_read_only()
        except OSError as error:
            raise self._creation_error(error) from error

    def engine(self, *, write: bool, connections: int) -> Engine:
        engine = create_engine(
            "sqlite://",
            creator=partial(self._connect, write),
            poolclass=QueuePool,
            pool_size=connections,
            max_overflow=0,
            hide_parameters=True,
        )
        begin = "BEGIN IMMEDIATE" if write else "BEGIN"

        def begin_transaction(connection: Connection) -> None:
            connection.exec_driver_sql(begin)

        event.listen(engine, "begin", begin_transaction)
        return engine

    def lock(self, connection: Connection) -> None:
        """BEGIN IMMEDIATE holds it already."""

    def append(self, connection: Connection, table: Table, rows: Sequence[Row]) -> None:
        connection.exec_driver_sql(_insertion(table), list(rows))

    def interrupt(self, driver: PoolProxiedConnection) -> None:
        inner = driver.driver_connection
        if isinstance(inner, sqlite3.Connection):
            inner.interrupt()

    def is_spent(self, error: Exception, driver: PoolProxiedConnection) -> bool:
        return False

    def translate(self, error: Exception, doing: str) -> OhmeshError:
        cause = error.orig if isinstance(error, DBAPIError) else error
        what = f"Could not {doing}: {self.shown}: {cause}."
        if not isinstance(cause, sqlite3.Error):
            return EngineFailed(what, hint="This is a defect of the ledger or damage to its file; verify it.")
        code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
        if code in _LOCKED:
            return EngineUnavailable(
                f"{what} Another process held the write lock for more than {self._config.busy_ms} ms.",
                hint="Try again; look for a process that keeps a transaction open on this file.",
            )
        if code in _REFUSED or (code == sqlite3.SQLITE_CANTOPEN and not self._is_permitted()):
            return NotAuthorised(
                what, hint="Give this user read and write access to the file and its directory."
            )
        if code in _DAMAGED:
            return EngineFailed(
                what, hint="The file is damaged or not SQLite; restore it, or move it away and rebuild."
            )
        if code in _TRANSIENT:
            return EngineUnavailable(
                what, hint="Look at free space and the state of the disk; then it goes on by itself."
            )
        return EngineFailed(what, hint="If a table is in the way, give the ledger a file of its own.")

    def _refuse_read_only(self) -> None:
        """SQLite itself would open such a file, and refuse only the first batch."""
        if not self._is_permitted():
            raise NotAuthorised(
                f"Could not open {self._path}: this user may not write to it, or not to its directory.",
                hint="Give this user read and write access to the file and its directory.",
            )

    def _is_permitted(self) -> bool:
        effective = os.access in os.supports_effective_ids
        return all(
            os.access(path, os.R_OK | os.W_OK, effective_ids=effective)
            for path in (self._path, self._path.parent)
        )

    def _creation_error(self, error: OSError) -> OhmeshError:
        what = f"Could not create {self._path}: {error.strerror}."
        if error.errno in _REFUSED_ERRNOS:
            return NotAuthorised(
                what, hint="Give this user write access to the directory, or name another path."
            )
        return EngineUnavailable(what, hint="Look at free space and the state of the disk.")

    def _connect(self, write: bool) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=self._config.busy_ms / 1000, isolation_level=None, check_same_thread=False
        )
        try:
            self._use_write_ahead_log(connection)
            connection.execute(f"PRAGMA synchronous = {'FULL' if self._config.fsync else 'NORMAL'}")
            if write:
                connection.execute(f"PRAGMA cache_size = -{self._config.cache_bytes // 1024}")
                connection.execute(f"PRAGMA wal_autocheckpoint = {self._config.write_ahead_pages}")
            else:
                connection.execute("PRAGMA query_only = ON")
                # A damaged text is for verify to report, not for the driver to stumble over.
                connection.text_factory = partial(str, encoding="utf-8", errors="replace")
        except BaseException:
            connection.close()
            raise
        return connection

    def _use_write_ahead_log(self, connection: sqlite3.Connection) -> None:
        """Changing the mode does not wait for other processes as everything else does, so that is done here."""
        deadline = time.monotonic() + self._config.busy_ms / 1000
        while True:
            try:
                (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
                break
            except sqlite3.OperationalError as error:
                if (error.sqlite_errorcode & 0xFF) not in _LOCKED or time.monotonic() > deadline:
                    raise
                time.sleep(_BUSY_PAUSE_S)
        if mode != "wal":
            raise EngineFailed(
                f"{self._path} cannot use a write-ahead log (it stays in mode {mode}).",
                hint="Put the ledger on a local file system, not a network share.",
            )


@cache
def _insertion(table: Table) -> str:
    return str(insert(table).compile(dialect=sqlite.dialect()))
