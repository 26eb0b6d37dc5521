"""Conflicts of a fleet as people read them."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from ohmesh.cli.durations import duration
from ohmesh.cli.exit_codes import ExitCode
from ohmesh.cli.output import Output
from ohmesh.model.conflict_request import ConflictLogState
from ohmesh.operations.conflict_results import ConflictList, ConflictView
from ohmesh.operations.moments import written

CONFLICT_COLUMNS = ("conflict", "type", "state", "priority", "agents", "count", "due", "first")
NAMED = 10


def _show_conflicts(listed: ConflictList, output: Output) -> None:
    now_ms = time.time_ns() // 1_000_000
    rows = [
        {
            "conflict": one.id,
            "type": one.type,
            "state": one.state,
            "priority": one.priority,
            "agents": one.reporters,
            "count": one.count,
            "due": _due(one, now_ms),
            "first": one.agents[0] if one.agents else "",
        }
        for one in listed
    ]
    if rows:
        output.data(rows, columns=CONFLICT_COLUMNS)
    else:
        output.say("no conflicts")
    if listed.quarantined:
        names = ", ".join(listed.quarantined[:NAMED])
        output.say(f"{len(listed.quarantined)} agents are in quarantine: {names}")
    if listed.conflict_rate:
        output.say(f"{listed.conflict_rate:.2%} of the answers of agents were conflicts")


def _due(one: ConflictView, now_ms: int) -> str:
    if one.ended_ms:
        return "settled"
    left_ms = one.deadline_ms - now_ms
    return f"in {duration(left_ms)}" if left_ms > 0 else f"{duration(-left_ms)} ago"


def _show_conflict(one: ConflictView, output: Output) -> None:
    record: dict[str, object] = {
        name: value for name, value in msgspec.structs.asdict(one).items() if value or name == "priority"
    }
    story = record.pop("story", ())
    for name in [name for name in record if name.endswith("_ms")]:
        at_ms = record.pop(name)
        assert isinstance(at_ms, int)
        record[name.removesuffix("_ms")] = written(at_ms // 1000 * 1000)
    for name in ("agents", "quarantined", "blamed", "told"):
        names = record.get(name)
        if isinstance(names, tuple):
            more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
            record[name] = ", ".join(names[:NAMED]) + more
    output.data(record)
    if story:
        output.data(
            [
                {
                    "at": written(each.at_ms // 1000 * 1000),
                    "change": each.change,
                    "state": each.state,
                    "by": each.by,
                    "outcome": each.outcome,
                }
                for each in one.story
            ]
        )


def _show_log(state: ConflictLogState, output: Output) -> None:
    if state.is_whole:
        output.data(f"{state.log}: {state.entries} entries, all as they were written; digest {state.digest}")
    else:
        output.error(f"{state.log}: entry {state.sequence} is wrong. {state.why}")


def _judge_log(state: ConflictLogState) -> ExitCode:
    return ExitCode.OK if state.is_whole else ExitCode.FAILED


def _fine(_result: object) -> ExitCode:
    return ExitCode.OK


CONFLICT_FORMS: dict[type, tuple[Callable[..., None], Callable[..., ExitCode]]] = {
    ConflictList: (_show_conflicts, _fine),
    ConflictView: (_show_conflict, _fine),
    ConflictLogState: (_show_log, _judge_log),
}
