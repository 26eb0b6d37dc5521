"""A fleet and its operations as people read them, and the exit code that each means."""

from __future__ import annotations

import io

import msgspec
import pytest
from msgspec import Struct

from ohmesh.cli.exit_codes import ExitCode, exit_code_of
from ohmesh.cli.output import Output, OutputForm
from ohmesh.cli.presentation import present
from ohmesh.errors import NoCapableAgentError, NotConfirmed, OhmeshError, UnknownOperation
from ohmesh.model.agent import Duty, Liveness
from ohmesh.model.fleet_agent import FleetAgent
from ohmesh.model.fleet_reading import FleetDescription, ScopeView
from ohmesh.model.fleet_request import OperationView, Stage
from ohmesh.operations.fleet_results import FleetAgentList, OperationList, OperationRecord, ScopeList

SILENT = tuple(f"s000.c00.a{number:02}" for number in range(12))
DONE = OperationView(
    id="01M8",
    what="ping",
    verb="observe",
    strategy="gather",
    timing="now",
    where="",
    started_ms=1.0,
    target_ms=1.0,
    outcome="SUCCEEDED",
    decision="PROCEED",
    elapsed_ms=61.0,
    targets=100,
    sent=100,
    ready=100,
    rate=1.0,
    coverage=1.0,
    offsets_ms={"first": 1.0, "p50": 30.0, "p95": 50.0, "p99": 55.0, "last": 60.0, "mean": 31.0},
    histogram=((10.0, 40), (20.0, 0), (30.0, 60)),
    simulated=True,
)
PARTIAL = msgspec.structs.replace(
    DONE,
    outcome="PARTIAL",
    decision="WAIT",
    advice="extend_window",
    ready=85,
    transit=12,
    conflict=3,
    stragglers=SILENT,
)
EMPTY = msgspec.structs.replace(
    DONE, outcome="EMPTY", targets=0, sent=0, ready=0, offsets_ms={}, histogram=()
)
TIMED = msgspec.structs.replace(DONE, timing="hold", hit_rate=0.998)
UNDER_WAY = msgspec.structs.replace(DONE, outcome="", decision="", ready=3, pending=97)


def shown(result: Struct, *, is_drawn: bool = False) -> tuple[str, str, ExitCode]:
    out, talk = io.StringIO(), io.StringIO()
    output = Output(out=out, talk=talk)
    output.is_drawn = is_drawn
    code = present(result, output)
    return out.getvalue(), talk.getvalue(), code


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (DONE, ExitCode.OK),
        (UNDER_WAY, ExitCode.OK),
        (PARTIAL, ExitCode.PARTIAL),
        (EMPTY, ExitCode.NOTHING_MATCHED),
        (msgspec.structs.replace(DONE, outcome="FAILED", ready=0, transit=100), ExitCode.FAILED),
        (msgspec.structs.replace(DONE, outcome="FAILED_AT_SECTOR", ready=0), ExitCode.FAILED),
        (msgspec.structs.replace(DONE, expected=100), ExitCode.OK),
        (msgspec.structs.replace(DONE, expected=101), ExitCode.PARTIAL),
        (OperationRecord(**msgspec.structs.asdict(PARTIAL)), ExitCode.OK),
        (OperationList([PARTIAL]), ExitCode.OK),
        (FleetAgentList([], filter="class=gpu"), ExitCode.NOTHING_MATCHED),
        (FleetAgentList([]), ExitCode.OK),
        (ScopeList([]), ExitCode.NOTHING_MATCHED),
    ],
)
def test_the_exit_code_says_how_an_operation_ended(result: Struct, code: ExitCode) -> None:
    assert shown(result)[2] is code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotConfirmed("x"), ExitCode.NOT_CONFIRMED),
        (NoCapableAgentError("x"), ExitCode.NOTHING_MATCHED),
        (UnknownOperation("x"), ExitCode.NOTHING_MATCHED),
    ],
)
def test_a_refusal_has_its_exit_code(error: OhmeshError, code: ExitCode) -> None:
    assert exit_code_of(error) is code


def test_it_says_who_is_ready_and_that_they_are_simulated() -> None:
    out, talk, _ = shown(DONE)
    assert out.splitlines()[0] == ("ping 01M8: SUCCEEDED after 61 ms: 100 of 100 ready, simulated agents")
    assert (
        "first 1.0, p50 30.0, p95 50.0, p99 55.0, last 60.0, mean 31.0 ms from its start; overhead 1.0" in out
    )
    assert talk == ""


def test_the_first_ten_silent_ones_are_named_and_the_way_to_the_others() -> None:
    out, talk, _ = shown(PARTIAL)
    assert "85 of 100 ready, 3 in conflict, 12 silent" in out
    assert "WAIT: extend_window" in out
    assert f"silent: {', '.join(SILENT[:10])} and 2 more: ohmesh ops get 01M8 --agents" in talk
    assert SILENT[10] not in talk


def test_json_has_all_of_them() -> None:
    out = io.StringIO()
    present(PARTIAL, Output(as_json=True, out=out, talk=io.StringIO()))
    assert msgspec.json.decode(out.getvalue())["stragglers"] == list(SILENT)


@pytest.mark.parametrize(
    ("view", "is_drawn", "zero"), [(TIMED, False, "from T"), (DONE, True, "from its start")]
)
def test_what_was_timed_is_drawn_and_other_operations_where_it_is_wanted(
    view: OperationView, is_drawn: bool, zero: str
) -> None:
    assert f"30.0 ms   {zero}" in shown(view, is_drawn=is_drawn)[0]
    assert "|" not in shown(DONE)[0]


def test_what_goes_on_prints_its_id_and_nothing_else_on_stdout() -> None:
    out, talk, _ = shown(UNDER_WAY)
    assert out == "01M8\n"
    assert "ohmesh ops wait 01M8" in talk


def test_stages_answers_and_single_agents_are_tables() -> None:
    out, talk, _ = shown(
        msgspec.structs.replace(
            DONE,
            stages=(Stage("sectors", "sectors", 10, 10, 0.98, True, 17.0, 60.0),),
            answers=(("edge", 75), ("GPU", 25)),
            agents=("s000.c00.a01", "s000.c00.a02"),
            states=("ready", "transit"),
            ready_ms=(12.25, None),
            skipped_for={"insufficient_lead_time": 4},
            skipped=4,
            odd=("s007.c01.a11",),
            answers_omitted=2,
        )
    )
    assert "the odd ones: s007.c01.a11" in talk
    assert "2 more gave other answers" in talk
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "sectors 10 10 98% yes 17 ms 60 ms" in lines
    assert "edge 75 75.0%" in lines
    assert "s000.c00.a01 ready 12.2 ms" in lines
    assert "s000.c00.a02 transit" in lines
    assert "skipped: 4 for insufficient_lead_time" in talk


def test_lists_have_a_row_for_each_and_say_how_to_go_on() -> None:
    agent = FleetAgent(
        agent="s000.c00.a10",
        sector=0,
        cluster=0,
        class_name="D",
        class_title="GPU",
        liveness=Liveness.ACTIVE,
        duty=Duty.READY,
        host="fleet-1",
        lead_ms=108.4,
    )
    out, talk, _ = shown(FleetAgentList([agent], 200, "class=gpu", "10"))
    assert "s000.c00.a10  D GPU  active, ready  108 ms" in out
    assert talk == "showing 1 of 200 agents; filter: class=gpu; more: --after 10\n"
    assert "s007" in shown(ScopeList([ScopeView("s007", 300, 299, 12.5, 40.0, "fleet-2")]))[0]
    assert "under way" in shown(OperationList([UNDER_WAY]))[0]
    rows = io.StringIO()
    present(FleetAgentList([agent]), Output(form=OutputForm.JSONL, out=rows, talk=io.StringIO()))
    assert msgspec.json.decode(rows.getvalue())["agent"] == "s000.c00.a10"


@pytest.mark.parametrize(
    ("simulated", "said"),
    [(0, "mode FULL"), (10, "10 SIMULATED"), (30, "all SIMULATED")],
)
def test_a_fleet_says_which_of_its_agents_are_simulated(simulated: int, said: str) -> None:
    fleet = FleetDescription(
        agents=30,
        active=29,
        offline=1,
        sectors=1,
        healthy_sectors=1,
        mode="FULL",
        impedance_p50_ms=50.0,
        impedance_p95_ms=250.0,
        hosts=("fleet-1",),
        orchestrator="node-1-9",
        era=1,
        view=2,
        simulated=simulated,
        operations=0,
    )
    out, _, code = shown(fleet)
    assert "29 of 30 agents active (96.7%)" in out
    assert said in out
    assert ("SIMULATED" in out) == bool(simulated)
    assert "no operation yet" in out
    assert code is ExitCode.OK
