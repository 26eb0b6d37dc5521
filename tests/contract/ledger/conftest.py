"""Both databases, one suite: `place` is a new, empty ledger's URL with a way around the ledger, straight to SQL."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url

from tests.contract.ledger.postgresql_server import PostgresqlServer

ROOT = Path(__file__).resolve().parents[3]
CHILD_ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([f"{ROOT}/src", str(ROOT), *sys.path])}


@dataclass(frozen=True)
class Place:
    url: str

    @property
    def is_postgresql(self) -> bool:
        return self.url.startswith("postgresql")

    def sql(self, *statements: str) -> list[Sequence[object]]:
        """Run statements past the ledger, in one transaction; the rows of the last."""
        url = make_url(self.url)
        if self.is_postgresql:
            url = url.set(drivername="postgresql+psycopg")
        engine = create_engine(url)
        try:
            with engine.begin() as connection:
                for statement in statements:
                    result = connection.exec_driver_sql(statement)
                return [tuple(row) for row in result] if result.returns_rows else []
        finally:
            engine.dispose()

    def count(self, table: str) -> int:
        ((number,),) = self.sql(f"SELECT count(*) FROM {table}")
        assert isinstance(number, int)
        return number

    def drop_guards(self) -> None:
        """What someone who tampers would do first."""
        for table in ("chain", "tasks", "events"):
            if self.is_postgresql:
                self.sql(f"DROP TRIGGER {table}_append_only ON {table}")
            else:
                self.sql(f"DROP TRIGGER {table}_no_update", f"DROP TRIGGER {table}_no_delete")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    server = PostgresqlServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def sqlite_place(tmp_path: Path) -> Place:
    return Place(f"sqlite:///{tmp_path}/ledger.db")


@pytest.fixture
def postgresql_place(postgresql: PostgresqlServer) -> Place:
    return Place(postgresql.url(postgresql.new_database()))


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest) -> Place:
    found = request.getfixturevalue(f"{request.param}_place")
    assert isinstance(found, Place)
    return found


Recorder = subprocess.Popen[str]


@pytest.fixture
def start_recorder() -> Iterator[Callable[[Place, int, int], Recorder]]:
    """Start a recorder process (see recorder.py) that waits for a line on its input; killed at the end."""
    started: list[Recorder] = []

    def start(place: Place, last: int, rows: int) -> Recorder:
        recorder = subprocess.Popen(
            [sys.executable, "-m", "tests.contract.ledger.recorder", place.url, str(last), str(rows)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=CHILD_ENVIRONMENT,
        )
        started.append(recorder)
        return recorder

    yield start
    for recorder in started:
        recorder.kill()
        recorder.communicate()


@dataclass
class SmallDisk:
    folder: Path

    def grow(self, size: str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(self.folder)], check=True)


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that every user can reach, unlike those of pytest."""
    folder = Path(tempfile.mkdtemp(prefix="ohmesh-ledger-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def small_disk(public_folder: Path) -> Iterator[Callable[[str], SmallDisk]]:
    """A file system of limited size, of memory. Only root may mount one."""
    mounted: list[Path] = []

    def mount(size: str) -> SmallDisk:
        if os.geteuid() != 0 or shutil.which("mount") is None:
            pytest.skip("full disk: mounting a small tmpfs needs root and mount(8)")
        folder = public_folder / "small-disk"
        folder.mkdir()
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
            capture_output=True,
            text=True,
        )
        if made.returncode != 0:
            pytest.skip(f"full disk: a tmpfs cannot be mounted here: {made.stderr.strip()}")
        mounted.append(folder)
        return SmallDisk(folder)

    yield mount
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)
