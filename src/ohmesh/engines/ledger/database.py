"""What differs between SQLite and PostgreSQL, and nothing else; the rest of the adapter is written once.

Each method is called in a thread of a lane, never in the event loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy import Table
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import PoolProxiedConnection

from ohmesh.engines.ledger.rows import Row
from ohmesh.errors import OhmeshError


class Database(Protocol):
    @property
    def shown(self) -> str:
        """Its address without secrets, for messages."""
        ...

    def prepare(self) -> None:
        """What must be there before the first connection."""
        ...

    def engine(self, *, write: bool, connections: int) -> Engine:
        """A pool of exactly so many connections. A transaction on a writing one excludes other writers, see `lock`."""
        ...

    def lock(self, connection: Connection) -> None:
        """Within a transaction: be the only writer of this ledger, in any process, until it ends."""
        ...

    def append(self, connection: Connection, table: Table, rows: Sequence[Row]) -> None:
        """Insert the rows of one chunk."""
        ...

    def interrupt(self, driver: PoolProxiedConnection) -> None:
        """From another thread: make what runs on this connection fail soon. Never raises."""
        ...

    def is_spent(self, error: Exception, driver: PoolProxiedConnection) -> bool:
        """Whether the connection must not be used again after this error."""
        ...

    def translate(self, error: Exception, doing: str) -> OhmeshError:
        """The one place where errors of SQLAlchemy and the driver become ours."""
        ...
