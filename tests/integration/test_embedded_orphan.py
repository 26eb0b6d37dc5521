"""The server ends with the process that started it, however that ends, and never has two owners."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # it ships no types
import pytest

from ohmesh.engines.nats import tether
from ohmesh.engines.nats.binary import find_server_binary
from ohmesh.engines.nats.embedded import EmbeddedConfig, EmbeddedServer
from ohmesh.engines.nats.ownership import Lock
from ohmesh.errors import EngineInUse
from tests.waiting import wait_until

Run = Callable[[Coroutine[Any, Any, None]], None]

OWNER = """
import asyncio, sys
from pathlib import Path
from ohmesh.engines.nats.embedded import EmbeddedConfig, EmbeddedServer

async def main():
    server = EmbeddedServer(EmbeddedConfig(Path(sys.argv[1])))
    await server.start()
    print(server.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@contextmanager
def owner_of(data: Path) -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    """Another process that owns a server in `data`, and that server."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(data)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert owner.stdout is not None
    try:
        yield owner, psutil.Process(int(owner.stdout.readline()))
    finally:
        owner.kill()
        owner.wait()
        owner.stdout.close()


def is_gone(process: psutil.Process) -> bool:
    """Neither alive nor waiting for somebody to look at its end."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_when_the_owner_is_killed_the_server_ends_and_the_next_owner_finds_the_door_open(
    run: Run, tmp_path: Path
) -> None:
    with owner_of(tmp_path) as (owner, server):
        owner.kill()
        owner.wait()
        successor = EmbeddedServer(EmbeddedConfig(tmp_path))
        run(successor.start())
        assert is_gone(server)
        assert psutil.pid_exists(successor.pid)
        run(successor.stop())


def test_a_server_that_hangs_ends_with_its_owner_too(tmp_path: Path) -> None:
    with owner_of(tmp_path) as (owner, server):
        server.suspend()
        owner.kill()
        owner.wait()
        wait_until(lambda: is_gone(server), what="the stopped server is gone")


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(tmp_path: Path) -> None:
    with owner_of(tmp_path) as (owner, server):
        assert os.getpgid(server.pid) != os.getpgid(owner.pid)
        assert os.getsid(server.pid) != os.getsid(owner.pid)


def test_another_process_is_refused_and_told_who_owns_the_directory(run: Run, tmp_path: Path) -> None:
    with owner_of(tmp_path) as (owner, server):
        with pytest.raises(EngineInUse, match=f"Process {owner.pid} already"):
            run(EmbeddedServer(EmbeddedConfig(tmp_path)).start())
        assert not is_gone(server)


def test_the_owners_lock_is_not_inherited_by_the_server(tmp_path: Path) -> None:
    """Or a server on its way out would keep its directory locked, and the pid in it would be a lie."""
    with owner_of(tmp_path) as (_, server):
        held = {Path(file.path).name for file in server.open_files()}
        assert "server.lock" in held
        assert "owner.lock" not in held


def test_a_server_left_over_from_a_dead_owner_is_ended_before_there_is_a_second_one(
    run: Run, tmp_path: Path
) -> None:
    """What happens where the kernel does not tie a child to its parent: the lock still tells."""
    lock = Lock(tmp_path / "server.lock")
    assert lock.try_acquire()
    left_over = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"], pass_fds=[lock.descriptor]
    )
    lock.write_pid(left_over.pid)
    lock.close()
    server = EmbeddedServer(EmbeddedConfig(tmp_path, stop_timeout_ms=1_000))
    run(server.start())
    assert left_over.wait() == -signal.SIGKILL
    run(server.stop())


def test_a_server_whose_parent_died_before_it_began_does_not_begin(tmp_path: Path) -> None:
    binary = str(find_server_binary().path)
    with (tmp_path / "lock").open("wb") as lock:
        command = [sys.executable, "-I", "-S", tether.__file__, "1", str(lock.fileno()), binary, "--version"]
        ended = subprocess.run(command, capture_output=True, text=True, pass_fds=[lock.fileno()], timeout=30)
    assert ended.returncode != 0
    assert "gone already" in ended.stderr
    assert "nats-server" not in ended.stdout


def test_starting_and_stopping_leaves_nothing_behind(run: Run, tmp_path: Path) -> None:
    before = psutil.Process().num_fds()
    server = EmbeddedServer(EmbeddedConfig(tmp_path))

    async def scenario() -> None:
        for _ in range(5):
            await server.start()
            await server.stop()
        await asyncio.sleep(0)

    run(scenario())
    assert psutil.Process().num_fds() <= before
