"""Who waits for a task of a kind that nobody runs is told so after a while, once for each kind.

It may be right to wait, for a worker may come; a misspelt kind would be waited for in silence for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping

from ohmesh.model.message import Accepted
from ohmesh.roles.client_handle import TaskHandle

PATIENCE_MS = 3_000
NOTED = 1_000


class WaitingInVain:
    def __init__(self, notice: Callable[[str], None]) -> None:
        self._notice = notice
        self._noted: dict[TaskHandle, tuple[str, int]] = {}
        self._told: set[str] = set()

    def note(self, answer: Accepted, handles: Mapping[str, TaskHandle], now_ms: int) -> None:
        """Nobody ran the `unserved` kinds when these tasks were accepted."""
        for task_id in answer.task_ids:
            handle = handles.get(task_id)
            kind = handle.submission.kind if handle is not None and handle.submission is not None else ""
            if (
                handle is not None
                and kind in answer.unserved
                and kind not in self._told
                and len(self._noted) < NOTED
            ):
                self._noted[handle] = (kind, now_ms)

    def look(self, awaited: Container[TaskHandle], now_ms: int) -> None:
        for handle, (kind, since_ms) in list(self._noted.items()):
            if handle.is_done or kind in self._told:
                del self._noted[handle]
            elif now_ms - since_ms >= PATIENCE_MS and handle in awaited:
                del self._noted[handle]
                self._told.add(kind)
                self._notice(
                    f"Task {handle.id} waits: no worker ran kind {kind!r} when it was accepted. `ohmesh workers` shows "
                    f"the kinds that run, `ohmesh explain {handle.id}` why it waits now."
                )
