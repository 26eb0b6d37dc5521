"""Who runs the mesh of a data directory, and how to end it from another process.

The owner's lock says it: the kernel releases it with its holder, so a pid in a file that was left behind, or that
belongs to somebody else by now, is never signalled.
"""

from __future__ import annotations

import os
import signal
import time

from ohmesh.assembly.data_directory import DataDirectory
from ohmesh.engines.nats.ownership import Lock
from ohmesh.engines.nats.runtime_file import read_runtime_file
from ohmesh.errors import EngineFailed

POLL_S = 0.02
OWNER_LOCK = "owner.lock"


def running_pid(data: DataDirectory) -> int:
    """The process that runs a mesh here, 0 when none does. EngineFailed when that cannot be looked at."""
    path = data.root / OWNER_LOCK
    lock = Lock(path)
    try:
        path.stat()
        if lock.try_acquire():
            lock.close()
            return 0
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except OSError as error:
        raise data.unusable(error) from error
    return lock.holder()


def vanished_pid(data: DataDirectory) -> int:
    """The process that the runtime file names, when there is none of that number: it was killed. Else 0."""
    runtime = read_runtime_file(data.runtime_file)
    if runtime is None:
        return 0
    try:
        os.kill(runtime.pid, 0)
    except ProcessLookupError:
        return runtime.pid
    except PermissionError:  # it is there, and somebody else's
        return 0
    return 0


def end_running(data: DataDirectory, *, patience_s: float) -> int:
    """Ask the process that runs a mesh here to end, and wait until it has; its pid, or 0 when there was none."""
    pid = running_pid(data)
    if not pid:
        return 0
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return pid
    except PermissionError as error:
        raise EngineFailed(
            f"The mesh in {data.root} belongs to another user (process {pid}).", hint="End it as that user."
        ) from error
    deadline_s = time.monotonic() + patience_s
    while running_pid(data) == pid:
        if time.monotonic() > deadline_s:
            raise EngineFailed(
                f"Process {pid} did not end the mesh in {data.root} within {patience_s:g} s.",
                hint=f"Look at its output; `kill -9 {pid}` is safe: what was acknowledged is on disk.",
            )
        time.sleep(POLL_S)
    return pid
