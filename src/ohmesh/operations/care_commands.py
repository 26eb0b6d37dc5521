"""The verbs that look after a fleet: how it has been, and procedures that do and report every step."""

from __future__ import annotations

from ohmesh.operations.command import Command, Scope

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
)
