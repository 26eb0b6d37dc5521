"""A fleet and its operations as people read them, and the exit code that each means."""

from __future__ import annotations

import time
from collections.abc import Callable

from ohmesh.cli.arrival_chart import arrival_chart
from ohmesh.cli.durations import duration
from ohmesh.cli.exit_codes import ExitCode
from ohmesh.cli.output import Output
from ohmesh.model.fleet_message import Timing
from ohmesh.model.fleet_reading import FleetDescription, Source
from ohmesh.model.fleet_request import ContextView, OperationView, Plan
from ohmesh.operations.fleet_results import FleetAgentList, OperationList, OperationRecord, ScopeList, in_ms

OPERATION_COLUMNS = ("operation", "what", "outcome", "targets", "ready", "took", "begun", "filter")
FLEET_AGENT_COLUMNS = ("agent", "class", "state", "impedance", "process", "seen", "reliability", "flags")
SCOPE_COLUMNS = (
    "scope",
    "agents",
    "active",
    "impedance",
    "p95",
    "health",
    "sickest",
    "slowest",
    "lead",
    "healthiest",
    "fastest",
)
SILENT_NAMED = 10
_QUANTILES = ("first", "p50", "p95", "p99", "last", "mean")
_CODES = {
    "": ExitCode.OK,
    "SUCCEEDED": ExitCode.OK,
    "PLANNED": ExitCode.OK,
    "PARTIAL": ExitCode.PARTIAL,
    "EMPTY": ExitCode.NOTHING_MATCHED,
}


def _show_operation(view: OperationView, output: Output) -> None:
    if not view.is_decided:
        output.data(view.id)
        output.say(f"{view.what} on {view.targets:,} agents is under way; its end: ohmesh ops wait {view.id}")
        return
    output.data(str(view))
    if not view.targets:
        output.say("nobody is meant; who there is: ohmesh fleet agents")
        return
    if view.plan is not None:
        _show_plan(view, view.plan, output)
        return
    is_timed = view.timing != Timing.NOW
    if view.offsets_ms:
        shown = [f"{name} {view.offsets_ms[name]:.1f}" for name in _QUANTILES if name in view.offsets_ms]
        output.data(f"  ready     {', '.join(shown)} ms from {'T' if is_timed else 'its start'}{_rest(view)}")
    output.data(
        f"  decision  {view.decision}{f': {view.advice}' if view.advice else ''}; "
        f"ready {view.rate:.1%} of those that were sent, {view.rate_wanted:.0%} wanted; coverage {view.coverage:.1%}"
    )
    if view.verdict:
        output.data(f"  verdict   {view.verdict.upper()}: {view.verdict_reason}; {view.acted:,} acted")
    _show_parts(view, output)
    if output.is_drawn or is_timed:
        zero = "T" if is_timed else "its start"
        encoding = getattr(output.out, "encoding", None) or "utf-8"
        output.data(arrival_chart(view.histogram, zero=zero, encoding=encoding))
    _say_who(view, output)


def _show_plan(view: OperationView, plan: Plan, output: Output) -> None:
    leads = ", ".join(f"{name} {value:.1f}" for name, value in plan.lead_ms.items())
    output.data(
        f"  plan      {plan.asked:,} of {view.targets:,} asked, sent {plan.first_ms:.0f} to {plan.last_ms:.0f} ms "
        f"after the start{f'; leads {leads} ms' if leads else ''}; hit rate to expect {plan.hit_rate:.1%}"
    )
    for reason, count in view.skipped_for.items():
        output.say(f"skipped: {count:,} for {reason}")
    if plan.left_out:
        output.data(
            [
                {
                    "agent": one.agent,
                    "skipped for": one.reason,
                    "needs": f"{one.needed_ms:.1f} ms" if one.needed_ms is not None else "",
                    "has": f"{one.available_ms:.1f} ms" if one.available_ms is not None else "",
                }
                for one in plan.left_out[:SILENT_NAMED]
            ]
        )
    output.say("nothing was done")


def _show_parts(view: OperationView, output: Output) -> None:
    if view.stages:
        output.data(
            [
                {
                    "stage": stage.name,
                    "ready": stage.ready,
                    "sent": stage.sent,
                    "wanted": f"{stage.rate_wanted:.0%}",
                    "met": "yes" if stage.is_met else "no",
                    "took": f"{stage.elapsed_ms:.0f} ms",
                    "budget": f"{stage.budget_ms:.0f} ms" if stage.budget_ms else "",
                }
                for stage in view.stages
            ]
        )
    if view.answers:
        total = sum(count for _, count in view.answers)
        output.data(
            [
                {"answer": answer, "agents": count, "share": f"{count / total:.1%}"}
                for answer, count in view.answers
            ]
        )
    if view.agents:
        output.data(
            [
                {"agent": agent, "state": state, "ready": f"{ready:.1f} ms" if ready is not None else ""}
                for agent, state, ready in zip(view.agents, view.states, view.ready_ms, strict=True)
            ]
        )


def _rest(view: OperationView) -> str:
    """What is left of its time when the last one is ready; of a timed one, how many were in the window."""
    if view.timing != Timing.NOW:
        return f"; {view.hit_rate:.1%} by T and a window"
    return f"; overhead {max(0.0, view.elapsed_ms - view.offsets_ms['last']):.1f}"


def _say_who(view: OperationView, output: Output) -> None:
    if view.answers_omitted:
        output.say(f"{view.answers_omitted:,} more gave other answers")
    if view.odd:
        output.say(f"the odd ones: {', '.join(view.odd)}")
    if view.stragglers and not view.agents:
        named = ", ".join(view.stragglers[:SILENT_NAMED])
        left = view.transit - len(view.stragglers[:SILENT_NAMED])
        more = f" and {left:,} more: ohmesh ops get {view.id} --agents" if left > 0 else ""
        output.say(f"silent: {named}{more}")
    for reason, count in view.skipped_for.items():
        output.say(f"skipped: {count:,} for {reason}")
    for step in view.steps:
        output.say(step)
    if view.degraded:
        output.say(f"short: {', '.join(view.degraded)}")
    if view.expected and view.ready < view.expected:
        output.say(f"expected {view.expected:,}, {view.ready:,} are ready")
    unheard = view.pending + view.transit
    if unheard and view.outcome == "SUCCEEDED" and not isinstance(view, OperationRecord):
        output.say(
            f"decided at its quorum, {unheard:,} were not waited for; how they ended: ohmesh ops get {view.id}"
        )


def _judge_operation(view: OperationView) -> ExitCode:
    code = _CODES.get(view.outcome, ExitCode.FAILED)
    return ExitCode.PARTIAL if code is ExitCode.OK and 0 < view.ready < view.expected else code


def _show_operations(listed: OperationList, output: Output) -> None:
    now_ms = time.time() * 1000
    rows = [
        {
            "operation": one.id,
            "what": one.what,
            "outcome": one.outcome or "under way",
            "targets": one.targets,
            "ready": one.ready,
            "took": duration(one.elapsed_ms) if one.outcome else "",
            "begun": f"{duration(max(0, now_ms - one.started_ms))} ago",
            "filter": one.where,
        }
        for one in listed
    ]
    output.data(rows, columns=OPERATION_COLUMNS)
    if not rows:
        output.say("no operations yet; begin one: ohmesh ping --graph")


def _show_agents(listed: FleetAgentList, output: Output) -> None:
    now_ms = time.time() * 1000
    rows = [
        {
            "agent": one.name or one.agent,
            "class": f"{one.class_name} {one.class_title}",
            "state": f"{one.liveness}, {one.duty}",
            "impedance": f"{one.lead_ms:.0f} ms",
            "process": one.host,
            "seen": f"{duration(max(0, now_ms - one.heartbeat_ms))} ago" if one.heartbeat_ms else "",
            "reliability": f"{one.reliability:.1%}",
            "flags": one.flags,
        }
        for one in listed
    ]
    output.data(rows, columns=FLEET_AGENT_COLUMNS)
    selection = f"; filter: {listed.filter}" if listed.filter else ""
    more = f"; more: --after {listed.after}" if listed.after else ""
    if selection or more:
        output.say(f"showing {len(rows):,} of {listed.total:,} agents{selection}{more}")
    elif not rows:
        output.say("the fleet has no agents; a demo fleet: ohmesh up --agents 3000")
    _say_source(listed.source, output)


def _judge_agents(listed: FleetAgentList) -> ExitCode:
    return ExitCode.NOTHING_MATCHED if listed.filter and not listed.total else ExitCode.OK


def _show_scopes(listed: ScopeList, output: Output) -> None:
    rows = [
        {
            "scope": one.scope,
            "agents": one.agents,
            "active": one.active,
            "impedance": in_ms(one.impedance_ms),
            "p95": in_ms(one.p95_ms),
            "health": "" if one.health is None else f"{one.health:.0%}",
            "sickest": one.sickest,
            "slowest": one.slowest,
            "lead": one.lead,
            "healthiest": one.healthiest,
            "fastest": one.fastest,
        }
        for one in listed
    ]
    output.data(rows, columns=SCOPE_COLUMNS)
    if not rows:
        output.say("nobody lives there")
    _say_source(listed.source, output)


def _judge_scopes(listed: ScopeList) -> ExitCode:
    return ExitCode.OK if listed.scopes else ExitCode.NOTHING_MATCHED


def _show_fleet(fleet: FleetDescription, output: Output) -> None:
    output.data(str(fleet))
    _say_source(fleet.source, output)


def _say_source(source: Source, output: Output) -> None:
    if source.replica:
        output.say(str(source))


def _show_context(view: ContextView, output: Output) -> None:
    output.data(str(view))
    if view.held:
        names = {head[: len(view.mark)]: name for name, head in view.branches.items()}
        output.data(
            [
                {"context": one.context or "none", "branch": names.get(one.context, ""), "agents": one.agents}
                for one in view.held
            ],
            columns=("context", "branch", "agents"),
        )


def _fine(_result: object) -> ExitCode:
    return ExitCode.OK


OPERATION_FORMS: dict[type, tuple[Callable[..., None], Callable[..., ExitCode]]] = {
    OperationView: (_show_operation, _judge_operation),
    OperationRecord: (_show_operation, _fine),
    OperationList: (_show_operations, _fine),
    FleetAgentList: (_show_agents, _judge_agents),
    ScopeList: (_show_scopes, _judge_scopes),
    FleetDescription: (_show_fleet, _fine),
    ContextView: (_show_context, _fine),
}
