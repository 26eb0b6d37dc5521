"""One runner process as its pool sees it: started, talked to, killed, buried.

The socket is read until its end and the process is reaped before `gone` is told, so whoever hears it may trust the
page: nothing runs any more, and every result that was ever sent has been delivered. Each process leads a process group
of its own, which is killed with it: programs that a handler started do not outlive its timeout, and Ctrl-C at a
terminal reaches the worker only.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Protocol

from ohmesh.errors import AgentDefinitionError, InvalidArgument
from ohmesh.runners.config import RunnerConfig
from ohmesh.runners.custody import Custody
from ohmesh.runners.page import Page, create_page_file
from ohmesh.runners.progress import ProgressReader
from ohmesh.runners.wire import (
    Begin,
    Items,
    Load,
    Loaded,
    LoadedAgent,
    LoadFailed,
    Overdue,
    Row,
    Splitter,
    ToProcess,
    decode_to_pool,
    frame,
)

_READ_BYTES = 256 * 1024
_REAP_INTERVAL_S = 0.002
_FRAME_SLACK_BYTES = 1 << 20  # the declarations of a large module, the traceback beside a value
_log = logging.getLogger("ohmesh.runners")
# The package may have been found by a path that the child does not know; it comes last, so it hides nothing.
_BOOT = "import sys; sys.path.append(sys.argv.pop()); from ohmesh.runners.child import main; main()"
_PACKAGE_PARENT = str(Path(__file__).resolve().parents[2])


class ProcessListener(Protocol):
    """What a process tells its pool, always from the event loop."""

    def loaded(self, process: RunnerProcess) -> None: ...

    def finished(self, process: RunnerProcess, rows: list[Row]) -> None: ...

    def overdue(self, process: RunnerProcess, numbers: list[int]) -> None: ...

    def yielded(self, process: RunnerProcess, items: Items) -> None: ...

    def gone(self, process: RunnerProcess) -> None: ...


class RunnerProcess:
    def __init__(self, config: RunnerConfig, listener: ProcessListener) -> None:
        self._config = config
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._splitter = Splitter(config.value_max_bytes + config.outbox_bytes + _FRAME_SLACK_BYTES)
        self._outgoing = bytearray()
        self._lost_at_ns = 0
        self.agents: list[LoadedAgent] = []
        self.load_error: AgentDefinitionError | None = None
        self.is_loaded = False
        self.is_gone = False
        self._is_spoilt = False
        self._spawn()
        self.progress = ProgressReader(self.page)
        self.custody = Custody(self.page.words, settle_ns=config.settle_ms * 1_000_000)
        self._loop.add_reader(self._connection.fileno(), self._read)
        self._deadline = self._loop.call_later(config.start_timeout_ms / 1000, self._start_too_slow)
        self.send(_load_message(config))

    @property
    def pid(self) -> int:
        return self._process.pid

    def begin(self, *, is_async: bool) -> None:
        self.send(Begin(is_async))

    def send(self, message: ToProcess) -> None:
        """Never blocks: what the socket does not take waits in memory, bounded by what the pool lets it hold."""
        if self._lost_at_ns:
            return
        data = frame(message)
        if not self._outgoing:
            data = data[self._send_some(data) :]
            if not data:
                return
            self._loop.add_writer(self._connection.fileno(), self._write)
        self._outgoing += data

    def kill(self) -> None:
        """End it and everything it started; `gone` follows."""
        if self._process.poll() is None:
            _kill_group(self._process.pid)

    def close(self) -> None:
        """Let it end by itself, where nothing runs in it; `gone` follows."""
        if not self._lost_at_ns:
            self._connection.shutdown(socket.SHUT_WR)

    def look(self) -> None:
        """Notice a death that the socket does not show, because a fork of user code holds it open."""
        if not self._lost_at_ns and self._process.poll() is not None:
            while self._read():
                pass
            self._lose()

    def ending(self) -> str:
        """How it ended, in words."""
        code = self._process.returncode
        if code is None:
            return "is not gone although it was killed"
        if code >= 0:
            return f"ended with exit code {code}"
        try:
            return f"was ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"was ended by signal {-code}"

    def _spawn(self) -> None:
        ours, theirs = socket.socketpair()
        page_descriptor = create_page_file(self._config.outbox_bytes)
        try:
            ours.setblocking(False)
            self.page = Page(page_descriptor)
            self._connection = ours
            arguments = [str(theirs.fileno()), str(page_descriptor), str(os.getpid()), _PACKAGE_PARENT]
            self._process = subprocess.Popen(
                [sys.executable, "-c", _BOOT, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=2,  # what user code prints must not mix with what the worker prints for programs to read
                pass_fds=(theirs.fileno(), page_descriptor),
                process_group=0,
            )
        finally:
            theirs.close()
            os.close(page_descriptor)

    def _read(self) -> bool:
        try:
            data = self._connection.recv(_READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            data = b""  # reset: it died with unread work
        if not data:
            self._lose()
            return False
        if not self._is_spoilt:
            self._take_all(data)
        return True

    def _take_all(self, data: bytes) -> None:
        try:
            for body in self._splitter.feed(data):
                self._take(body)
        except InvalidArgument as error:
            self.spoil(error)

    def spoil(self, error: InvalidArgument) -> None:
        """User code has written over what is ours: nothing more is believed, what it held is settled by its end."""
        _log.error("runner process %d is killed, what it says makes no sense: %s", self.pid, error)
        self._is_spoilt = True
        self.kill()

    def _take(self, body: memoryview) -> None:
        message = decode_to_pool(body)
        if isinstance(message, Loaded):
            self._deadline.cancel()
            self.agents, self.is_loaded = message.agents, True
            self._listener.loaded(self)
        elif isinstance(message, LoadFailed):
            self.load_error = AgentDefinitionError(message.message, hint=message.hint)
        elif isinstance(message, Overdue):
            self._listener.overdue(self, message.numbers)
        elif isinstance(message, Items):
            self._listener.yielded(self, message)
        else:
            self._listener.finished(self, message.rows)

    def _send_some(self, data: bytes | bytearray) -> int:
        try:
            return self._connection.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            return len(data)  # it is dying; the reader will see the end

    def _write(self) -> None:
        del self._outgoing[: self._send_some(self._outgoing)]
        if not self._outgoing:
            self._loop.remove_writer(self._connection.fileno())

    def _start_too_slow(self) -> None:
        self.load_error = AgentDefinitionError(
            f"A runner process did not finish loading {', '.join(self._config.targets)} in"
            f" {self._config.start_timeout_ms} ms and was killed.",
            hint="Move slow work out of the module's top level, or allow more time.",
        )
        self.kill()

    def _lose(self) -> None:
        """The socket has ended; so will the process. It is not reaped before its group is killed: its id is ours."""
        if self._lost_at_ns:
            return
        self._lost_at_ns = time.monotonic_ns()
        self._deadline.cancel()
        descriptor = self._connection.fileno()
        self._loop.remove_reader(descriptor)
        self._loop.remove_writer(descriptor)
        self._connection.close()
        if self._process.returncode is None:
            _kill_group(self._process.pid)
        self._bury()

    def _bury(self) -> None:
        waited_ms = (time.monotonic_ns() - self._lost_at_ns) // 1_000_000
        if self._process.poll() is None and waited_ms < self._config.reap_timeout_ms:
            self._loop.call_later(_REAP_INTERVAL_S, self._bury)
            return
        if not self.is_loaded and self.load_error is None:
            self.load_error = AgentDefinitionError(
                f"A runner process {self.ending()} while it loaded {', '.join(self._config.targets)}.",
                hint="What it printed stands in this worker's standard error.",
            )
        self.is_gone = True
        self._listener.gone(self)


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it has ended and so has all that it started
    except PermissionError:
        os.kill(pid, signal.SIGKILL)  # some systems say so of a group whose leader is a zombie


def _load_message(config: RunnerConfig) -> Load:
    return Load(
        config.loader,
        config.targets,
        config.options,
        config.import_paths,
        config.flush_us,
        config.value_max_bytes,
        config.traceback_max_chars,
        config.tick_ms,
        config.envelope_ms,
    )
