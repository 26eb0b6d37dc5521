"""What a dispatcher answers while its log takes nothing though the engine lives: a full disk, a limit of the account.

What it has decided waits, and nobody hears of it before it is durable. What comes new need not wait as well: a task
that it has not taken is refused with the reason, a question is answered with it, at once, so that callers are not left
with silence. What hosts report is always heard.
"""

from __future__ import annotations

from ohmesh.errors import Backpressure, EngineUnavailable, OhmeshError
from ohmesh.model.explanation import Explain
from ohmesh.model.lock import AskLock
from ohmesh.model.message import (
    Accepted,
    ChangeTasks,
    Describe,
    LimitKind,
    ListHosts,
    ListTasks,
    PauseKind,
    Problem,
    Refusal,
    Submit,
    ToDispatcher,
)
from ohmesh.model.schedule import ChangeSchedule, ListSchedules, SetSchedule
from ohmesh.protocols.queue.intake import RETRY_AFTER_MS
from ohmesh.protocols.queue.task_table import TaskTable

_REQUESTS = (
    ListTasks,
    ListHosts,
    Describe,
    ChangeTasks,
    PauseKind,
    LimitKind,
    AskLock,
    Explain,
    SetSchedule,
    ChangeSchedule,
    ListSchedules,
)


def declined(body: ToDispatcher, table: TaskTable, shard: int, why: OhmeshError) -> Accepted | Problem | None:
    """The answer; None where this body is to be handled as ever."""
    message = (
        f"The log of shard {shard} takes nothing now. {why.message} Is the disk full? `ohmesh doctor` looks; nothing "
        "that was acknowledged is lost, and it goes on by itself."
    )
    if isinstance(body, Submit):
        fresh = [task.task_id for task in body.tasks if not table.holds(task.task_id)]
        return Accepted([], [Refusal(each, Backpressure.code, message, RETRY_AFTER_MS) for each in fresh])
    if isinstance(body, _REQUESTS):
        return Problem(EngineUnavailable.code, message, RETRY_AFTER_MS)
    return None
