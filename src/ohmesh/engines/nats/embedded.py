"""The embedded engine: the real nats-server as a child of this process, on loopback, in a data directory of its own.

    <data>/owner.lock server.lock      one owner, one server (ownership.py)
    <data>/nats.seed                   the NKey of everyone who may talk to it, mode 0600
    <data>/nats.conf nats.log nats.out configuration, log, and what was printed before the log was open
    <data>/port                        the port of last time, taken again when it is free
    <data>/store/                      JetStream

Invariants: the server ends with its owner, even when that is killed (tether.py); nobody without the seed gets in; it
listens on 127.0.0.1 only; after a crash it comes back on the same port with all that it acknowledged.
Call `start` from a thread that lives as long as the process: the kernel ties the server to that thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ohmesh.engines.nats import tether
from ohmesh.engines.nats.binary import ServerBinary, find_server_binary
from ohmesh.engines.nats.config import ConnectionConfig, Notice, log_notice
from ohmesh.engines.nats.credentials import ensure_seed_file
from ohmesh.engines.nats.ownership import Lock, acquire_owner_lock, acquire_server_lock
from ohmesh.engines.nats.readiness import ServerNotReady, check_ready
from ohmesh.engines.nats.runtime_file import write_private
from ohmesh.engines.nats.server_config import Durability, ServerSettings, render_server_config
from ohmesh.engines.nats.store_room import RoomConfig, StoreRoom
from ohmesh.engines.nats.stream_files import sync_streams
from ohmesh.errors import EngineFailed, EngineUnavailable

_LOG_LINES = 12
_PORT_TAKEN = "address already in use"
_LOG_TAIL_BYTES = 8_192


@dataclass(frozen=True, slots=True)
class EmbeddedConfig:
    """`port` 0 takes the port of last time, or a free one. `log_bytes` times `log_files` bounds the server's log.

    websocket_port: where the same is spoken over WebSocket, for agents in JavaScript; 0 is a free one, None nowhere.
    client_pending_bytes: a client that is further behind than this is cut off (it reconnects, and has lost that much of
    the bus); the server's own 64 MiB are less than a second of frames at full speed.
    restart_tries: failed starts in a row before `supervise` gives up; while the disk is full it does not.
    """

    data: Path
    durability: Durability = Durability.INTERVAL
    port: int = 0
    websocket_port: int | None = None
    max_payload_bytes: int = 1 << 20
    client_pending_bytes: int = 256 << 20
    start_timeout_ms: int = 30_000
    stop_timeout_ms: int = 5_000
    poll_interval_ms: int = 20
    port_tries: int = 5
    restart_tries: int = 8
    restart_most_ms: int = 5_000
    log_bytes: int = 8 << 20
    log_files: int = 3
    room: RoomConfig = field(default_factory=RoomConfig)
    connection: ConnectionConfig = field(default_factory=ConnectionConfig)
    notice: Notice = log_notice


class EmbeddedServer:
    def __init__(self, config: EmbeddedConfig) -> None:
        self.config = config
        self.seed_file = config.data / "nats.seed"
        self._binary: ServerBinary | None = None
        self._owner: Lock | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._port = config.port
        self._websocket_port = config.websocket_port or 0
        self._public_key = ""
        self._room = StoreRoom(config.data, config.data / "nats.log", config.room, config.notice)
        self._stopping = False
        self._changing = asyncio.Lock()

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self._port}"

    @property
    def websocket_url(self) -> str:
        """ "" where there is no such door."""
        return f"ws://127.0.0.1:{self._websocket_port}" if self._websocket_port else ""

    @property
    def pid(self) -> int:
        """Of the server; 0 while there is none."""
        return self._process.pid if self.is_running and self._process is not None else 0

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def binary(self) -> ServerBinary:
        """Path, version and origin of the server that is run, for `doctor`."""
        if self._binary is None:
            self._binary = find_server_binary()
        return self._binary

    async def start(self) -> None:
        """Own the data directory and have a server that answers. Raises EngineInUse or EngineFailed."""
        self._stopping = False
        try:
            with self._in_words():
                self.config.data.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._owner = acquire_owner_lock(self.config.data)
                self._public_key = ensure_seed_file(self.seed_file, self.config.notice)
            await self._launch()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End the server (SIGTERM, and SIGKILL when it does not hear) and give the directory up; idempotent."""
        self._stopping = True
        await self._end_process()
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.close()

    async def sync_streams(self) -> None:
        """Once the streams are there: not even a power cut makes them unknown again (stream_files.py)."""
        with self._in_words("kept"):
            await asyncio.to_thread(sync_streams, self.config.data / "store")

    async def restart(self) -> None:
        """End the server and start it again on the same port."""
        async with self._changing:
            self._check_owned()
            await self._end_process()
            await self._launch()

    async def supervise(self, restarted: Callable[[], None] = lambda: None) -> None:
        """Start the server again whenever it died, or had stopped storing and could store again, until `stop`.
        `restarted` is called each time (the URL may be new when somebody took the port). Raises EngineFailed when it
        cannot be started any more."""
        while not self._stopping:
            if self.is_running and not (self._room.is_due() and await asyncio.to_thread(self._room.look)):
                await asyncio.sleep(self.config.poll_interval_ms / 1000)
                continue
            if self.is_running:
                self.config.notice("starting the NATS server again, so that it stores again")
                async with self._changing:
                    await self._end_process()
                self._room.watch_from_here()
            else:
                status = self._process.returncode if self._process is not None else None
                self.config.notice(f"the NATS server ended (status {status}); starting it again")
            await self._revive()
            if not self._stopping:
                restarted()

    async def _revive(self) -> None:
        wait_ms = self.config.poll_interval_ms
        attempt = 0
        while not self._stopping:
            await asyncio.to_thread(self._room.look)
            attempt += not self._room.is_short
            try:
                async with self._changing:
                    if not self.is_running:
                        await self._launch()
                return
            except EngineFailed as error:
                if attempt >= self.config.restart_tries:
                    raise
                if not self._room.is_short:
                    self.config.notice(f"start {attempt} of {self.config.restart_tries} failed: {error}")
            await asyncio.sleep(wait_ms / 1000)
            wait_ms = min(4 * wait_ms, self.config.restart_most_ms)

    async def _launch(self) -> None:
        """One server that answers. A port that is taken in the last moment leads to another one."""
        self._check_owned()
        for attempt in range(1, self.config.port_tries + 1):
            self._port = self._choose_port()
            if self.config.websocket_port == 0 and not (
                self._websocket_port and _is_free(self._websocket_port)
            ):
                self._websocket_port = _free_port()
            name = f"ohmesh-{secrets.token_hex(6)}"
            with self._in_words():
                await self._spawn(name)
            try:
                await self._until_ready(name)
            except BaseException as error:
                await self._end_process(gently=False)
                taken = isinstance(error, EngineFailed) and "address already in use" in error.message
                if self.config.port or not taken or attempt == self.config.port_tries:
                    raise
                continue
            with contextlib.suppress(OSError):  # next time it is another port, which clients find too
                write_private(self.config.data / "port", f"{self._port}\n".encode())
            return

    async def _spawn(self, name: str) -> None:
        data = self.config.data.resolve()
        configuration = data / "nats.conf"
        settings = ServerSettings(
            name=name,
            port=self._port,
            store=data / "store",
            log_file=data / "nats.log",
            public_key=self._public_key,
            durability=self.config.durability,
            max_payload_bytes=self.config.max_payload_bytes,
            client_pending_bytes=self.config.client_pending_bytes,
            log_bytes=self.config.log_bytes,
            log_files=self.config.log_files,
            store_bytes=self._room.total_bytes(),
            websocket_port=self._websocket_port,
        )
        self._room.watch_from_here()
        write_private(configuration, render_server_config(settings).encode())
        lock = await acquire_server_lock(data, patience_s=self.config.stop_timeout_ms / 1000)
        try:
            self._process = self._run(["-c", str(configuration)], lock)
        finally:
            lock.close()

    def _run(self, arguments: list[str], lock: Lock) -> subprocess.Popen[bytes]:
        """The server, tied to this process and holding `lock`."""
        tied = [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), str(lock.descriptor)]
        data = self.config.data.resolve()
        with (data / "nats.out").open("wb") as printed:
            return subprocess.Popen(
                [*tied, str(self.binary.path), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=printed,
                cwd=data,
                pass_fds=[lock.descriptor],
                start_new_session=True,  # Ctrl-C reaches us, who then stop it in order
            )

    async def _until_ready(self, name: str) -> None:
        deadline = time.monotonic() + self.config.start_timeout_ms / 1000
        while True:
            if not self.is_running:
                words = self._last_words()
                hint = "Choose another --port, or none." if _PORT_TAKEN in words else ""
                raise EngineFailed(f"The NATS server did not start. {words}", hint=hint)
            try:
                await check_ready(self.url, self.seed_file, name, self.config.connection)
                return
            except (ServerNotReady, EngineUnavailable) as error:
                if time.monotonic() > deadline:
                    raise EngineFailed(
                        f"The NATS server was not ready within {self.config.start_timeout_ms} ms: {error} "
                        f"{self._last_words()}"
                    ) from error
            await asyncio.sleep(self.config.poll_interval_ms / 1000)

    async def _end_process(self, *, gently: bool = True) -> None:
        process = self._process
        if process is None:
            return
        if gently and process.poll() is None:
            process.terminate()
            await self._wait_for_end(process)
        if process.poll() is None:
            process.kill()
        process.wait()
        self._process = None

    async def _wait_for_end(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + self.config.stop_timeout_ms / 1000
        while process.poll() is None:
            if time.monotonic() > deadline:
                self.config.notice(f"the NATS server (pid {process.pid}) does not end by itself; killing it")
                return
            await asyncio.sleep(self.config.poll_interval_ms / 1000)

    def _choose_port(self) -> int:
        if self.config.port:
            return self.config.port
        remembered = self._port or _remembered_port(self.config.data / "port")
        return remembered if remembered and _is_free(remembered) else _free_port()

    def _check_owned(self) -> None:
        if self._owner is None:
            raise EngineFailed(f"The server of {self.config.data} was not started, or is stopped.")

    @contextlib.contextmanager
    def _in_words(self, what: str = "started") -> Iterator[None]:
        """What the file system refuses us, translated."""
        try:
            yield
        except OSError as error:
            raise EngineFailed(
                f"The NATS server cannot be {what} in {self.config.data}: {error.strerror or error}.",
                hint="Make room or mend the permissions there, or choose another directory with --data.",
            ) from error

    def _last_words(self) -> str:
        lines = [*_tail(self.config.data / "nats.log"), *_tail(self.config.data / "nats.out")]
        lines = [line for line in lines if "[FTL]" in line or "[ERR]" in line] or lines
        return "It said:\n" + "\n".join(lines) if lines else "It said nothing."


def _tail(path: Path) -> list[str]:
    """The last lines of a log that may be absent."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _LOG_TAIL_BYTES))
            return file.read().decode(errors="replace").splitlines()[-_LOG_LINES:]
    except OSError:
        return []


def _remembered_port(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
