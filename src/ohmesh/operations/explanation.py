"""The verb `explain`: why a task is where it is, in the words of the dispatcher that decides."""

from __future__ import annotations

import difflib

from msgspec import Struct

from ohmesh.errors import UnknownTask
from ohmesh.model.explanation import AgentVerdict, Explanation, Verdict
from ohmesh.model.priority import Priority
from ohmesh.model.task import TaskState, TaskView
from ohmesh.operations import arguments as a
from ohmesh.operations.rates import limit_text, why_held_back
from ohmesh.operations.results import TaskDescription
from ohmesh.operations.tasks import describe
from ohmesh.roles.client import Client

_WAITS = (TaskState.QUEUED, TaskState.RETRYING)


class ExplainedAgent(Struct, frozen=True):
    """`verdict` in a word or two, `reason` in a sentence; `turn`: 1 is served next, 0 has none."""

    agent: str
    kind: str
    verdict: str
    reason: str
    running: int = 0
    slots: int = 0
    missing: list[str] = []
    turn: int = 0


class ExplainedTask(Struct, frozen=True):
    """`reason` is the answer in a sentence; the rest is what it follows from.

    ahead: priority -> tasks that start before it, of those that compete for the same agents; `is_counted_up` is false
        where there are more than were counted. rank: higher starts first. due_ms: it does not start before.
    limit: that of its kind; held_back: rate or concurrency, where that keeps it from starting.
    chosen_ms: when its agent was chosen last; 0 is never. order, placing: the policies of the mesh.
    """

    task: TaskDescription
    reason: str
    mesh_ms: int
    paused_ms: int = 0
    due_ms: int = 0
    rank: float = 0.0
    ahead: dict[str, int] = {}
    is_counted_up: bool = True
    requires: list[str] = []
    chosen_ms: int = 0
    timeout_ms: int = 0
    losses: int = 0
    agents: list[ExplainedAgent] = []
    agents_omitted: int = 0
    order: str = ""
    placing: str = ""
    limit: str = ""
    held_back: str = ""

    def __str__(self) -> str:
        agents = [f"  {one.agent}: {one.reason}" for one in self.agents]
        return "\n".join([f"{self.task.task_id} {self.task.state}: {self.reason}", *agents])


async def explain(client: Client, arguments: a.ExplainTask) -> ExplainedTask:
    """Raises UnknownTask where no dispatcher holds it (any more)."""
    told = await client.requests.explain(arguments.task_id)
    if told is None or told.task is None:
        raise UnknownTask(
            f"No dispatcher holds task {arguments.task_id}.",
            hint="`ohmesh tasks list` shows those that are held.",
        )
    view = told.task
    return ExplainedTask(
        task=describe(view),
        reason=reason_of(told, view),
        mesh_ms=told.mesh_ms,
        paused_ms=told.paused_ms,
        due_ms=view.due_ms if told.ready_ms > told.mesh_ms else 0,
        rank=round(told.rank, 3),
        ahead={
            Priority(priority).name: count for priority, count in sorted(told.ahead.items(), reverse=True)
        },
        is_counted_up=told.is_counted_up,
        requires=list(told.requires),
        chosen_ms=told.granted_ms,
        timeout_ms=told.timeout_ms,
        losses=told.losses,
        agents=[_agent(one, view) for one in told.agents],
        agents_omitted=told.agents_omitted,
        order=told.order,
        placing=told.placing,
        limit=limit_text(told.limit.limit) if told.limit else "",
        held_back=told.limit.held_back if told.limit else "",
    )


def reason_of(told: Explanation, view: TaskView) -> str:
    """Why the task is where it is, in a sentence."""
    if view.state in _WAITS:
        return _why_it_waits(told, view)
    lost = f", not counting {told.losses} lost with a worker" if told.losses else ""
    attempt = f"attempt {view.attempts - told.losses} of {view.max_attempts}{lost}"
    if view.state is TaskState.RUNNING:
        for_s = max(0, told.mesh_ms - told.granted_ms) / 1000
        return f"{attempt}, on {view.agent} for {for_s:.1f} s; it was that agent's turn with a free slot."
    failure = view.failures[-1] if view.failures else None
    why = (
        f": {failure.kind}: {failure.message.rstrip('.')}"
        if failure and view.state is not TaskState.SUCCEEDED
        else ""
    )
    where = f" on {view.agent}" if view.agent else ", and never ran"
    return f"ended after {view.attempts} attempt{'' if view.attempts == 1 else 's'}{where}{why}."


def _why_it_waits(told: Explanation, view: TaskView) -> str:
    """The first hindrance, from the one that nobody can pass to the one that passes by itself."""
    own, ahead = [one for one in told.agents if one.kind == view.kind], sum(told.ahead.values())
    if told.paused_ms:
        return f"kind {view.kind!r} is paused; `ohmesh queues resume {view.kind}` starts it again."
    if told.ready_ms > told.mesh_ms:
        what = "it is tried again" if view.state is TaskState.RETRYING else "it is delayed; it starts"
        return f"{what} in {(told.ready_ms - told.mesh_ms) / 1000:.1f} s at the earliest."
    if not any(one.verdict is not Verdict.OFFLINE for one in own):
        return _nobody(view.kind, own, told.agents)
    present = [one for one in own if one.verdict is not Verdict.OFFLINE]
    if all(one.missing for one in present):
        return f"no agent of kind {view.kind!r} that is here has all of: {', '.join(told.requires)}."
    if told.limit is not None and told.limit.held_back:
        limit, why = limit_text(told.limit.limit), why_held_back(told.limit)
        return (
            f"kind {view.kind!r} is limited to {limit}: {why}{f'; {ahead} start before it' if ahead else ''}."
        )
    if any(one.verdict is Verdict.ELIGIBLE for one in present) and not told.ahead:
        return "an agent has a free slot for it; it starts at once."
    if ahead:
        more = "" if told.is_counted_up else "more than "
        return (
            f"{more}{ahead} task{'' if ahead == 1 else 's'} that compete for the same agents start before it."
        )
    return "it is the next, and no agent that could run it has a free slot."


def _nobody(kind: str, own: list[AgentVerdict], known: list[AgentVerdict]) -> str:
    if own:
        return f"every agent of kind {kind!r} is offline."
    near = difflib.get_close_matches(kind, sorted({one.kind for one in known}), n=1)
    return f"no worker announces kind {kind!r}.{f' Did you mean {near[0]!r}?' if near else ''}"


def _agent(one: AgentVerdict, view: TaskView) -> ExplainedAgent:
    return ExplainedAgent(
        one.agent,
        one.kind,
        one.verdict,
        _of_agent(one, view),
        one.running,
        one.slots,
        list(one.missing),
        one.turn,
    )


def _of_agent(one: AgentVerdict, view: TaskView) -> str:
    load = f"{one.running} of {one.slots} slots taken"
    lacks = f"it lacks {', '.join(one.missing)}"
    match one.verdict:
        case Verdict.HOLDS:
            return f"it holds the task; {load}"
        case Verdict.ELIGIBLE:
            turn = f", turn {one.turn}" if one.turn else ""
            return f"it could run it now; {load}{turn}"
        case Verdict.NO_FREE_SLOT:
            return f"{load}{f', and {lacks}' if one.missing else ''}"
        case Verdict.CAPABILITY_MISSING:
            return lacks
        case Verdict.OFF_DUTY:
            return f"its worker is {one.duty} and takes no work"
        case Verdict.NOT_HEARD_YET:
            return "it has not reported to this dispatcher yet"
        case Verdict.DEAF:
            return "its worker reports, but what it is told does not reach it"
        case Verdict.OFFLINE:
            return "its worker is offline"
        case Verdict.OTHER_KIND:
            return f"it runs kind {one.kind!r}, not {view.kind!r}"
