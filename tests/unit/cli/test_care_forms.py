"""Trends and procedures as people read them, and the exit code that each means."""

from __future__ import annotations

import io

import pytest

from ohmesh.cli.exit_codes import ExitCode
from ohmesh.cli.output import Output
from ohmesh.cli.presentation import present
from ohmesh.model.fleet_trend import TrendPage
from ohmesh.operations.runbook import RunbookReport, RunbookStep, StepOutcome


def report(*outcomes: StepOutcome, worst: StepOutcome = StepOutcome.OK) -> RunbookReport:
    steps = [
        RunbookStep(step=f"step {at}", outcome=one, evidence="seen", at_ms=0, took_ms=1.5, details=("s007",))
        for at, one in enumerate(outcomes)
    ]
    return RunbookReport(
        runbook="sector", target="s007", outcome=worst, steps=steps, started_ms=0, took_ms=3, key="k1"
    )


def shown(result: TrendPage | RunbookReport) -> tuple[ExitCode, str, str]:
    out, talk = io.StringIO(), io.StringIO()
    code = present(result, Output(out=out, talk=talk))
    return code, out.getvalue(), talk.getvalue()


@pytest.mark.parametrize(
    ("worst", "code"),
    [
        (StepOutcome.OK, ExitCode.OK),
        (StepOutcome.PLANNED, ExitCode.OK),
        (StepOutcome.ATTENTION, ExitCode.PARTIAL),
        (StepOutcome.NOT_SET_UP, ExitCode.PARTIAL),
        (StepOutcome.FAILED, ExitCode.FAILED),
    ],
)
def test_the_exit_code_is_that_of_the_worst_step(worst: StepOutcome, code: ExitCode) -> None:
    found, out, talk = shown(report(StepOutcome.OK, worst, worst=worst))
    assert found is code
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [["step", "0"], ["step", "1"]]
    assert f"sector s007: {worst}" in talk
    assert "--key k1" in talk


def test_a_trend_has_a_line_for_each_slot_and_gaps_where_nobody_was() -> None:
    trend = TrendPage(
        part="s007",
        step_ms=10_000,
        times_ms=(0, 10_000),
        agents=(30, 0),
        active_rate=(0.5, None),
        impedance_ms=(41.6, None),
        p95_ms=(120.2, None),
        queue=(1.25, None),
        drift=(0.125, None),
    )
    code, out, _ = shown(trend)
    assert code is ExitCode.OK
    assert out.splitlines()[1].split() == [
        "1970-01-01T00:00:00Z",
        "30",
        "50.0%",
        "42",
        "ms",
        "120",
        "ms",
        "1.2",
        "0.12",
    ]
    assert out.splitlines()[2].split() == ["1970-01-01T00:00:10Z", "0"]
    assert shown(TrendPage(part="s007", step_ms=10_000))[0] is ExitCode.NOTHING_MATCHED
