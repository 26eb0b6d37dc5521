"""What rows and news take, at most, in bytes: a step must fit one message of the engine."""

from __future__ import annotations

from ohmesh.model.task import TaskFailure

ROW_OVERHEAD_BYTES = 96


def id_bytes(task_id: str) -> int:
    """What an id takes in a list of ids."""
    return len(task_id) + 2


def text_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def failure_bytes(failure: TaskFailure) -> int:
    """What a failure takes; a traceback need not be ASCII."""
    texts = (failure.kind, failure.message, failure.traceback)
    return ROW_OVERHEAD_BYTES + sum(map(text_bytes, texts))
