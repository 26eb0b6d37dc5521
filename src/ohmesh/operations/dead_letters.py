"""The verbs about dead letters: tasks that failed for good, or used up their attempts or their time."""

from __future__ import annotations

from typing import cast

from ohmesh.model.message import DEAD_LETTER, TaskChange
from ohmesh.model.message import ListTasks as TaskQuery
from ohmesh.model.priority import parse_priority
from ohmesh.model.task import TaskEdit
from ohmesh.operations import arguments as a
from ohmesh.operations.results import ChangedTasks, DeadLetterDetails, DeadLetters
from ohmesh.operations.tasks import describe, tasks_named
from ohmesh.policies.complexity import complexity_of_task
from ohmesh.roles.client import Client
from ohmesh.roles.client_payload import decode_arguments, encode_arguments


async def list_dead_letters(client: Client, arguments: a.ListDeadLetters) -> DeadLetters:
    """Newest first; `total` counts all dead letters of the shards that were asked."""
    query = TaskQuery([], arguments.kind, DEAD_LETTER, arguments.limit, arguments.after)
    page = await client.requests.list_tasks(query)
    return DeadLetters([describe(view) for view in page.tasks], page.after, page.total)


async def get_dead_letters(client: Client, arguments: a.GetDeadLetters) -> DeadLetterDetails:
    """With their arguments and every kept failure; what is no dead letter is named under `unknown`."""
    found = await tasks_named(client, arguments.task_ids, state=DEAD_LETTER, with_payload=True)
    return DeadLetterDetails(found.tasks, total=found.total, unknown=found.unknown)


async def replay_dead_letters(client: Client, arguments: a.ReplayDeadLetters) -> ChangedTasks:
    """They wait again, with fresh attempts and their failures kept."""
    return await _change(client, TaskChange.REPLAY, arguments)


async def edit_dead_letter(client: Client, arguments: a.EditDeadLetter) -> ChangedTasks:
    """It waits again under its id with what is said here; what it was, and how it failed, is kept."""
    payload, weight = None, None
    if arguments.args is not None or arguments.kwargs is not None:
        page = await client.requests.list_tasks(
            TaskQuery([arguments.task_id], state=DEAD_LETTER, with_payload=True)
        )
        if not page.tasks:
            return await _not_dead(client, arguments.task_id)
        view = page.tasks[0]
        args, kwargs = decode_arguments(view.payload)
        args = args if arguments.args is None else cast("list[object]", arguments.args)
        kwargs = kwargs if arguments.kwargs is None else cast("dict[str, object]", arguments.kwargs)
        payload = encode_arguments(args, kwargs, client.config.payload_bytes)
        weight = complexity_of_task(view.kind, args, kwargs, client.estimators).weight
    timeout_ms = a.ms_of(arguments.timeout_s) if arguments.timeout_s >= 0 else None
    priority = int(parse_priority(arguments.priority)) if arguments.priority else None
    answer = await client.changes.edit(arguments.task_id, TaskEdit(payload, priority, timeout_ms, weight))
    return ChangedTasks(answer.done, answer.too_late, answer.unknown, answer.key_taken)


async def _not_dead(client: Client, task_id: str) -> ChangedTasks:
    is_held = bool((await client.requests.list_tasks(TaskQuery([task_id]))).tasks)
    return ChangedTasks([], [task_id] if is_held else [], [] if is_held else [task_id])


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
