"""A runner process does not outlive its parent, even one that was killed, even while user code blocks it.

Linux sends SIGKILL by itself (PR_SET_PDEATHSIG, see prctl(2)) when the thread that started the process ends, which
is that of the pool's event loop. Elsewhere a thread waits for the connection to hang up; it sleeps in the kernel and
costs nothing.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import threading

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent_pid: int, connection: socket.socket) -> None:
    """Arrange it, and end at once when the parent is gone already."""
    if sys.platform == "linux":
        _ask_kernel()
    else:
        watch_connection(connection)
    if os.getppid() != parent_pid:
        os._exit(0)


def watch_connection(connection: socket.socket) -> threading.Thread:
    """End this process as soon as the other side of `connection` is closed."""

    def wait() -> None:
        poll = select.poll()
        poll.register(connection.fileno(), 0)  # only hang-up and errors, which are always told
        poll.poll()
        os._exit(0)

    thread = threading.Thread(target=wait, name="ohmesh-lifeline", daemon=True)
    thread.start()
    return thread


def _ask_kernel() -> None:
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl(PR_SET_PDEATHSIG): {os.strerror(number)}")
