"""The ledger on SQL: SQLite or PostgreSQL, the same tables, the same chain, the same answers.

`open_ledger` is the only door, `checked_ledger` looks whether it can be one. SQLAlchemy and psycopg are imported when
they are called, and in a thread, so that neither `import ohmesh` nor the event loop pays for them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ohmesh.engines.ledger.config import LedgerConfig

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ohmesh.ports.ledger import Ledger

__all__ = ["LedgerConfig", "checked_ledger", "open_ledger"]


async def open_ledger(url: str, config: LedgerConfig | None = None, *, mesh_id: str = "") -> Ledger:
    """Open, and where it is new create, the ledger at `sqlite:///path` or `postgresql://user:password@host/database`.

    mesh_id: whose history it keeps, from the first time on that one is named; that of another is refused.
    InvalidArgument: the URL cannot be meant. NotAuthorised: file permissions, password, missing grants.
    EngineUnavailable: not reachable now; trying again may help. EngineFailed: what is there is not a ledger of ours, or
    not one of this mesh.
    """
    # Importing SQLAlchemy takes a fifth of a second, which an event loop full of heartbeats has not got.
    opener = await asyncio.to_thread(_load_opener)
    return await opener(url, config or LedgerConfig(), mesh_id)


async def checked_ledger(url: str) -> str:
    """The address without secrets, for people. InvalidArgument: the URL cannot be meant, or its driver is missing.

    Nothing is opened and nobody is asked.
    """
    return await asyncio.to_thread(_check, url)


def _check(url: str) -> str:
    from ohmesh.engines.ledger.sql_ledger import checked_address

    return checked_address(url)


def _load_opener() -> Callable[[str, LedgerConfig, str], Awaitable[Ledger]]:
    from ohmesh.engines.ledger.sql_ledger import open_sql_ledger

    return open_sql_ledger
