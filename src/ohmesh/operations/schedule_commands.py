"""The verbs about schedules, as `commands.py` has the others."""

from __future__ import annotations

from ohmesh.operations.command import Command, Risk, Role, Scope

_ARGUMENTS = "ohmesh.operations.schedule_arguments:"
_RUN = "ohmesh.operations.schedules:"
_ONE = "ohmesh.operations.schedule_results:ScheduleDescription"

SCHEDULE_COMMANDS: tuple[Command, ...] = (
    Command(
        name="schedules add",
        summary="Make a task again and again, at times that cron text or an interval says.",
        help="The mesh holds it, so no process of yours has to live: an occurrence is a task of its kind, once, "
        "whatever is killed. Adding the same one again changes nothing. Where clocks are put forward, a time that does "
        "not exist is due once, right after; where they are put back, one that exists twice is due the first time.",
        example='ohmesh schedules add report --cron "30 7 * * MON-FRI" --timezone Europe/Zurich text "Good morning"',
        arguments=_ARGUMENTS + "AddSchedule",
        result=_ONE,
        run=_RUN + "add_schedule",
        risk=Risk.WRITE,
        undo="schedules remove",
        scope=Scope.QUEUE,
        role=Role.OPERATOR,
    ),
    Command(
        name="schedules list",
        summary="List schedules: when each is due next, and its last task.",
        example="ohmesh schedules list",
        arguments=_ARGUMENTS + "ListSchedules",
        result="ohmesh.operations.schedule_results:ScheduleList",
        run=_RUN + "list_schedules",
        scope=Scope.QUEUE,
    ),
    Command(
        name="schedules get",
        summary="Show one schedule with the arguments of its tasks.",
        example="ohmesh schedules get report",
        arguments=_ARGUMENTS + "GetSchedule",
        result=_ONE,
        run=_RUN + "get_schedule",
        scope=Scope.QUEUE,
    ),
    Command(
        name="schedules remove",
        summary="Remove a schedule; tasks that were made of it stay.",
        example="ohmesh schedules remove report --yes",
        arguments=_ARGUMENTS + "RemoveSchedule",
        result=_ONE,
        run=_RUN + "remove_schedule",
        risk=Risk.DESTRUCTIVE,
        confirmation="Remove the schedule {name!r}?",
        looks_up="schedules get",
        scope=Scope.QUEUE,
        role=Role.OPERATOR,
    ),
    Command(
        name="schedules pause",
        summary="Make no more tasks of a schedule.",
        help="What would have been due meanwhile is left out. It lasts until `schedules resume`, whatever restarts.",
        example="ohmesh schedules pause report",
        arguments=_ARGUMENTS + "PauseSchedule",
        result=_ONE,
        run=_RUN + "pause_schedule",
        risk=Risk.WRITE,
        undo="schedules resume",
        scope=Scope.QUEUE,
        role=Role.OPERATOR,
    ),
    Command(
        name="schedules resume",
        summary="Make tasks of a schedule again, from its next time on.",
        example="ohmesh schedules resume report",
        arguments=_ARGUMENTS + "ResumeSchedule",
        result=_ONE,
        run=_RUN + "resume_schedule",
        risk=Risk.WRITE,
        undo="schedules pause",
        scope=Scope.QUEUE,
        role=Role.OPERATOR,
    ),
    Command(
        name="schedules run",
        summary="Make one task of a schedule now, whatever its times are.",
        help="Prints the id of the task. Its times stay as they are.",
        example="ohmesh schedules run report",
        arguments=_ARGUMENTS + "RunSchedule",
        result="ohmesh.operations.results:TaskOutcome",
        run=_RUN + "run_schedule",
        risk=Risk.WRITE,
        idempotent=False,
        undo="tasks cancel",
        scope=Scope.QUEUE,
        role=Role.OPERATOR,
    ),
)
