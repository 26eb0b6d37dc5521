"""The verbs about dead letters: tasks that failed for good, or used up their attempts or their time."""

from __future__ import annotations

from ohmesh.model.message import DEAD_LETTER, TaskChange
from ohmesh.model.message import ListTasks as TaskQuery
from ohmesh.operations import arguments as a
from ohmesh.operations.results import ChangedTasks, DeadLetterDetails, DeadLetters
from ohmesh.operations.tasks import describe, tasks_named
from ohmesh.roles.client import Client


async def list_dead_letters(client: Client, arguments: a.ListDeadLetters) -> DeadLetters:
    """Newest first; `total` counts all dead letters of the shards that were asked."""
    query = TaskQuery([], arguments.kind, DEAD_LETTER, arguments.limit, arguments.after)
    page = await client.requests.list_tasks(query)
    return DeadLetters([describe(view) for view in page.tasks], page.after, page.total)


async def get_dead_letters(client: Client, arguments: a.GetDeadLetters) -> DeadLetterDetails:
    """With every kept failure; what is no dead letter is named under `unknown`."""
    found = await tasks_named(client, arguments.task_ids, state=DEAD_LETTER)
    return DeadLetterDetails(found.tasks, total=found.total, unknown=found.unknown)


async def replay_dead_letters(client: Client, arguments: a.ReplayDeadLetters) -> ChangedTasks:
    """They wait again, with fresh attempts and their failures kept."""
    return await _change(client, TaskChange.REPLAY, arguments)


async def purge_dead_letters(client: Client, arguments: a.PurgeDeadLetters) -> ChangedTasks:
    """They are dead letters no more; as tasks they stay what they were until their retention ends."""
    return await _change(client, TaskChange.PURGE_DEAD_LETTERS, arguments)


async def _change(
    client: Client, change: TaskChange, arguments: a.ReplayDeadLetters | a.PurgeDeadLetters
) -> ChangedTasks:
    if arguments.all:
        answer = await client.changes.of_everything(change, arguments.kind)
    else:
        answer = await client.changes.of_tasks(change, arguments.task_ids)
    return ChangedTasks(answer.done, answer.too_late, answer.unknown, answer.key_taken)
