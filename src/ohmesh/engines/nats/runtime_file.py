"""The runtime file: where the mesh of this machine is reached now. Clients read it again at each reconnect.

Written whole or not at all (a new file renamed over the old one), readable by its owner only. It names the seed file;
it never holds a secret itself.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

import msgspec

from ohmesh.errors import EngineFailed


class RuntimeFile(msgspec.Struct, frozen=True):
    """`started` is the server's start in milliseconds since 1970, `pid` the process that owns the server."""

    mesh: str
    url: str
    pid: int
    seed_file: str
    started: int


def write_runtime_file(path: Path, runtime: RuntimeFile) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_private(path, msgspec.json.format(msgspec.json.encode(runtime)))


def read_runtime_file(path: Path) -> RuntimeFile | None:
    """None when there is no such file; EngineFailed when it cannot be understood."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EngineFailed(
            f"The runtime file {path} cannot be read: {error.strerror or error}.",
            hint="Choose another data directory with --data, or mend its permissions.",
        ) from error
    try:
        return msgspec.json.decode(content, type=RuntimeFile)
    except msgspec.MsgspecError as error:
        raise EngineFailed(
            f"The runtime file {path} is damaged: {error}.",
            hint="Stop the mesh, remove the file and start it again.",
        ) from error


def remove_runtime_file(path: Path, *, pid: int) -> None:
    """Remove it if it still speaks of the process `pid`; a successor's stays."""
    with contextlib.suppress(EngineFailed):  # a damaged file is not ours to judge here
        runtime = read_runtime_file(path)
        if runtime is not None and runtime.pid == pid:
            path.unlink(missing_ok=True)


def write_private(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one step, mode 0600."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
