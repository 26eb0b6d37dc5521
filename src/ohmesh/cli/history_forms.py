"""How history reads on a terminal: when something ended, in UTC, since several machines and people speak of it.

How far history is behind is said whenever it is, because a page that lacks what ended a moment ago looks like one of a
mesh where nothing ended.
"""

from __future__ import annotations

from ohmesh.cli.exit_codes import ExitCode
from ohmesh.cli.output import Output
from ohmesh.model.task import TaskState
from ohmesh.operations.history_results import HistoryEvents, TaskHistory
from ohmesh.operations.moments import written

HISTORY_COLUMNS = ("ended", "task", "kind", "state", "attempts", "agent", "took ms")
EVENT_COLUMNS = ("when", "event", "of", "detail")


def show_history(history: TaskHistory, output: Output) -> None:
    rows = [
        {
            "ended": _ended(task.finished_ms),
            "task": task.task_id,
            "kind": task.kind,
            "state": task.state,
            "attempts": task.attempts,
            "agent": task.agent,
            "took ms": task.finished_ms - task.started_ms if task.started_ms else None,
        }
        for task in history.tasks
    ]
    output.data(rows, columns=HISTORY_COLUMNS)
    for task in history.tasks:
        if task.failures and task.state is not TaskState.SUCCEEDED:
            output.say(f"{task.task_id}: {task.failures[-1]}")
    more = f"; more: --after {history.after}" if history.after else ""
    if history.filter:
        shown = f"showing {len(rows)} that match" if rows else "nothing in history matches"
        output.say(f"{shown}: {history.filter}{more}")
    elif more:
        output.say(f"showing {len(rows)}{more}")
    elif not rows:
        output.say("no task has ended yet")
    _say_behind(history.behind, output)


def judge_history(history: TaskHistory | HistoryEvents) -> ExitCode:
    return ExitCode.NOTHING_MATCHED if history.filter and not len(history) else ExitCode.OK


def show_events(history: HistoryEvents, output: Output) -> None:
    rows = [
        {"when": _ended(each.at_ms), "event": each.kind, "of": each.subject, "detail": each.detail}
        for each in history.events
    ]
    output.data(rows, columns=EVENT_COLUMNS)
    if not rows:
        output.say(
            f"nothing in history matches: {history.filter}" if history.filter else "nothing has happened yet"
        )
    if history.is_cut:
        output.say(f"showing {len(rows)}; older ones did not fit: ask for one --kind")
    _say_behind(history.behind, output)


def _ended(at_ms: int) -> str:
    return written(at_ms // 1000 * 1000)


def _say_behind(behind: int, output: Output) -> None:
    if behind < 0:
        output.say("how far history has come is not known yet: what ended last may be missing")
    elif behind:
        output.say(f"history is {behind} log entries behind: what ended last may be missing")
