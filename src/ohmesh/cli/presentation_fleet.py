"""How agents read on a terminal, and what they have to do with a task that is explained."""

from __future__ import annotations

import time
from collections.abc import Callable

from ohmesh.cli.durations import duration
from ohmesh.cli.exit_codes import ExitCode
from ohmesh.cli.output import Output
from ohmesh.model.agent import Liveness
from ohmesh.operations.agents import AgentList
from ohmesh.operations.explanation import ExplainedTask
from ohmesh.operations.locks import LockList, ReleasedLock

LOCK_COLUMNS = ("lock", "holder", "token", "held", "ends", "waiting")
AGENT_COLUMNS = ("agent", "kind", "state", "holds", "seen", "capabilities")


def _show_agents(listed: AgentList, output: Output) -> None:
    now_ms = time.time() * 1000
    rows = [
        {
            "agent": one.agent,
            "kind": one.kind,
            "state": f"{one.liveness}, {one.duty}" if one.liveness is Liveness.ACTIVE else one.liveness,
            "holds": f"{one.running}/{one.slots}",
            "seen": f"{duration(max(0, now_ms - one.last_seen_ms))} ago" if one.last_seen_ms else "",
            "capabilities": one.capabilities,
        }
        for one in listed.agents
    ]
    output.data(rows, columns=AGENT_COLUMNS)
    if listed.filter:
        output.say(f"showing {len(rows)} of {listed.total} agents; filter: {listed.filter}")
    elif not rows:
        output.say("no agents; start a worker: ohmesh worker module:object")


def _judge_agents(listed: AgentList) -> ExitCode:
    return ExitCode.NOTHING_MATCHED if listed.filter and not listed.agents else ExitCode.OK


def _show_explanation(told: ExplainedTask, output: Output) -> None:
    task = told.task
    output.data(f"{task.task_id} {task.kind} {task.state} {task.priority}: {told.reason}")
    now_ms = told.mesh_ms
    output.data(f"  submitted {duration(max(0, now_ms - task.submitted_ms))} ago")
    if told.ahead:
        counts = ", ".join(f"{count} {priority}" for priority, count in told.ahead.items())
        output.data(
            f"  before it: {counts}{'' if told.is_counted_up else ', and more'}; its rank is {told.rank:g}"
        )
    if told.chosen_ms:
        chosen = f"{task.agent} chosen {duration(max(0, now_ms - told.chosen_ms))} ago"
        output.data(f"  {chosen}: {told.placing}")
    for number, failure in enumerate(task.failures, 1):
        output.data(f"  failure {number}: {failure}")
    if told.agents:
        rows = [{"agent": one.agent, "verdict": one.verdict, "because": one.reason} for one in told.agents]
        output.data("")
        output.data(rows)
    if told.agents_omitted:
        output.say(f"{told.agents_omitted} more agents; all: ohmesh agents")
    if told.agents:
        output.say(
            "these are the agents that the dispatcher of its kind knows, silent ones until they are forgotten; "
            "those of other kinds may have another dispatcher: ohmesh agents"
        )
    output.say(f"which task is next: {told.order}")


def _show_locks(listed: LockList, output: Output) -> None:
    now_ms = time.time() * 1000
    rows = [
        {
            "lock": one.name,
            "holder": one.holder,
            "token": one.token,
            "held": f"for {duration(max(0, now_ms - one.taken_ms))}",
            "ends": f"in {duration(max(0, one.ends_ms - now_ms))} unless renewed",
            "waiting": one.waiting,
        }
        for one in listed.locks
    ]
    output.data(rows, columns=LOCK_COLUMNS)
    if not rows:
        output.say("no lock is held")


def _show_released(released: ReleasedLock, output: Output) -> None:
    if released.was_held:
        output.data(str(released))
    else:
        output.say(f"nobody holds lock {released.name!r}; those that are held: ohmesh locks")


def _judge_released(released: ReleasedLock) -> ExitCode:
    return ExitCode.OK if released.was_held else ExitCode.NOTHING_MATCHED


def _fine(_told: ExplainedTask | LockList) -> ExitCode:
    return ExitCode.OK


FLEET_FORMS: dict[type, tuple[Callable[..., None], Callable[..., ExitCode]]] = {
    AgentList: (_show_agents, _judge_agents),
    ExplainedTask: (_show_explanation, _fine),
    LockList: (_show_locks, _fine),
    ReleasedLock: (_show_released, _judge_released),
}
