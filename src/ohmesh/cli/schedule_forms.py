"""How schedules read on a terminal. Times are said in UTC, since several machines speak of them."""

from __future__ import annotations

import time
from collections.abc import Callable

from ohmesh.cli.durations import duration
from ohmesh.cli.exit_codes import ExitCode
from ohmesh.cli.output import Output
from ohmesh.operations.moments import written
from ohmesh.operations.schedule_results import ScheduleDescription, ScheduleList

SCHEDULE_COLUMNS = ("schedule", "kind", "due in", "timing", "task", "state", "runs", "skipped", "next due")


def _row(one: ScheduleDescription, now_ms: float) -> dict[str, object]:
    due = "paused" if one.is_paused else "never"
    return {
        "schedule": one.name,
        "kind": one.kind,
        "due in": duration(max(0, one.next_due_ms - now_ms)) if one.next_due_ms else due,
        "next due": written(one.next_due_ms // 1000 * 1000) if one.next_due_ms else "",
        "timing": one.timing,
        "task": one.last_task_id,
        "state": one.last_state,
        "runs": one.runs,
        "skipped": one.skipped,
    }


def _show_schedules(listed: ScheduleList, output: Output) -> None:
    now_ms = time.time() * 1000
    output.data([_row(one, now_ms) for one in listed.schedules], columns=SCHEDULE_COLUMNS)
    if listed.after:
        output.say(f"showing {len(listed)} of {listed.total} schedules; more: --after {listed.after}")
    elif not listed.schedules:
        output.say('no schedules; add one: ohmesh schedules add NAME KIND --cron "*/5 * * * *"')


def _show_schedule(one: ScheduleDescription, output: Output) -> None:
    _show_schedules(ScheduleList([one], total=1), output)


def _fine(_result: object) -> ExitCode:
    return ExitCode.OK


SCHEDULE_FORMS: dict[type, tuple[Callable[..., None], Callable[..., ExitCode]]] = {
    ScheduleList: (_show_schedules, _fine),
    ScheduleDescription: (_show_schedule, _fine),
}
