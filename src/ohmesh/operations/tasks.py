"""The verbs about tasks. Each is one function over a Client; every door calls these and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
from collections.abc import Sequence

import msgspec

from ohmesh.errors import InvalidArgument, OhmeshError, ResultTimeout, UnknownTask
from ohmesh.model.agent import Liveness
from ohmesh.model.message import ListTasks as TaskQuery
from ohmesh.model.message import TaskChange
from ohmesh.model.priority import Priority, parse_priority
from ohmesh.model.task import FormerTask, TaskFailure, TaskResult, TaskState, TaskView
from ohmesh.operations import arguments as a
from ohmesh.operations.past_ends import past_end, past_views
from ohmesh.operations.results import (
    Cancellation,
    ChangedTasks,
    Failure,
    FormerArguments,
    TaskDescription,
    TaskList,
    TaskOutcome,
    TaskOutcomes,
)
from ohmesh.policies.complexity import complexity_of_task
from ohmesh.registry.fields import TASKS
from ohmesh.registry.selector import Selector, compile_selector
from ohmesh.registry.selector.tree import And, Comparison, Node, Operator
from ohmesh.roles.client import Client, TaskRequest
from ohmesh.roles.client_handle import TaskHandle
from ohmesh.roles.client_payload import decode_arguments, decode_value, encode_arguments, key_of_arguments


async def submit(client: Client, arguments: a.Submit) -> TaskOutcome:
    """Durable when it returns. With `wait_s` it also waits for the end; ResultTimeout carries the id.

    Without it the answer is a receipt, `queued` even where a quick task has ended already: no value was waited for.
    """
    handle = await client.submit(request_of(client, arguments))
    if not arguments.wait_s:
        return _with_story(TaskOutcome(handle.id, TaskState.QUEUED), handle)
    return _with_story(outcome_of(await _end_within(client, handle, arguments.wait_s)), handle)


def _with_story(outcome: TaskOutcome, handle: TaskHandle) -> TaskOutcome:
    """And what was said when it was accepted."""
    return msgspec.structs.replace(
        outcome, joined=handle.is_joined, existed=handle.existed, unserved=handle.is_unserved
    )


async def result(client: Client, arguments: a.Result) -> TaskOutcome:
    """How a task ended, from history where it is no longer held. ResultTimeout when it has not within `wait_s`,
    UnknownTask when there is none."""
    try:
        handle = await client.watch(arguments.task_id)
        return outcome_of(await _end_within(client, handle, arguments.wait_s))
    except UnknownTask as unknown:
        return outcome_of(await past_end(client, arguments.task_id, unknown))


async def list_tasks(client: Client, arguments: a.ListTasks) -> TaskList:
    state = _state(arguments.state)
    query = TaskQuery([], arguments.kind, state, arguments.limit, arguments.after, arguments.filter)
    page = await client.requests.list_tasks(query)
    return TaskList(
        [describe(view) for view in page.tasks], page.after, page.total, filter=_selection(arguments, state)
    )


async def get_tasks(client: Client, arguments: a.GetTasks) -> TaskList:
    """In the order asked for; those that the mesh no longer holds are shown as history has them, and those that it
    does not know either are named under `unknown`."""
    held = await tasks_named(client, arguments.task_ids)
    past = await past_views(client, held.unknown)
    if not past:
        return held
    shown = {task.task_id: task for task in held.tasks}
    shown |= {task_id: describe(view) for task_id, view in past.items()}
    wanted = dict.fromkeys(arguments.task_ids)
    found = [shown[task_id] for task_id in wanted if task_id in shown]
    return TaskList(found, "", len(found), [task_id for task_id in held.unknown if task_id not in past])


async def tasks_named(
    client: Client, task_ids: Sequence[str], *, state: str = "", with_payload: bool = False
) -> TaskList:
    """`state`: "" or DEAD_LETTER; what is not in it counts as unknown. with_payload: also their arguments."""
    wanted = list(dict.fromkeys(task_ids))
    views: dict[str, TaskView] = {}
    step = client.config.locate_ids
    for start in range(0, len(wanted), step):
        query = TaskQuery(wanted[start : start + step], state=state, with_payload=with_payload)
        page = await client.requests.list_tasks(query)
        views.update((view.task_id, view) for view in page.tasks)
    found = [describe(views[task_id]) for task_id in wanted if task_id in views]
    return TaskList(found, "", len(found), [task_id for task_id in wanted if task_id not in views])


async def wait_tasks(client: Client, arguments: a.WaitTasks) -> TaskOutcomes:
    """Wait for all of them together; every id is accounted for once."""
    wanted = list(dict.fromkeys(arguments.task_ids))
    handles = await client.watch_many(wanted)
    ends = await asyncio.gather(
        *(_end(handles[task_id], arguments.wait_s) for task_id in wanted if task_id in handles)
    )
    outcomes = [outcome_of(end) for end in ends if isinstance(end, TaskResult)]
    unfinished = [end.task_id for end in ends if isinstance(end, ResultTimeout)]
    accounted = {outcome.task_id for outcome in outcomes} | set(unfinished)
    return TaskOutcomes(outcomes, unfinished, [task_id for task_id in wanted if task_id not in accounted])


async def cancel_tasks(client: Client, arguments: a.CancelTasks) -> Cancellation:
    answer = await client.cancel(arguments.task_ids)
    return Cancellation(answer.cancelled, answer.too_late, answer.unknown)


async def retry_tasks(client: Client, arguments: a.RetryTasks) -> ChangedTasks:
    """Ended tasks wait again. `too_late`: not ended, succeeded, or its last attempt is still being stopped."""
    answer = await client.changes.of_tasks(TaskChange.RETRY, arguments.task_ids)
    return ChangedTasks(answer.done, answer.too_late, answer.unknown, answer.key_taken)


def request_of(client: Client, arguments: a.Submit) -> TaskRequest:
    """The verb's arguments as the client takes them, with the task's complexity."""
    payload = encode_arguments(arguments.arguments, arguments.named, client.config.payload_bytes)
    complexity = complexity_of_task(arguments.kind, arguments.arguments, arguments.named, client.estimators)
    return TaskRequest(
        kind=arguments.kind,
        payload=payload,
        priority=parse_priority(arguments.priority),
        timeout_ms=a.ms_of(arguments.timeout_s),
        max_attempts=arguments.retries + 1,
        delay_ms=a.ms_of(arguments.delay_s),
        key=arguments.key,
        requires=tuple(arguments.requires),
        weight=complexity.weight,
        unique=arguments.unique or (key_of_arguments(payload) if arguments.unique_for_s else ""),
        unique_for_ms=a.ms_of(arguments.unique_for_s),
    )


def outcome_of(end: TaskResult) -> TaskOutcome:
    failure = _failure(end.failure) if end.failure else None
    return TaskOutcome(end.task_id, end.state, decode_value(end.value), failure, end.attempts)


def describe(view: TaskView) -> TaskDescription:
    arguments, named = decode_arguments(view.payload) if view.payload else (None, None)
    return TaskDescription(
        task_id=view.task_id,
        kind=view.kind,
        state=view.state,
        priority=Priority(view.priority).name,
        attempts=view.attempts,
        max_attempts=view.max_attempts,
        submitted_ms=view.submitted_ms,
        started_ms=view.started_ms,
        finished_ms=view.finished_ms,
        due_ms=view.due_ms,
        host=view.host,
        agent=view.agent,
        failures=[_failure(failure) for failure in view.failures],
        value=decode_value(view.value),
        complexity=view.complexity,
        value_omitted_bytes=view.value_omitted_bytes,
        timeout_ms=view.timeout_ms,
        arguments=arguments,
        named=named,
        edits=[_former(each) for each in view.edits],
    )


def _former(edit: FormerTask) -> FormerArguments:
    arguments, named = decode_arguments(edit.payload) if edit.payload else (None, None)
    return FormerArguments(edit.at_ms, arguments, named, Priority(edit.priority).name, edit.timeout_ms)


async def _end_within(client: Client, handle: TaskHandle, wait_s: float) -> TaskResult:
    """The end; a wait that was in vain says why, where the mesh can tell."""
    try:
        return await handle.end(wait_s)
    except ResultTimeout as timeout:
        reason = ""
        timeout.state = handle.state
        with contextlib.suppress(OhmeshError):  # then the time-out has to do
            timeout.state, reason = await _reason_to_wait(client, handle.id)
        if reason:
            timeout.message = f"Task {handle.id} has not ended after {wait_s:g} s: {reason}"
        raise


async def _reason_to_wait(client: Client, task_id: str) -> tuple[str, str]:
    """Its state, and why: that nobody runs its kind is the commonest reason, and a misspelt kind is the next."""
    page, workers = await asyncio.gather(
        client.requests.list_tasks(TaskQuery([task_id])), client.requests.list_hosts()
    )
    if not page.tasks or page.tasks[0].state is not TaskState.QUEUED:
        return page.tasks[0].state if page.tasks else "", ""
    kind = page.tasks[0].kind
    running = {each for worker in workers if worker.liveness is Liveness.ACTIVE for each in worker.kinds}
    if kind in running:
        return TaskState.QUEUED, ""
    near = difflib.get_close_matches(kind, sorted(running), n=1)
    meant = f" Did you mean {near[0]!r}?" if near else ""
    return TaskState.QUEUED, f"no worker that is alive runs kind {kind!r}.{meant}"


def _failure(failure: TaskFailure) -> Failure:
    return Failure(failure.kind, failure.message, failure.traceback)


async def _end(handle: TaskHandle, wait_s: float) -> TaskResult | ResultTimeout | UnknownTask:
    try:
        return await handle.end(wait_s)
    except (ResultTimeout, UnknownTask) as error:
        return error


def _selection(arguments: a.ListTasks, state: str) -> str:
    """All that a task had to match, in canonical form."""
    parts: list[Node] = []
    if arguments.kind:
        parts.append(Comparison("kind", Operator.EQUAL, arguments.kind))
    if state:
        parts.append(Comparison("state", Operator.EQUAL, state))
    if arguments.filter:
        tree = compile_selector(arguments.filter, TASKS).tree
        parts += tree.operands if isinstance(tree, And) else [tree]
    if not parts:
        return ""
    return str(Selector(And(tuple(parts)) if len(parts) > 1 else parts[0], TASKS))


def _state(name: str) -> str:
    names: Sequence[str] = [state.value for state in TaskState]
    if name and name.lower() not in names:
        raise InvalidArgument(f"{name!r} is not a state.", hint=f"Use one of: {', '.join(names)}.")
    return name.lower()
