"""One owner per data directory, one server per data directory.

Two locks (flock), because two processes may hold on to a directory: `owner.lock` belongs to the process that runs the
embedded server and vanishes with it, however it dies; `server.lock` is inherited by the server alone and vanishes with
the server. A new owner takes the first, or is refused by name; then it waits for the second, and ends a server that
outlived its owner. So two servers never write to one store.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import time
from pathlib import Path

from ohmesh.errors import EngineFailed, EngineInUse

_RETRY_S = 0.02
_ANOTHER = "Use that one, stop it with `ohmesh down`, or choose another directory with --data."


class Lock:
    """An flock on a file that also says who holds it. Closing it releases it, unless a child inherited it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1

    @property
    def descriptor(self) -> int:
        return self._descriptor

    def try_acquire(self) -> bool:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        os.ftruncate(descriptor, 0)
        self._descriptor = descriptor
        return True

    def write_pid(self, pid: int) -> None:
        os.pwrite(self._descriptor, f"{pid}\n".encode(), 0)

    def holder(self) -> int:
        """The pid that the holder wrote, 0 when it has not yet."""
        with contextlib.suppress(OSError, ValueError):
            return int(self.path.read_text())
        return 0

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def acquire_owner_lock(data: Path, *, hint: str = _ANOTHER) -> Lock:
    """Become the owner of `data`, or raise EngineInUse with the pid of the one that is."""
    lock = Lock(data / "owner.lock")
    if not lock.try_acquire():
        raise EngineInUse(
            f"Process {lock.holder()} already runs a mesh in {data}.",
            hint=hint,
        )
    lock.write_pid(os.getpid())
    return lock


async def acquire_server_lock(data: Path, *, patience_s: float) -> Lock:
    """Wait until no server runs in `data`; one left over from a dead owner is killed after half the patience."""
    lock = Lock(data / "server.lock")
    begun = time.monotonic()
    killed = False
    while not lock.try_acquire():
        waited = time.monotonic() - begun
        if waited > patience_s:
            raise EngineFailed(
                f"A server (pid {lock.holder()}) still uses {data} after {patience_s:g} s.",
                hint="End that process.",
            )
        if waited > patience_s / 2 and not killed and lock.holder():
            killed = True
            # Only a process that inherited this very lock keeps it, so the pid in it is that server.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(lock.holder(), signal.SIGKILL)
        await asyncio.sleep(_RETRY_S)
    return lock
