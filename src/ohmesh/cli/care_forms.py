"""How a fleet has been, and what was done about it, as people read it."""

from __future__ import annotations

from collections.abc import Callable

from ohmesh.cli.exit_codes import ExitCode
from ohmesh.cli.output import Output
from ohmesh.model.fleet_breaker import BreakersPage
from ohmesh.model.fleet_failure import FailuresPage
from ohmesh.model.fleet_trend import TrendPage
from ohmesh.operations.fleet_results import in_ms
from ohmesh.operations.moments import written
from ohmesh.operations.runbook import RunbookReport, StepOutcome

TREND_COLUMNS = ("since", "agents", "active", "impedance", "p95", "queue", "drift")


def _show_trend(trend: TrendPage, output: Output) -> None:
    columns = (trend.agents, trend.active_rate, trend.impedance_ms, trend.p95_ms, trend.queue, trend.drift)
    rows = [
        {
            "since": written(at_ms),
            "agents": round(agents or 0),
            "active": "" if active is None else f"{active:.1%}",
            "impedance": in_ms(impedance),
            "p95": in_ms(p95),
            "queue": "" if queue is None else f"{queue:.1f}",
            "drift": "" if drift is None else f"{drift:.2f}",
        }
        for at_ms, agents, active, impedance, p95, queue, drift in zip(trend.times_ms, *columns, strict=True)
    ]
    output.data(rows, columns=TREND_COLUMNS)
    if not rows:
        output.say(
            f"nothing is known of {trend.part} in that time; a slot of 10 s is there once it has passed"
        )


def _judge_trend(trend: TrendPage) -> ExitCode:
    return ExitCode.OK if any(trend.agents) else ExitCode.NOTHING_MATCHED


def _show_breakers(page: BreakersPage, output: Output) -> None:
    rows = [
        {
            "part": one.part,
            "state": one.state,
            "failures": one.failures,
            "note": "by hand" if one.by_hand else "",
        }
        for one in page.breakers
    ]
    output.data(rows, columns=("part", "state", "failures", "note"))
    if not rows:
        output.say("every breaker is closed")


def _show_failures(page: FailuresPage, output: Output) -> None:
    rows = [
        {
            "agent": one.agent,
            "failure": one.failure,
            "for": f"{one.since_s:.0f} s" if one.since_s else "",
            "timeouts": one.timeouts,
            "done": ", ".join(one.remedies),
            "told": one.told,
        }
        for one in page.lines
    ]
    output.data(rows, columns=("agent", "failure", "for", "timeouts", "done", "told"))
    output.say(", ".join(f"{count} {name}" for name, count in page.counts.items()) or "no agent fails")


def _judge_failures(page: FailuresPage) -> ExitCode:
    return ExitCode.OK


def _judge_breakers(page: BreakersPage) -> ExitCode:
    return ExitCode.OK


def _show_report(report: RunbookReport, output: Output) -> None:
    rows = [
        {
            "step": one.step,
            "outcome": one.outcome.value,
            "took": f"{one.took_ms:.0f} ms",
            "seen": one.evidence,
        }
        for one in report.steps
    ]
    output.data(rows, columns=("step", "outcome", "took", "seen"))
    for one in report.steps:
        if one.details and one.outcome is not StepOutcome.OK:
            output.say(f"{one.step}: {'; '.join(one.details)}")
    output.say(f"{report.runbook} {report.target}".rstrip() + f": {report.outcome}")
    if report.key:
        output.say(f"to go on with the same: --key {report.key}")


def _judge_report(report: RunbookReport) -> ExitCode:
    return _OUTCOMES.get(report.outcome, ExitCode.OK)


_OUTCOMES = {
    StepOutcome.FAILED: ExitCode.FAILED,
    StepOutcome.ATTENTION: ExitCode.PARTIAL,
    StepOutcome.NOT_SET_UP: ExitCode.PARTIAL,
}

CARE_FORMS: dict[type, tuple[Callable[..., None], Callable[..., ExitCode]]] = {
    BreakersPage: (_show_breakers, _judge_breakers),
    FailuresPage: (_show_failures, _judge_failures),
    TrendPage: (_show_trend, _judge_trend),
    RunbookReport: (_show_report, _judge_report),
}
