"""How a process of the mesh ends: gently at the first signal, at once at a further one, with its parent always."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable

from ohmesh.runners.lifeline import die_with_parent

FORCED_EXIT = 130


def on_termination(
    stop: Callable[[], None],
    *,
    hurry: Callable[[], bool] = lambda: False,
    force: Callable[[], None] | None = None,
) -> None:
    """Call `stop` at the first signal, `hurry` at the second; at the third, or at the second when `hurry` says that it
    can do nothing, call `force` and leave without looking back."""
    asked = 0

    def signalled() -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            stop()
            return
        if asked == 2 and hurry():
            return
        if force is not None:
            force()
        os._exit(FORCED_EXIT)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signalled)


def tie_to_parent(parent_pid: int) -> None:
    """End with the supervisor that started us, even when it is killed. Standard input is the socket to it."""
    if parent_pid:
        die_with_parent(parent_pid, socket.socket(fileno=os.dup(0)))
