"""Opening: what cannot be meant, is refused or is not there gets the right error, and no message shows a secret."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import traceback
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from ohmesh.engines.ledger import LedgerConfig, checked_ledger, open_ledger
from ohmesh.errors import EngineFailed, EngineUnavailable, InvalidArgument, NotAuthorised, OhmeshError
from tests.contract.ledger.conftest import CHILD_ENVIRONMENT, Place
from tests.contract.ledger.postgresql_server import PASSWORD, PostgresqlServer, free_port
from tests.contract.ledger.samples import batch

Run = Callable[[Coroutine[Any, Any, None]], None]
SECRET = "s3cret-of-the-test"


async def opening_error(url: str) -> OhmeshError:
    with pytest.raises(OhmeshError) as caught:
        await open_ledger(url, LedgerConfig(connect_ms=2_000, busy_ms=300))
    assert caught.value.hint, "an error says what to do"
    return caught.value


async def opening_error_of_nobody(path: Path) -> OhmeshError:
    """Permissions do not stop root, so root's tests step down for a moment; what they need is loaded before, since
    the interpreter's own files may be out of the reach of others."""
    await (await open_ledger(f"sqlite:///{path.parents[1]}/loads-everything.db")).close()
    await opening_error(f"sqlite:///{path}/no/where.db")
    if os.geteuid() != 0:
        return await opening_error(f"sqlite:///{path}")
    os.seteuid(65_534)
    try:
        return await opening_error(f"sqlite:///{path}")
    finally:
        os.seteuid(0)


def modes_in(folder: Path) -> dict[str, int]:
    return {each.name: stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()}


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ledger.db",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite://host/ledger.db",
        "sqlite:///ledger.db?mode=ro",
        f"mysql://root:{SECRET}@host/ledger",
        f"postgresql+asyncpg://root:{SECRET}@host/ledger",
        f"postgresql://root:{SECRET}@{SECRET}@host/ledger",
        f"postgresql://root:{SECRET}@host:port/ledger",
    ],
)
def test_a_url_that_cannot_be_meant_is_refused_without_being_repeated(run: Run, url: str) -> None:
    async def scenario() -> None:
        error = await opening_error(url)
        assert isinstance(error, InvalidArgument)
        assert SECRET not in "".join(traceback.format_exception(error))

    run(scenario())


def test_a_new_file_is_for_its_owner_only(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        ledger = await open_ledger(f"sqlite:///{tmp_path}/ledger.db")
        await ledger.record(batch(1))
        modes = modes_in(tmp_path)
        await ledger.close()
        assert modes == {"ledger.db": 0o600, "ledger.db-wal": 0o600, "ledger.db-shm": 0o600}

    run(scenario())


def test_a_path_that_cannot_hold_a_ledger_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("a shopping list, longer than the header of a database file\n" * 40)
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE tasks (name TEXT)")
    other.close()

    async def scenario() -> None:
        assert isinstance(await opening_error(f"sqlite:///{tmp_path}"), InvalidArgument)
        assert isinstance(await opening_error(f"sqlite:///{tmp_path}/no/where.db"), InvalidArgument)
        assert isinstance(await opening_error(f"sqlite:///{tmp_path}/text.db"), EngineFailed)
        assert isinstance(await opening_error(f"sqlite:///{tmp_path}/other.db"), EngineFailed)

    run(scenario())


@pytest.mark.parametrize("mode", [0o000, 0o444])
def test_a_file_that_may_not_be_used_is_refused_by_name(run: Run, public_folder: Path, mode: int) -> None:
    path = public_folder / "closed" / "ledger.db"
    path.parent.mkdir()

    async def fill() -> None:
        ledger = await open_ledger(f"sqlite:///{path}")
        await ledger.record(batch(1))
        await ledger.close()

    async def scenario() -> None:
        error = await opening_error_of_nobody(path)
        assert isinstance(error, NotAuthorised), error
        assert str(path) in str(error)

    run(fill())
    path.chmod(mode)
    run(scenario())


def test_a_directory_that_may_not_be_written_is_refused_by_name(run: Run, public_folder: Path) -> None:
    closed = public_folder / "closed"
    closed.mkdir(mode=0o555)

    async def scenario() -> None:
        error = await opening_error_of_nobody(closed / "ledger.db")
        assert isinstance(error, NotAuthorised), error
        assert "ledger.db" in str(error)

    run(scenario())
    closed.chmod(0o700)


def test_a_ledger_of_another_version_is_left_alone(run: Run, place: Place) -> None:
    async def scenario() -> None:
        await (await open_ledger(place.url)).close()
        if place.is_postgresql:
            place.sql("DROP TRIGGER ledger_append_only ON ledger", "UPDATE ledger SET version = 99")
        else:
            place.sql("DROP TRIGGER ledger_no_update", "UPDATE ledger SET version = 99")
        error = await opening_error(place.url)
        assert isinstance(error, EngineFailed)
        assert "99" in str(error)

    run(scenario())


def test_what_postgresql_refuses_is_named_and_the_password_is_not(
    run: Run, postgresql: PostgresqlServer
) -> None:
    database = postgresql.new_database()
    postgresql.execute(f"CREATE ROLE reader_{database} LOGIN PASSWORD '{PASSWORD}'")
    latin = postgresql.new_database("ENCODING 'LATIN1' TEMPLATE template0")
    cases: dict[str, type[OhmeshError]] = {
        postgresql.url(latin): EngineFailed,
        postgresql.url(database, password=SECRET): NotAuthorised,
        postgresql.url(database, user="stranger", password=SECRET): NotAuthorised,
        postgresql.url(database, user=f"reader_{database}"): NotAuthorised,
        postgresql.url("no_such_database"): InvalidArgument,
        f"postgresql://postgres:{SECRET}@127.0.0.1:{free_port()}/ledger": EngineUnavailable,
        f"postgresql://postgres:{SECRET}@127.0.0.1:{postgresql.port}/x?no_such_option=1": InvalidArgument,
    }

    async def scenario() -> None:
        for url, expected in cases.items():
            error = await opening_error(url)
            assert isinstance(error, expected), (url, error)
            told = "".join(traceback.format_exception(error))
            assert SECRET not in told
            assert PASSWORD not in told

    run(scenario())


def test_a_ledger_shows_where_it_is_and_not_its_password(run: Run, place: Place) -> None:
    async def scenario() -> None:
        ledger = await open_ledger(place.url)
        shown = repr(ledger)
        await ledger.close()
        assert PASSWORD not in shown
        assert place.url.rsplit("/", 1)[-1] in shown

    run(scenario())


def test_an_address_is_checked_and_shown_without_its_password_and_without_opening_it(run: Run) -> None:
    nobody_there = f"postgresql://keeper:{SECRET}@127.0.0.1:{free_port()}/history"

    async def scenario() -> None:
        shown = await checked_ledger(nobody_there)
        assert shown == nobody_there.replace(SECRET, "***")
        assert await checked_ledger("sqlite:////no/where.db") == "sqlite:////no/where.db"

    run(scenario())


def test_a_user_who_may_only_add_and_read_can_keep_the_ledger(run: Run, postgresql: PostgresqlServer) -> None:
    database = postgresql.new_database()
    owner = Place(postgresql.url(database))
    role = f"keeper_{database}"

    async def scenario() -> None:
        await (await open_ledger(owner.url)).close()
        owner.sql(
            f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'",
            f"GRANT SELECT, INSERT ON ledger, chain, tasks, events TO {role}",
        )
        ledger = await open_ledger(postgresql.url(database, user=role))
        await ledger.record(batch(1))
        verdict = await ledger.verify()
        await ledger.close()
        assert (verdict.batches, verdict.broken_at) == (1, 0)

    run(scenario())


def script(text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", text],
        capture_output=True,
        text=True,
        env=CHILD_ENVIRONMENT,
    )


@pytest.mark.parametrize("door", ["open_ledger", "checked_ledger"])
def test_postgresql_without_its_driver_names_the_extra(door: str) -> None:
    done = script(
        "import asyncio, sys; sys.modules['psycopg'] = None\n"
        f"from ohmesh.engines.ledger import {door}\n"
        "from ohmesh.errors import InvalidArgument\n"
        f"try: asyncio.run({door}('postgresql://u:p@127.0.0.1/x'))\n"
        "except InvalidArgument as error: print(error)\n"
    )
    assert "ohmesh[postgresql]" in done.stdout, done.stderr


def test_importing_the_ledger_loads_no_database_library() -> None:
    done = script(
        "import sys, ohmesh, ohmesh.engines.ledger\n"
        "print([name for name in ('sqlalchemy', 'psycopg', 'sqlite3') if name in sys.modules])\n"
    )
    assert done.stdout.strip() == "[]", done.stderr
