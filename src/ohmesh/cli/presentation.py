"""How each result reads on a terminal, and which exit code it means.

With --json every result is its Struct, whole (result_output.py); the forms here are for people, and for
`$(ohmesh submit ...)`, where a submission prints its id and nothing else. Columns stand in the order of their
importance: a narrow terminal goes without the last ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct

from ohmesh.cli.care_forms import CARE_FORMS
from ohmesh.cli.conflict_forms import CONFLICT_COLUMNS, CONFLICT_FORMS
from ohmesh.cli.durations import counted
from ohmesh.cli.durations import duration as _duration
from ohmesh.cli.exit_codes import ExitCode
from ohmesh.cli.fleet_forms import (
    FLEET_AGENT_COLUMNS,
    OPERATION_COLUMNS,
    OPERATION_FORMS,
    SCOPE_COLUMNS,
)
from ohmesh.cli.history_forms import EVENT_COLUMNS, HISTORY_COLUMNS, judge_history, show_events, show_history
from ohmesh.cli.output import Output
from ohmesh.cli.presentation_fleet import AGENT_COLUMNS, FLEET_FORMS, LOCK_COLUMNS
from ohmesh.cli.removal_forms import REMOVAL_FORMS
from ohmesh.cli.result_output import print_result
from ohmesh.cli.schedule_forms import SCHEDULE_COLUMNS, SCHEDULE_FORMS
from ohmesh.cli.table import render_table
from ohmesh.cli.webhook_forms import WEBHOOK_COLUMNS, WEBHOOK_FORMS
from ohmesh.model.agent import HostView, Liveness
from ohmesh.model.fleet_request import OperationView
from ohmesh.model.task import TaskState
from ohmesh.operations import results as r
from ohmesh.operations.agents import AgentList
from ohmesh.operations.conflict_results import ConflictList
from ohmesh.operations.fleet_results import FleetAgentList, OperationList, OperationRecord, ScopeList
from ohmesh.operations.history_results import HistoryEvents, TaskHistory
from ohmesh.operations.locks import LockList
from ohmesh.operations.schedule_results import ScheduleDescription, ScheduleList
from ohmesh.operations.webhooks import WebhookList

COLUMNS: dict[type, tuple[str, ...]] = {
    r.TaskList: ("task", "kind", "state", "priority", "size", "attempts", "agent", "age", "took"),
    r.TaskOutcomes: ("task", "state", "attempts", "value"),
    r.Cancellation: ("task", "outcome"),
    r.ChangedTasks: ("task", "outcome"),
    r.DeadLetters: ("task", "kind", "state", "attempts", "ended", "reason"),
    r.QueueList: ("queue", "queued", "running", "retrying", "dead", "paused", "limit"),
    r.QueueState: ("queue", "queued", "running", "retrying", "dead", "paused", "limit"),
    r.PurgedQueue: ("queue", "cancelled"),
    AgentList: AGENT_COLUMNS,
    FleetAgentList: FLEET_AGENT_COLUMNS,
    OperationList: OPERATION_COLUMNS,
    ScopeList: SCOPE_COLUMNS,
    ScheduleList: SCHEDULE_COLUMNS,
    ScheduleDescription: SCHEDULE_COLUMNS,
    LockList: LOCK_COLUMNS,
    ConflictList: CONFLICT_COLUMNS,
    WebhookList: WEBHOOK_COLUMNS,
    TaskHistory: HISTORY_COLUMNS,
    HistoryEvents: EVENT_COLUMNS,
    r.WorkerList: ("worker", "state", "holds", "done", "failed", "seen", "pid", "kinds"),
}

DRAWN = (OperationView, OperationRecord)


def present(result: Struct, output: Output, *, verb: str = "") -> ExitCode:
    """Print `result` of `verb` and say what it means for the exit code."""
    show, judge = _FORMS.get(type(result), (_plain, _fine))
    show = REMOVAL_FORMS.get(verb, show)
    print_result(result, output, show, COLUMNS.get(type(result), ()))
    return judge(result)


def _plain(result: Struct, output: Output) -> None:
    output.data(result)


def _fine(_result: Struct) -> ExitCode:
    return ExitCode.OK


def _show_outcome(outcome: r.TaskOutcome, output: Output) -> None:
    if outcome.state is TaskState.SUCCEEDED:
        output.data(_compact(outcome.value))
    elif outcome.is_final:
        reason = f": {str(outcome.failure).rstrip('.')}" if outcome.failure else ""
        attempts = counted(outcome.attempts, "attempt")
        output.error(f"Task {outcome.task_id} ended {outcome.state} after {attempts}{reason}.")
        if outcome.failure and outcome.failure.traceback:
            output.say(f"where in its code: ohmesh tasks get {outcome.task_id} --json")
    else:
        output.data(outcome.task_id)
        output.say(f"{told_of(outcome)}; its result: ohmesh result {outcome.task_id}")


def told_of(receipt: r.TaskOutcome) -> str:
    """What became of a submission, in a phrase."""
    if receipt.joined:
        return "there already with this unique key"
    if receipt.existed:
        return "there already with this key, and what it was first submitted with counts"
    if receipt.unserved:
        return f"{receipt.state}, but no worker runs its kind now (`ohmesh workers` shows what runs)"
    return receipt.state


def _judge_outcome(outcome: r.TaskOutcome) -> ExitCode:
    return ExitCode.FAILED if outcome.is_final and outcome.state is not TaskState.SUCCEEDED else ExitCode.OK


def _show_outcomes(outcomes: r.TaskOutcomes, output: Output) -> None:
    rows = [
        {
            "task": one.task_id,
            "state": one.state,
            "attempts": one.attempts,
            "value": _compact(one.value) if one.state is TaskState.SUCCEEDED else str(one.failure or ""),
        }
        for one in outcomes.outcomes
    ]
    rows += [{"task": task_id, "state": "unfinished"} for task_id in outcomes.unfinished]
    rows += [{"task": task_id, "state": "unknown"} for task_id in outcomes.unknown]
    output.data(rows, columns=COLUMNS[r.TaskOutcomes])


def _judge_outcomes(outcomes: r.TaskOutcomes) -> ExitCode:
    good = sum(one.state is TaskState.SUCCEEDED for one in outcomes.outcomes)
    others = len(outcomes.outcomes) - good + len(outcomes.unfinished)
    return _share(good, others, len(outcomes.unknown))


def _show_tasks(tasks: r.TaskList, output: Output) -> None:
    now_ms = time.time() * 1000
    rows = [
        {
            "task": task.task_id,
            "kind": task.kind,
            "state": task.state,
            "priority": task.priority,
            "size": task.complexity,
            "attempts": task.attempts,
            "agent": task.agent,
            "age": _duration(now_ms - task.submitted_ms),
            "took": _duration(task.finished_ms - task.started_ms)
            if task.finished_ms and task.started_ms
            else "",
        }
        for task in tasks.tasks
    ]
    rows += [{"task": task_id, "state": "unknown"} for task_id in tasks.unknown]
    output.data(rows, columns=COLUMNS[r.TaskList])
    for task in tasks.tasks:
        for failure in task.failures[-1:]:
            output.say(f"{task.task_id}: {failure}")
    more = f"; more: --after {tasks.after}" if tasks.after else ""
    if tasks.filter:  # how many match on other pages nobody has counted
        shown = f"showing {len(tasks.tasks)} that match" if tasks.tasks else "no task matches"
        output.say(f"{shown}: {tasks.filter}{more}")
    elif len(tasks.tasks) < tasks.total:
        output.say(_matched(len(tasks.tasks), tasks.total, "tasks", "") + more)
    elif not rows:
        output.say("no tasks; hand one in: ohmesh submit text 'Hello!'")


def _judge_tasks(tasks: r.TaskList) -> ExitCode:
    if tasks.filter and not tasks.tasks:
        return ExitCode.NOTHING_MATCHED
    return _share(len(tasks.tasks), 0, len(tasks.unknown))


def _matched(shown: int, total: int, noun: str, selection: str) -> str:
    return f"showing {shown} of {total} {noun}{f'; filter: {selection}' if selection else ''}"


def _show_cancellation(cancellation: r.Cancellation, output: Output) -> None:
    rows = [{"task": one, "outcome": "cancelled"} for one in cancellation.cancelled]
    rows += [{"task": one, "outcome": "too late, it had ended"} for one in cancellation.too_late]
    rows += [{"task": one, "outcome": "unknown"} for one in cancellation.unknown]
    output.data(rows)


def _judge_cancellation(cancellation: r.Cancellation) -> ExitCode:
    return _share(len(cancellation.cancelled), len(cancellation.too_late), len(cancellation.unknown))


def _show_dead_letters(letters: r.DeadLetters, output: Output) -> None:
    now_ms = time.time() * 1000
    rows = [
        {
            "task": task.task_id,
            "kind": task.kind,
            "state": task.state,
            "attempts": task.attempts,
            "ended": f"{_duration(max(0, now_ms - task.finished_ms))} ago",
            "reason": str(task.failures[-1]) if task.failures else "",
        }
        for task in letters.tasks
    ]
    output.data(rows, columns=COLUMNS[r.DeadLetters])
    if letters.after:
        output.say(
            _matched(len(rows), letters.total, "dead letters", "") + f"; more: --after {letters.after}"
        )
    elif not rows:
        output.say("no dead letters")


def _show_dead_letter_details(letters: r.DeadLetterDetails, output: Output) -> None:
    for task in letters.tasks:
        output.data(f"{task.task_id} {task.kind} {task.state} after {counted(task.attempts, 'attempt')}")
        if task.arguments is not None:
            output.data(f"  arguments {_called(task)}")
        for former in task.edits:
            output.data(f"  before    {_called(former)}")
        for number, failure in enumerate(task.failures, 1):
            output.data(f"  {number}. {failure}")
            output.data("".join(f"     {line}\n" for line in failure.traceback.splitlines()).rstrip("\n"))
    for task_id in letters.unknown:
        output.say(f"{task_id} is no dead letter")


def _called(one: r.TaskDescription | r.FormerArguments) -> str:
    called = "too large to be shown" if one.arguments is None else _compact(one.arguments)
    return f"{called}{f' {_compact(one.named)}' if one.named else ''}, priority {one.priority}"


def _show_changes(changed: r.ChangedTasks, output: Output) -> None:
    rows = [{"task": one, "outcome": "done"} for one in changed.done]
    rows += [{"task": one, "outcome": "too late, it is not in a state for it"} for one in changed.too_late]
    rows += [{"task": one, "outcome": "unknown"} for one in changed.unknown]
    rows += [{"task": one, "outcome": "its unique key is taken by another"} for one in changed.key_taken]
    output.data(rows)
    if not rows:
        output.say("nothing to do")


def _judge_changes(changed: r.ChangedTasks) -> ExitCode:
    return _share(len(changed.done), len(changed.too_late) + len(changed.key_taken), len(changed.unknown))


def _show_queues(listed: r.QueueList, output: Output) -> None:
    now_ms = time.time() * 1000
    rows = [
        {
            "queue": queue.kind,
            "queued": queue.queued,
            "running": queue.running,
            "retrying": queue.retrying,
            "dead": queue.dead_letters,
            "paused": f"since {_duration(max(0, now_ms - queue.paused_ms))}" if queue.is_paused else "",
            "limit": f"{queue.limit}; {queue.held_back} holds back" if queue.held_back else queue.limit,
        }
        for queue in listed.queues
    ]
    output.data(rows, columns=COLUMNS[r.QueueList])
    if not rows:
        output.say("no queues: nothing waits, runs, is paused or limited")


def _show_queue(queue: r.QueueState, output: Output) -> None:
    _show_queues(r.QueueList([queue]), output)
    if queue.unknown:
        output.say(
            f"no worker runs kind {queue.kind!r} and no task of it is here: is it spelt so? It holds for what comes."
        )


def _show_purged(purged: r.PurgedQueue, output: Output) -> None:
    output.data([{"queue": purged.kind, "cancelled": purged.cancelled}])


def _show_workers(listed: r.WorkerList, output: Output) -> None:
    now_ms = time.time() * 1000
    rows = [_worker_row(worker, now_ms) for worker in listed.workers]
    output.data(rows, columns=COLUMNS[r.WorkerList])
    if listed.filter:
        output.say(_matched(len(rows), listed.total, "workers", listed.filter))
    elif not rows:
        output.say("no workers; start one: ohmesh worker module:object")


def _judge_workers(listed: r.WorkerList) -> ExitCode:
    return ExitCode.NOTHING_MATCHED if listed.filter and not listed.workers else ExitCode.OK


def _worker_row(worker: HostView, now_ms: float) -> dict[str, object]:
    state = worker.liveness if worker.liveness is not Liveness.ACTIVE else f"{worker.liveness}, {worker.duty}"
    return {
        "worker": worker.host,
        "state": state,
        "holds": f"{worker.running}/{worker.slots}",
        "done": worker.completed,
        "failed": worker.failed,
        "seen": f"{_duration(max(0, now_ms - worker.last_seen_ms))} ago" if worker.last_seen_ms else "",
        "pid": worker.pid or "",
        "kinds": worker.kinds,
    }


def _show_status(status: r.MeshStatus, output: Output) -> None:
    output.data(str(status))
    if status.queues:
        output.data("\n" + _table_text(status.queues, output.width))
    if status.states:
        output.data(
            "\nheld    " + "  ".join(f"{count} {state}" for state, count in sorted(status.states.items()))
        )
    if status.dispatchers:
        output.data("\n" + _table_text(status.dispatchers, output.width))
    for one in status.dispatchers:
        if one.lost_tail:
            output.say(f"shard {one.shard} lost the end of its log: {one.lost_tail}. See `ohmesh doctor`.")


def _judge_status(status: r.MeshStatus) -> ExitCode:
    return ExitCode.OK if status.dispatchers else ExitCode.PARTIAL


def _share(good: int, others: int, unknown: int) -> ExitCode:
    """All as wished, some, none of those that exist, or nothing there to do it to."""
    if not others and not unknown:
        return ExitCode.OK
    if not good and not others:
        return ExitCode.NOTHING_MATCHED
    return ExitCode.PARTIAL if good else ExitCode.FAILED


def _table_text(rows: Sequence[Struct], width: int) -> str:
    plain = [dict(msgspec.to_builtins(row)) for row in rows]
    shown = [{name: value for name, value in row.items() if value != ""} for row in plain]
    return render_table(shown, width=width)


def _compact(value: object) -> str:
    """A text as it is; anything else as JSON, which loses nothing and programs can read."""
    return value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode()


_FORMS: dict[type, tuple[Callable[..., None], Callable[..., ExitCode]]] = {
    r.TaskOutcome: (_show_outcome, _judge_outcome),
    r.TaskOutcomes: (_show_outcomes, _judge_outcomes),
    r.TaskList: (_show_tasks, _judge_tasks),
    r.Cancellation: (_show_cancellation, _judge_cancellation),
    r.DeadLetters: (_show_dead_letters, _fine),
    r.DeadLetterDetails: (_show_dead_letter_details, _judge_tasks),
    r.ChangedTasks: (_show_changes, _judge_changes),
    r.QueueList: (_show_queues, _fine),
    r.QueueState: (_show_queue, _fine),
    r.PurgedQueue: (_show_purged, _fine),
    TaskHistory: (show_history, judge_history),
    HistoryEvents: (show_events, judge_history),
    r.WorkerList: (_show_workers, _judge_workers),
    r.MeshStatus: (_show_status, _judge_status),
    **CONFLICT_FORMS,
    **CARE_FORMS,
    **FLEET_FORMS,
    **OPERATION_FORMS,
    **SCHEDULE_FORMS,
    **WEBHOOK_FORMS,
}
