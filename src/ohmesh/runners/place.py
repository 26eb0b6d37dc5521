"""Whether we are inside a runner process: what user code must not do there, such as starting a mesh, asks here."""

from __future__ import annotations

import os

_marked: set[int] = set()


def mark_runner_process() -> None:
    """Said once by the runner process itself; its forks and programs are none."""
    _marked.add(os.getpid())


def is_runner_process() -> bool:
    return os.getpid() in _marked
