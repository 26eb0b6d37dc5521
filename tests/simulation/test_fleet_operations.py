"""A thousand operations on a fleet of which some are dead, late or lying: each decides as the rules of the quorum say.

What is said of every agent is held against what it did, in true time, which no part of the fleet reads.
"""

from __future__ import annotations

import os
import random

from ohmesh.handlers.simulated_agents import Unfit
from ohmesh.model.fleet_message import Timing, Verb
from ohmesh.model.fleet_request import OperationView
from ohmesh.model.topology import Topology
from tests.unit.roles.fleet.fleet_in_memory import Fleet, is_accounted_for, with_fleet

OPERATIONS = 1_000 if os.environ.get("OHMESH_SOAK") == "1" else 60
UNFIT = Unfit(dead=0.03, lying=0.005, late=0.02)
TIMINGS = (Timing.NOW, Timing.LEAD, Timing.HOLD)


def test_operations_decide_as_the_quorum_says_whoever_is_dead_late_or_lying() -> None:
    async def story(fleet: Fleet) -> None:
        rng = random.Random(1)
        for _ in range(OPERATIONS):
            view = await fleet.operate(
                "act",
                verb=rng.choice((Verb.ACT, Verb.OBSERVE)),
                timing=rng.choice(TIMINGS),
                where="not class=F",
                window_ms=600.0,
                timeout_ms=1_500.0,
                rate=rng.choice((0.9, 0.95, 0.99)),
            )
            assert is_accounted_for(view)
            assert view.decision == _decision(view), view
            states = await fleet.states(view.id)
            ready = {agent for agent, state in states.items() if state == "ready"}
            assert ready <= {str(fleet.topology.place(row)) for row in fleet.ready.get(view.id, {})}
            assert len(states) == view.targets

    with_fleet(story, topology=Topology(4, 5, 30), cuts=(0, 300, 600), unfit=UNFIT)


def _decision(view: OperationView) -> str:
    """The rules once more, by themselves: of those that were sent to, in this order."""
    if not view.sent:
        return "WAIT"
    silent = view.sent - view.ready - view.conflict
    if view.ready / view.sent >= view.rate_wanted:
        return "PROCEED"
    if silent / view.sent > 0.10:
        return "WAIT"
    return "RESOLVE_CONFLICTS" if view.conflict / view.sent > 0.05 else "RETRY"
