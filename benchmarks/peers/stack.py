"""The processes of one peer while it is measured: broker, workers, client; all are ended by their ids afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # ships no types

from benchmarks.peers.catalogue import REDIS, Peer
from benchmarks.peers.environment import Unavailable, python_of, redis_server

ROOT = Path(__file__).resolve().parents[2]
DRIVER = "benchmarks.peers.driver"
ANSWER_S = 90.0
LISTENS_S = 20.0
END_S = 5.0
LAST_WORDS = 300


class Stack:
    """`ask` makes its client measure something; `memory_mib` is what broker and workers hold resident."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.servers: list[subprocess.Popen[bytes]] = []
        self.client: subprocess.Popen[bytes] | None = None

    def begin(self, command: Sequence[str], url: str) -> subprocess.Popen[bytes]:
        with (self.folder / "said").open("ab") as said:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if DRIVER in command else said,
                stderr=said,
                cwd=self.folder,
                env=self._environment(url),
            )

    def _environment(self, url: str) -> dict[str, str]:
        """What they write for themselves goes with the folder, and Ray tells nobody that it was used."""
        folder = str(self.folder)
        ours = {"PEER_URL": url, "PYTHONPATH": str(ROOT), "TMPDIR": folder, "RAY_TMPDIR": folder}
        return {**os.environ, **ours, "RAY_USAGE_STATS_ENABLED": "0"}

    def ask(self, verb: str, count: int) -> dict[str, float]:
        """Raises Unavailable when it ends or does not answer in time."""
        client = self.client
        assert client is not None, "it was opened"
        assert client.stdin is not None, "it is a pipe"
        assert client.stdout is not None, "it is a pipe"
        with contextlib.suppress(BrokenPipeError):
            client.stdin.write(f"{verb} {count}\n".encode())
            client.stdin.flush()
        if not select.select([client.stdout], [], [], ANSWER_S)[0]:
            raise Unavailable(f"no answer to {verb} {count} within {ANSWER_S:.0f} s; {self._last_words()}")
        if not (line := client.stdout.readline()):
            raise Unavailable(f"its client ended in {verb} {count}; {self._last_words()}")
        answer: dict[str, float] = json.loads(line)
        return answer

    def memory_mib(self) -> float:
        measured = [process for server in self.servers for process in _tree(server.pid)]
        if self.client is not None:
            measured += _tree(self.client.pid)[1:]  # what it started itself
        return float(sum(process.memory_info().rss for process in measured)) / 2**20

    def end(self) -> None:
        started = [*([self.client] if self.client else []), *reversed(self.servers)]
        processes = [process for each in started for process in _tree(each.pid)]
        for each in started:
            each.terminate()
        _, left = psutil.wait_procs(processes, timeout=END_S)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        for each in started:
            each.wait()

    def _last_words(self) -> str:
        words = (self.folder / "said").read_text(errors="replace").strip()
        return f"it said: {words[-LAST_WORDS:]}"


@contextlib.contextmanager
def running(peer: Peer) -> Iterator[Stack]:
    """Everything that the peer needs, on a free port of loopback. Raises Unavailable."""
    python = str(python_of(peer.environment))
    with tempfile.TemporaryDirectory(prefix="ohmesh-peer-", ignore_cleanup_errors=True) as folder:
        stack = Stack(Path(folder))
        try:
            url = _begin_broker(stack, peer, python)
            for words in peer.workers:
                command = [python, "-m", *(word.format(url=url) for word in words)]
                stack.servers.append(stack.begin(command, url))
            stack.client = stack.begin([python, "-m", DRIVER, peer.app], url)
            yield stack
        finally:
            stack.end()


def _begin_broker(stack: Stack, peer: Peer, python: str) -> str:
    if not peer.broker:
        return ""
    port = _free_port()
    if peer.broker[0] == REDIS:
        words = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
        command, url = (
            [str(redis_server()), *words, "--dir", str(stack.folder)],
            f"redis://127.0.0.1:{port}/0",
        )
    else:
        command = [python, "-m", *(word.format(port=port) for word in peer.broker)]
        url = f"tcp://127.0.0.1:{port}"
    stack.servers.append(stack.begin(command, url))
    _until_it_listens(port)
    return url


def _until_it_listens(port: int) -> None:
    deadline = time.monotonic() + LISTENS_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise Unavailable(f"its broker does not listen after {LISTENS_S:.0f} s")


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _tree(pid: int) -> list[psutil.Process]:
    """The process and all below it, those gone meanwhile left out."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
