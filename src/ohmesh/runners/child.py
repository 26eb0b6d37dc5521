"""The runner process: what is started by the pool, with a socket and a shared page as its only ties.

It imports the agents, tells what it found, is told whether to be a process for sync or for async code, and works until
the connection closes. Standard output goes to standard error, standard input is empty; the socket is closed in
processes that user code forks or starts.
"""

from __future__ import annotations

import importlib
import os
import socket
import sys

from ohmesh.errors import OhmeshError
from ohmesh.ports.handler import Handler, LoadHandlers
from ohmesh.runners.concurrent_loop import ConcurrentLoop
from ohmesh.runners.lifeline import die_with_parent
from ohmesh.runners.page import Page
from ohmesh.runners.place import mark_runner_process
from ohmesh.runners.progress import open_desk
from ohmesh.runners.serial_loop import SerialLoop
from ohmesh.runners.wire import (
    LENGTH,
    Begin,
    Load,
    Loaded,
    LoadedAgent,
    LoadFailed,
    ToProcess,
    decode_to_process,
    frame,
)


def main() -> None:
    """Arguments: file descriptors of the socket and of the page, and the parent's process id."""
    socket_descriptor, page_descriptor, parent_pid = (int(one) for one in sys.argv[1:4])
    connection = socket.socket(fileno=socket_descriptor)
    connection.set_inheritable(False)
    die_with_parent(parent_pid, connection)
    mark_runner_process()
    page = Page(page_descriptor)
    os.close(page_descriptor)
    os.register_at_fork(after_in_child=connection.close)
    sys.argv[1:] = []
    try:
        _serve(connection, page)
    except (BrokenPipeError, ConnectionResetError):
        os._exit(0)  # the parent is gone; nobody is left to tell


def _serve(connection: socket.socket, page: Page) -> None:
    settings = _receive(connection)
    if not isinstance(settings, Load):
        return
    try:
        handlers = {one.spec.agent: one for one in _load(settings)}
    except OhmeshError as error:
        connection.sendall(frame(LoadFailed(error.message, error.hint)))
        return
    connection.sendall(
        frame(
            Loaded(
                [LoadedAgent(one.spec, one.is_async, bool(one.manner.stream)) for one in handlers.values()]
            )
        )
    )
    begin = _receive(connection)
    if not isinstance(begin, Begin):
        return
    open_desk(page, is_async=begin.is_async)
    kind = ConcurrentLoop if begin.is_async else SerialLoop
    kind(connection, page, handlers, settings).serve()


def _load(settings: Load) -> list[Handler]:
    sys.path[:0] = settings.import_paths
    module_name, _, name = settings.loader.partition(":")
    load: LoadHandlers = getattr(importlib.import_module(module_name), name)
    return list(load(settings.targets, settings.options))


def _receive(connection: socket.socket) -> ToProcess | None:
    """One frame and not a byte more: what follows is read by the loop that serves. None when there is none."""
    head = connection.recv(LENGTH.size, socket.MSG_WAITALL)
    if len(head) < LENGTH.size:
        return None
    length = LENGTH.unpack(head)[0]
    body = connection.recv(length, socket.MSG_WAITALL)
    return decode_to_process(body) if len(body) == length else None


if __name__ == "__main__":
    main()
