"""What `ohmesh doctor` looks at on this machine, whether a mesh runs or not."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import shutil
import socket
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

from ohmesh.assembly.data_directory import DataDirectory, open_to_others
from ohmesh.assembly.findings import Finding, fine, note, problem, warning
from ohmesh.assembly.standing import running_pid
from ohmesh.config import Config, installed_version
from ohmesh.engines.nats.binary import find_server_binary
from ohmesh.errors import OhmeshError

DISK_NEEDED_BYTES = 100 << 20
DISK_WISHED_BYTES = 2 << 30
FILES_WISHED = 4_096
_PROMISES = {
    "interval": "every crash of a process loses nothing acknowledged; a power cut can take the last second",
    "fsync": "not even a power cut loses what was acknowledged",
}


def check_machine(config: Config, data: DataDirectory) -> list[Finding]:
    checks: list[Callable[[Config, DataDirectory], Iterator[Finding]]] = [
        _versions,
        _server_binary,
        _data_directory,
        _disk,
        _open_files,
        _port,
        _durability,
    ]
    return [finding for check in checks for finding in check(config, data)]


def _versions(config: Config, data: DataDirectory) -> Iterator[Finding]:
    client = metadata.version("nats-py")
    yield fine(
        "versions", f"ohmesh {installed_version()}, Python {platform.python_version()}, nats-py {client}"
    )


def _server_binary(config: Config, data: DataDirectory) -> Iterator[Finding]:
    """Where the server comes from is the user's to judge, so it is always said."""
    if config.engine.url:
        yield note("server", f"an engine elsewhere is used ({config.engine.url}); none is started here")
        return
    try:
        binary = find_server_binary()
    except OhmeshError as error:
        yield problem("server", error.message, error.hint)
        return
    if binary.origin == "PATH":
        yield fine("server", f"nats-server {binary.version} at {binary.path}, found on PATH")
        return
    yield note(
        "server",
        f"nats-server {binary.version} at {binary.path}, from the {binary.origin}: a third party's build, not that of "
        f"the NATS authors; our requirements pin its hash",
        "To use another one, put a nats-server on PATH or give --url.",
    )


def _data_directory(config: Config, data: DataDirectory) -> Iterator[Finding]:
    root = data.root
    try:
        root.stat()
    except FileNotFoundError:
        yield note("data", f"{root} does not exist yet", "`ohmesh up` makes it.")
        return
    except OSError as error:
        found = data.unusable(error)
        yield problem("data", found.message, found.hint)
        return
    if not os.access(root, os.R_OK | os.W_OK | os.X_OK):
        yield problem("data", f"{root} cannot be written by you", f"Mend its permissions: chmod 700 {root}.")
        return
    try:
        shape = data.shape()
    except OhmeshError as error:
        yield problem("data", error.message, error.hint)
        return
    if shape is not None and shape.mesh != data.mesh:
        yield problem(
            "data", f"{root} holds mesh {shape.mesh!r}, not {data.mesh!r}", f"Use --mesh {shape.mesh}."
        )
    elif shape is None:
        yield note("data", f"{root} holds no mesh yet")
    else:
        yield fine("data", f"{root} holds mesh {shape.mesh!r} in {shape.shards} shard(s)")
    yield from _privacy(root, data)


def _privacy(root: Path, data: DataDirectory) -> Iterator[Finding]:
    private = [root, root / "nats.seed", data.runtime_file]
    exposed = [path for path in private if path.exists() and open_to_others(path)]
    for path in exposed:
        mode = "700" if path.is_dir() else "600"
        yield problem("privacy", f"{path} is open to other users", f"chmod {mode} {path}")
    if not exposed:
        yield fine("privacy", "data, key and runtime file are their owner's only")


def _disk(config: Config, data: DataDirectory) -> Iterator[Finding]:
    there = next(path for path in [data.root, *data.root.parents] if os.access(path, os.F_OK))
    free = shutil.disk_usage(there).free
    text = f"{free / (1 << 30):.1f} GiB free at {there}"
    if free < DISK_NEEDED_BYTES:
        yield problem("disk", text, "Make room: the engine stops taking tasks when the disk is full.")
    elif free < DISK_WISHED_BYTES:
        yield warning("disk", text, "Make room soon, or move the data with --data.")
    else:
        yield fine("disk", text)


def _open_files(config: Config, data: DataDirectory) -> Iterator[Finding]:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != resource.RLIM_INFINITY and limit < FILES_WISHED:
        yield warning("limits", f"a process may open {limit} files", f"ulimit -n {FILES_WISHED}")
    else:
        yield fine("limits", f"a process may open {limit} files")


def _port(config: Config, data: DataDirectory) -> Iterator[Finding]:
    port = config.engine.port
    with contextlib.suppress(OhmeshError):  # of the data directory, which has its own finding
        if not port or config.engine.url or running_pid(data):
            return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            yield problem(
                "port", f"{port} cannot be used: {error.strerror}", "Choose another --port, or none."
            )
            return
    yield fine("port", f"{port} is free")


def _durability(config: Config, data: DataDirectory) -> Iterator[Finding]:
    """Of the server that runs or ran last here, which may have been started with other settings than ours."""
    durability: str = config.engine.durability
    written = data.root / "nats.conf"
    if os.access(written, os.R_OK):
        durability = "fsync" if "sync_interval: always" in written.read_text(encoding="utf-8") else "interval"
    if config.engine.url:
        yield note("durability", "decided by the engine's owner", "Ask for its sync_interval and replicas.")
    elif durability == "fsync":
        yield fine("durability", f"fsync: {_PROMISES['fsync']}")
    else:
        yield note(
            "durability",
            f"interval: {_PROMISES['interval']}",
            "`ohmesh up --durability fsync` if it must not.",
        )
