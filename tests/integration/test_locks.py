"""Locks between real processes: a holder is killed, or stopped past its ttl and continued; commands run under one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.running_mesh import RunningMesh, environment, ohmesh, running_mesh
from tests.waiting import wait_until

HOLDER = """
import sys, time
from ohmesh import Mesh
from ohmesh.errors import LockLost

name, ttl, data = sys.argv[1], float(sys.argv[2]), sys.argv[3]
with Mesh.connect(data=data) as mesh:
    try:
        with mesh.lock(name, ttl=ttl) as lock:
            print(lock.token, flush=True)
            while not lock.is_lost:
                time.sleep(0.01)
            try:
                lock.token
            except LockLost:
                print("refused", flush=True)
    except LockLost:
        print("lost", flush=True)
"""


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMesh]:
    with running_mesh(tmp_path_factory.mktemp("locks")) as mesh:
        mesh.up("--workers", "0")
        yield mesh


class Holder:
    """A program of its own that holds a lock until it is lost, or the program ends. What it printed is in `lines`."""

    def __init__(self, mesh: RunningMesh, lock: str, ttl_s: float) -> None:
        self._output = mesh.folder / f"{lock}-{len(list(mesh.folder.glob('*.holder')))}.holder"
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", HOLDER, lock, str(ttl_s), str(mesh.data)],
                stdout=output,
                cwd=mesh.folder,
                env=environment(),
            )

    def lines(self) -> list[str]:
        return self._output.read_text().splitlines()

    def token(self) -> int:
        wait_until(lambda: bool(self.lines()), what="it holds the lock", timeout_s=30)
        return int(self.lines()[0])

    def end(self) -> None:
        self.process.kill()
        self.process.wait(10)


@pytest.fixture
def holders(mesh: RunningMesh) -> Iterator[list[Holder]]:
    started: list[Holder] = []
    yield started
    for holder in started:
        holder.end()


def started(holders: list[Holder], mesh: RunningMesh, lock: str, ttl_s: float) -> Holder:
    holders.append(Holder(mesh, lock, ttl_s))
    return holders[-1]


def test_the_lock_of_a_killed_holder_goes_to_the_next_under_a_higher_token(
    mesh: RunningMesh, holders: list[Holder]
) -> None:
    first = started(holders, mesh, "killed", 2)
    token = first.token()
    second = started(holders, mesh, "killed", 2)
    wait_until(lambda: listed(mesh)["killed"]["waiting"] == 1, what="the second waits", timeout_s=30)
    assert second.lines() == []
    first.process.send_signal(signal.SIGKILL)
    assert second.token() > token


def test_a_holder_that_was_stopped_past_its_ttl_finds_that_out_and_its_token_is_the_lower_one(
    mesh: RunningMesh, holders: list[Holder]
) -> None:
    first = started(holders, mesh, "stopped", 2)
    token = first.token()
    first.process.send_signal(signal.SIGSTOP)
    second = started(holders, mesh, "stopped", 60)
    assert second.token() > token
    first.process.send_signal(signal.SIGCONT)
    assert first.process.wait(30) == 0
    assert first.lines() == [str(token), "refused", "lost"]
    assert listed(mesh)["stopped"]["token"] == second.token()


def test_a_command_runs_under_its_lock_and_its_exit_code_is_ours(
    mesh: RunningMesh, holders: list[Holder]
) -> None:
    ran = under(mesh, "command", "sh", "-c", 'echo "$OHMESH_LOCK_TOKEN"; exit 7')
    assert ran.returncode == 7, ran.stderr
    assert int(ran.stdout) > 0
    assert "command" not in listed(mesh)
    inner = f"{sys.executable} -m ohmesh locks list --json --data {mesh.data}"
    seen = under(mesh, "command", "sh", "-c", inner)
    # Other tests share this mesh, and their locks may be held still.
    assert "command" in [lock["name"] for lock in json.loads(seen.stdout)["locks"]], seen.stderr
    holder = started(holders, mesh, "command", 60)
    assert holder.token() > int(ran.stdout)
    refused = under(mesh, "command", "true", wait="0")
    assert (refused.returncode, str(holder.token()) in refused.stderr) == (3, True)
    assert mesh.run("locks", "release", "command", "--yes").returncode == 0
    assert under(mesh, "command", "true", wait="20").returncode == 0
    assert under(mesh, "command", "/no/such/command").returncode == 2


def test_a_command_ends_when_its_lock_is_taken_away(mesh: RunningMesh, tmp_path: Path) -> None:
    command = sleeper(mesh, "robbed", tmp_path / "begun")
    assert mesh.run("locks", "release", "robbed", "--yes").returncode == 0
    _, said = command.communicate(timeout=30)
    assert command.returncode == 1
    assert "was taken away" in said


def test_a_command_is_told_to_end_and_its_lock_is_free(mesh: RunningMesh, tmp_path: Path) -> None:
    command = sleeper(mesh, "ended", tmp_path / "begun")
    command.send_signal(signal.SIGTERM)
    command.communicate(timeout=30)
    assert command.returncode == 128 + signal.SIGTERM
    assert "ended" not in listed(mesh)


def sleeper(mesh: RunningMesh, lock: str, marker: Path) -> subprocess.Popen[str]:
    """A command that sleeps under the lock, and has begun to."""
    words = [sys.executable, "-m", "ohmesh", "lock", lock, "--ttl", "2", "--data", str(mesh.data), "--"]
    command = subprocess.Popen(
        [*words, "sh", "-c", f"touch {marker}; exec sleep 60"],
        cwd=mesh.folder,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(marker.exists, what="the command runs", timeout_s=30)
    return command


def under(mesh: RunningMesh, lock: str, *words: str, wait: str = "30") -> subprocess.CompletedProcess[str]:
    return ohmesh("lock", lock, "--data", str(mesh.data), "--wait", wait, "--", *words, cwd=mesh.folder)


def listed(mesh: RunningMesh) -> dict[str, dict[str, int]]:
    shown = mesh.run("locks", "list", "--json")
    assert shown.returncode == 0, shown.stderr
    return {lock["name"]: lock for lock in json.loads(shown.stdout)["locks"]}
