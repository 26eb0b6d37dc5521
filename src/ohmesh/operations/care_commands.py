"""The verbs that look after a fleet: how it has been, and procedures that do and report every step."""

from __future__ import annotations

from ohmesh.operations.command import Command, Risk, Role, Scope

_ARGUMENTS = "ohmesh.operations.runbook_arguments:"
_BREAKERS = "ohmesh.operations.breakers:"
_PAGE = "ohmesh.model.fleet_breaker:BreakersPage"
_REPORT = "ohmesh.operations.runbook:RunbookReport"
_STEPS = (
    "Every step is reported with what was seen and when. Exit code 0 when all is well, 3 when something wants "
    "attention or is not set up, 1 when a step failed. docs/runbooks.md has every step."
)

CARE_COMMANDS: tuple[Command, ...] = (
    Command(
        name="fleet trend",
        summary="Show how the fleet, a sector or a cluster has been: agents, impedance, queue, drift by time.",
        help="A slot holds the means of its time, of p95 the worst. Kept across restarts; people are left out of "
        "impedance, queue and drift. docs/registry.md has more.",
        example="ohmesh fleet trend s007 --since 2h --step 1min",
        arguments="ohmesh.operations.trends:FleetTrend",
        result="ohmesh.model.fleet_trend:TrendPage",
        run="ohmesh.operations.trends:fleet_trend",
        scope=Scope.FLEET,
    ),
    Command(
        name="fleet failures",
        summary="List the agents that fail, the class of each failure, and what is done about it.",
        help="Who is silent is asked again, later and later, and begun anew after 30 s; what does not help is told "
        "further up. docs/operations.md has every class.",
        example="ohmesh fleet failures",
        arguments=_BREAKERS + "FleetFailures",
        result="ohmesh.model.fleet_failure:FailuresPage",
        run=_BREAKERS + "fleet_failures",
        scope=Scope.FLEET,
    ),
    Command(
        name="fleet breakers",
        summary="List the breakers of clusters, sectors and the mesh that are not closed.",
        help="A cluster opens at the 6th failure within a minute, a sector at the 51st, the mesh when 11 sectors are "
        "open. What is open is asked nothing, probed after 30 s, and let in again step by step. docs/operations.md has "
        "more.",
        example="ohmesh fleet breakers",
        arguments=_BREAKERS + "FleetBreakers",
        result=_PAGE,
        run=_BREAKERS + "fleet_breakers",
        scope=Scope.FLEET,
    ),
    Command(
        name="fleet open-breaker",
        summary="Open the breaker of a cluster, a sector or the mesh by hand: nobody there is asked anything.",
        help="A region is probed and closes by itself as after failures; the mesh is closed by hand.",
        example="ohmesh fleet open-breaker s007",
        arguments=_BREAKERS + "BreakerPart",
        result=_PAGE,
        run=_BREAKERS + "open_breaker",
        risk=Risk.WRITE,
        scope=Scope.FLEET,
        role=Role.OPERATOR,
    ),
    Command(
        name="fleet close-breaker",
        summary="Close the breaker of a cluster, a sector or the mesh by hand; its failures are forgotten.",
        example="ohmesh fleet close-breaker s007",
        arguments=_BREAKERS + "BreakerPart",
        result=_PAGE,
        run=_BREAKERS + "close_breaker",
        risk=Risk.WRITE,
        scope=Scope.FLEET,
        role=Role.OPERATOR,
    ),
    Command(
        name="runbook daily",
        summary="Check the health of the fleet: breakers, conflicts, churn, drift, slow agents, backups.",
        help=f"It changes nothing. {_STEPS}",
        example="ohmesh runbook daily",
        arguments=_ARGUMENTS + "DailyCheck",
        result=_REPORT,
        run="ohmesh.operations.runbook_daily:daily",
        scope=Scope.FLEET,
    ),
    Command(
        name="runbook sector",
        summary="Bring a sector back that does not answer, step by step.",
        help="It is looked at from two places; processes that are silent are given up and others take their roles; "
        "leads are tried one by one; simulated agents of silent processes are started in others; a sector in which "
        f"too few answer is routed around. What is in order is left alone, so it can be done again. {_STEPS}",
        example="ohmesh runbook sector s007 --dry-run",
        arguments=_ARGUMENTS + "SilentSector",
        result=_REPORT,
        run="ohmesh.operations.runbook_sector:silent_sector",
        risk=Risk.WRITE,
        scope=Scope.FLEET,
        role=Role.OPERATOR,
    ),
    Command(
        name="runbook add-agents",
        summary="Add agents: plan their places, start or await them, and let them in step by step.",
        help="In a demo fleet they are started in the processes that run; with --own the places are for agents of "
        f"yours, which are waited for. The same --key goes on where it was. {_STEPS}",
        example="ohmesh runbook add-agents 1000",
        arguments=_ARGUMENTS + "AddAgents",
        result=_REPORT,
        run="ohmesh.operations.runbook_growth:add_agents",
        risk=Risk.WRITE,
        idempotent=False,
        scope=Scope.FLEET,
        role=Role.OPERATOR,
    ),
)
