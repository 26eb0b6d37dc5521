"""The verbs about schedules: tasks that are made again and again by the dispatcher of their kind."""

from __future__ import annotations

from ohmesh.model.priority import Priority
from ohmesh.model.schedule import ScheduleChange, ScheduleView
from ohmesh.model.task import TaskState
from ohmesh.operations import schedule_arguments as a
from ohmesh.operations.results import TaskOutcome
from ohmesh.operations.schedule_results import ScheduleDescription, ScheduleList
from ohmesh.policies.complexity import complexity_of_task
from ohmesh.roles.client import Client
from ohmesh.roles.client_payload import decode_arguments, encode_arguments


async def add_schedule(client: Client, arguments: a.AddSchedule) -> ScheduleDescription:
    """Durable when it returns. The same one again changes nothing; another one of its name is refused, unless it
    replaces it."""
    payload = encode_arguments(arguments.arguments, arguments.named, client.config.payload_bytes)
    complexity = complexity_of_task(arguments.kind, arguments.arguments, arguments.named, client.estimators)
    schedule = arguments.schedule(payload, complexity.weight)
    return _describe(await client.schedules.set(schedule, replaces=arguments.replace))


async def list_schedules(client: Client, arguments: a.ListSchedules) -> ScheduleList:
    page = await client.schedules.list(arguments.kind, limit=arguments.limit, after=arguments.after)
    return ScheduleList([_describe(view) for view in page.schedules], page.after, page.total)


async def get_schedule(client: Client, arguments: a.GetSchedule) -> ScheduleDescription:
    return _describe(await client.schedules.get(arguments.name))


async def remove_schedule(client: Client, arguments: a.RemoveSchedule) -> ScheduleDescription:
    """As it was. Tasks that were made of it stay."""
    return _describe(await client.schedules.change(arguments.name, ScheduleChange.REMOVE))


async def pause_schedule(client: Client, arguments: a.PauseSchedule) -> ScheduleDescription:
    return _describe(await client.schedules.change(arguments.name, ScheduleChange.PAUSE))


async def resume_schedule(client: Client, arguments: a.ResumeSchedule) -> ScheduleDescription:
    return _describe(await client.schedules.change(arguments.name, ScheduleChange.RESUME))


async def run_schedule(client: Client, arguments: a.RunSchedule) -> TaskOutcome:
    """One task more, now; a receipt, as of a submission."""
    view = await client.schedules.change(arguments.name, ScheduleChange.RUN)
    return TaskOutcome(view.last_task_id, TaskState.QUEUED)


def _describe(view: ScheduleView) -> ScheduleDescription:
    schedule = view.schedule
    # A list leaves the payload out; one of a task without arguments is not empty.
    arguments, named = decode_arguments(schedule.payload) if schedule.payload else (None, None)
    return ScheduleDescription(
        schedule.name,
        schedule.kind,
        schedule.cron,
        schedule.timezone,
        schedule.every_ms,
        view.next_due_ms,
        view.last_due_ms,
        view.last_task_id,
        view.last_state,
        view.runs,
        view.skipped,
        view.paused_ms,
        schedule.catch_up,
        schedule.overlap,
        Priority(schedule.priority).name,
        schedule.timeout_ms,
        schedule.max_attempts - 1,
        list(schedule.requires),
        arguments,
        named,
        view.created_ms,
        view.generation,
    )
