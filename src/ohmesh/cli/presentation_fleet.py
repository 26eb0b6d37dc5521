"""How agents read on a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable

from ohmesh.cli.durations import duration
from ohmesh.cli.exit_codes import ExitCode
from ohmesh.cli.output import Output
from ohmesh.model.agent import Liveness
from ohmesh.operations.agents import AgentList

AGENT_COLUMNS = ("agent", "kind", "state", "running", "seen", "capabilities")


def _show_agents(listed: AgentList, output: Output) -> None:
    now_ms = time.time() * 1000
    rows = [
        {
            "agent": one.agent,
            "kind": one.kind,
            "state": f"{one.liveness}, {one.duty}" if one.liveness is Liveness.ACTIVE else one.liveness,
            "running": f"{one.running}/{one.slots}",
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


FLEET_FORMS: dict[type, tuple[Callable[..., None], Callable[..., ExitCode]]] = {
    AgentList: (_show_agents, _judge_agents),
}
