"""The door for HTTP as a process: it listens at once, and serves the mesh as soon as that is reached.

Invariants: it listens on loopback unless it was told that it may be asked from elsewhere; while the mesh is away its
answer is a problem with 503, and the process stays. After a kill it comes back where it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import uvicorn

from ohmesh.api.application import build_application
from ohmesh.api.config import DEFAULT_PORT, ApiConfig
from ohmesh.api.door import Door
from ohmesh.api.keyring import Keyring
from ohmesh.api.routes import HEAD_BYTES_MAX
from ohmesh.assembly.api_access import (
    ensure_token,
    keys_path,
    read_address,
    read_keys,
    remove_address,
    token_path,
    write_address,
)
from ohmesh.assembly.connection import connect_client
from ohmesh.assembly.data_directory import DataDirectory
from ohmesh.assembly.settings import data_directory
from ohmesh.assembly.termination import on_termination
from ohmesh.config import Config, installed_version
from ohmesh.engines.nats.config import Notice
from ohmesh.errors import EngineUnavailable, InvalidArgument, MeshUnreachable, OhmeshError
from ohmesh.roles.client import Client

KEYS_LOOKED_AT_S = 1.0


class _Server(uvicorn.Server):
    """Signals are this process's own business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class MeshSlot:
    """The client of the mesh, once there is one. `tried` is set when that was first found out."""

    def __init__(self) -> None:
        self.tried = asyncio.Event()
        self._client: Client | None = None
        self._reason = "the door has just been opened"

    def client(self) -> Client:
        if self._client is None:
            raise MeshUnreachable(
                f"The mesh is not reached: {self._reason}", hint="Is it up? `ohmesh doctor` looks."
            )
        return self._client

    async def keep(self, config: Config, notice: Notice) -> None:
        """Fill it, however long that takes; once reached, a client comes back by itself."""
        is_told = False
        while True:
            try:
                async with connect_client(config, notice=notice, advice=notice) as self._client:
                    self.tried.set()
                    await asyncio.Event().wait()
            except (EngineUnavailable, MeshUnreachable) as error:
                self._client, self._reason = None, error.message
                self.tried.set()
                if not is_told:
                    is_told = True
                    notice(f"waiting for the mesh: {error}")
            await asyncio.sleep(config.of(ApiConfig).mesh_retry_ms / 1000)


async def run_api(config: Config, *, ready: Callable[[str, Path], None], notice: Notice) -> None:
    """Serve until SIGINT or SIGTERM. `ready` hears the address and the file of the token.

    Raises InvalidArgument (a port that is taken, an address beyond this machine), NotAuthorised.
    """
    settings, data = config.of(ApiConfig), data_directory(config)
    check_place(settings)
    token_file, keys_file = token_path(settings, data), keys_path(settings, data)
    keyring = Keyring(ensure_token(token_file, notice), settings, keys=read_keys(keys_file).checked())
    slot = MeshSlot()
    door = Door(config=settings, mesh=slot.client, keyring=keyring)
    with listening(settings, data) as listener:
        url = url_of(listener, settings.host)
        server = _Server(_server_config(door))

        def stop() -> None:
            door.streams.closing.set()
            server.should_exit = True

        on_termination(stop)
        serving = asyncio.ensure_future(server.serve(sockets=[listener]))
        keeping = [
            asyncio.ensure_future(slot.keep(config, notice)),
            asyncio.ensure_future(_watch_keys(keys_file, keyring, notice)),
        ]
        with _known_address(data, url, listener.getsockname()[1]):
            tried = asyncio.ensure_future(_tell_when_tried(slot, lambda: ready(url, token_file)))
            await asyncio.wait([serving, *keeping], return_when=asyncio.FIRST_COMPLETED)
            tried.cancel()
            stop()
            await serving
        ended = [task for task in keeping if task.done()]
        for task in keeping:
            task.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)
        for task in ended:
            task.result()


def check_place(settings: ApiConfig) -> None:
    """Whoever is asked from elsewhere has said so."""
    if settings.allow_remote or is_loopback(settings.host):
        return
    raise InvalidArgument(
        f"{settings.host} can be reached from other machines, and the door speaks plain HTTP.",
        hint="Put a proxy with TLS before 127.0.0.1, or say --allow-remote on a network that you trust.",
    )


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextlib.contextmanager
def listening(settings: ApiConfig, data: DataDirectory) -> Iterator[socket.socket]:
    """A port that was asked for, or: that of a predecessor that was killed, 7400, a free one."""
    wanted = [settings.port]
    if not settings.port:
        before = read_address(data)
        wanted = [*([before.port] if before else []), DEFAULT_PORT, 0]
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    for port in wanted:
        try:
            listener = socket.create_server((settings.host, port), family=family, backlog=512)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and port != wanted[-1]:
                continue
            # asyncio and socket put the address behind it once more
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
            raise InvalidArgument(
                f"The door cannot listen at {settings.host} port {port}: {reason}.",
                hint="Give another --host or --port (`ohmesh up`: --api-port).",
            ) from error
        with listener:
            yield listener
        return


def url_of(listener: socket.socket, host: str) -> str:
    """As a person types it; an address that means all of them is this machine's."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    port = listener.getsockname()[1]
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def _server_config(door: Door) -> uvicorn.Config:
    return uvicorn.Config(
        build_application(door, version=installed_version()),
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        h11_max_incomplete_event_size=HEAD_BYTES_MAX,
        timeout_graceful_shutdown=max(1, round(door.config.stop_grace_ms / 1000)),
    )


@contextlib.contextmanager
def _known_address(data: DataDirectory, url: str, port: int) -> Iterator[None]:
    """Written where a mesh lives; it stays behind after a kill, for the successor."""
    if data.shape() is None:
        yield
        return
    write_address(data, url, port)
    try:
        yield
    finally:
        remove_address(data)


async def _tell_when_tried(slot: MeshSlot, ready: Callable[[], None]) -> None:
    await slot.tried.wait()
    ready()


async def _watch_keys(path: Path, keyring: Keyring, notice: Notice) -> None:
    """A key that is added or removed counts within a second, whatever other lines say; a file that cannot be read
    changes nothing, and of one that others may have written no key counts."""
    said = ""
    while True:
        trouble = use_keys(path, keyring)
        if trouble and trouble != said:
            notice(trouble)
        said = trouble
        await asyncio.sleep(KEYS_LOOKED_AT_S)


def use_keys(path: Path, keyring: Keyring) -> str:
    """What is wrong with the file, or ""."""
    try:
        found = read_keys(path)
        keyring.use_keys(found.keys)
        found.checked()
    except OhmeshError as error:
        return str(error)
    return ""
