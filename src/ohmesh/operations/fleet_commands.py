"""The verbs about a fleet, as the list of all verbs has them."""

from __future__ import annotations

from ohmesh.operations.command import Command, Risk, Role, Scope

_ARGUMENTS = "ohmesh.operations.fleet_arguments:"
_RESULTS = "ohmesh.operations.fleet_results:"
_RUN = "ohmesh.operations.fleet:"
_REQUEST = "ohmesh.model.fleet_request:"
_VIEW = _REQUEST + "OperationView"
_ID = "01JD3Y9Q8K2M4N6P8R0S2T4V6W"
_ENDS = (
    "Every target ends in a named state, and `ops get` has them all. Exit code 0 when the quorum is met, 3 in part, "
    "1 when nobody is ready, 4 when nobody is meant, 5 when the fleet is so degraded that it wants an approval (--yes)."
)

FLEET_COMMANDS: tuple[Command, ...] = (
    Command(
        name="fleet status",
        summary="Show the fleet: who is active, its mode, its sectors, the last operation.",
        help="Agents that are simulated are counted and called so. docs/fleet.md says what a fleet is.",
        example="ohmesh fleet status",
        arguments=_ARGUMENTS + "FleetStatus",
        result="ohmesh.model.fleet_reading:FleetDescription",
        run=_RUN + "fleet_status",
        scope=Scope.FLEET,
    ),
    Command(
        name="fleet agents",
        summary="List agents of the fleet: their class, state, impedance, process.",
        help="A page at a time: `after` of one page asks for the next. A filter is made of tests such as class=gpu, "
        "sector in (3,7), impedance>400ms, not state=quarantined; docs/selectors.md has all of it.",
        example="ohmesh fleet agents -S 'class=gpu and sector in (3,7)' --limit 20",
        arguments=_ARGUMENTS + "ListFleetAgents",
        result=_RESULTS + "FleetAgentList",
        run=_RUN + "list_fleet_agents",
        scope=Scope.FLEET,
    ),
    Command(
        name="fleet best",
        summary="List the agents that can take something now, the lowest impedance first.",
        help="Those that are active, on duty and have all of the capabilities. Where there is none it is said what is "
        "missing, and the exit code is 4.",
        example="ohmesh fleet best gpu --limit 5",
        arguments=_ARGUMENTS + "BestAgents",
        result=_RESULTS + "FleetAgentList",
        run=_RUN + "best_agents",
        scope=Scope.FLEET,
    ),
    Command(
        name="fleet sectors",
        summary="List sectors: how many of their agents are active, their impedance, their coordinator.",
        example="ohmesh fleet sectors",
        arguments=_ARGUMENTS + "ListSectors",
        result=_RESULTS + "ScopeList",
        run=_RUN + "list_sectors",
        scope=Scope.FLEET,
    ),
    Command(
        name="fleet clusters",
        summary="List clusters of all sectors or of one, and who leads them.",
        example="ohmesh fleet clusters --sector 7",
        arguments=_ARGUMENTS + "ListClusters",
        result=_RESULTS + "ScopeList",
        run=_RUN + "list_clusters",
        scope=Scope.FLEET,
    ),
    Command(
        name="ping",
        summary="Ask agents of the fleet whether they are there, and measure their answers.",
        help=f"{_ENDS} Thirty targets or fewer are shown one by one.",
        example="ohmesh ping --graph",
        arguments=_ARGUMENTS + "Ping",
        result=_VIEW,
        run=_RUN + "ping",
        risk=Risk.WRITE,
        idempotent=False,
        scope=Scope.FLEET,
        role=Role.OPERATOR,
    ),
    Command(
        name="broadcast",
        summary="Tell agents of the fleet something, now or to be ready at one instant.",
        help=f"With --window all are ready at T, that much from now; --timing says how. {_ENDS}",
        example="ohmesh broadcast 'market closed early' -S 'class=gpu' --ack",
        arguments=_ARGUMENTS + "Broadcast",
        result=_VIEW,
        run=_RUN + "broadcast",
        risk=Risk.WRITE,
        idempotent=False,
        scope=Scope.FLEET,
        role=Role.OPERATOR,
    ),
    Command(
        name="ask",
        summary="Ask agents of the fleet a question; their answers are grouped by value.",
        help=f"{_ENDS} Simulated agents know their class and their context.",
        example="ohmesh ask 'which context do you hold?' --sample 100",
        arguments=_ARGUMENTS + "Ask",
        result=_VIEW,
        run=_RUN + "ask",
        risk=Risk.WRITE,
        idempotent=False,
        scope=Scope.FLEET,
        role=Role.OPERATOR,
    ),
    Command(
        name="delegate",
        summary="Give one piece of work to one agent of the fleet, and wait for its answer.",
        help="The best available one unless another is named; who refuses is passed over for the next best. Work that "
        "must not get lost when everything dies is a task: `ohmesh submit`. Exit code 0 when it is done, 3 when the "
        "agent is silent, 1 when it refuses, 4 when nobody can.",
        example="ohmesh delegate 'summarise the logs' --to 'capability=gpu and sector=7' --timeout-seconds 30",
        arguments="ohmesh.operations.delegation:Delegate",
        result=_VIEW,
        run="ohmesh.operations.delegation:delegate",
        risk=Risk.WRITE,
        idempotent=False,
        scope=Scope.FLEET,
        role=Role.OPERATOR,
    ),
    Command(
        name="cascade",
        summary="Tell agents of the fleet something tier by tier or class by class, each with a quorum of its own.",
        help=f"docs/operations.md has the stages of each strategy. {_ENDS}",
        example="ohmesh cascade 'new prices' --strategy wave",
        arguments=_ARGUMENTS + "Cascade",
        result=_VIEW,
        run=_RUN + "cascade",
        risk=Risk.WRITE,
        idempotent=False,
        scope=Scope.FLEET,
        role=Role.OPERATOR,
    ),
    Command(
        name="ops list",
        summary="List operations on the fleet, the newest first.",
        example="ohmesh ops list --limit 5",
        arguments=_ARGUMENTS + "ListOperations",
        result=_RESULTS + "OperationList",
        run=_RUN + "list_operations",
        scope=Scope.FLEET,
    ),
    Command(
        name="ops get",
        summary="Show one operation; with --agents every target and its state.",
        help="What came late is in here too; the decision stays as it was.",
        example=f"ohmesh ops get {_ID} --agents",
        arguments=_ARGUMENTS + "OneOperation",
        result=_RESULTS + "OperationRecord",
        run=_RUN + "get_operation",
        scope=Scope.FLEET,
    ),
    Command(
        name="ops wait",
        summary="Wait until an operation is decided.",
        help="Its exit code is that of the operation; 3 as well when it is not decided in time.",
        example=f"ohmesh ops wait {_ID} --wait 60",
        arguments=_ARGUMENTS + "WaitOperation",
        result=_VIEW,
        run=_RUN + "wait_operation",
        scope=Scope.FLEET,
    ),
    Command(
        name="ops start",
        summary="Begin an operation by its name (ping, broadcast, ask, cascade) and return its id.",
        help="The four have verbs of their own, which wait for the decision unless they are detached.",
        example="ohmesh ops start broadcast --message 'market closed early'",
        arguments=_ARGUMENTS + "StartOne",
        result=_VIEW,
        run=_RUN + "start_operation",
        risk=Risk.WRITE,
        idempotent=False,
        scope=Scope.FLEET,
        role=Role.OPERATOR,
    ),
)
