"""What a conflict means to agents and sectors meanwhile: quarantine in the agent's process, word to coordinators."""

from __future__ import annotations

import numpy as np

from ohmesh.model.conflict_evidence import Evidence
from ohmesh.model.fleet_message import Coordinate, MessageHead, ReportedConflict, TargetState, Verb
from ohmesh.model.state_order import EditContext, Refusal, encode_state_order
from ohmesh.ports.population import Answered
from tests.unit.roles.fleet.fleet_in_memory import Fleet, with_fleet
from tests.unit.roles.fleet.test_conflicts import GOOD, Reports, name, open_ones, people, resolve, speak
from tests.unit.simulator.passing_time import pass_time


def test_its_process_refuses_what_reaches_an_agent_in_quarantine_until_it_is_let_go() -> None:
    heard: list[Answered] = []
    message = Coordinate(MessageHead("stale", "lead", 0), Verb.ACT)

    async def story(fleet: Fleet) -> None:
        await speak(fleet)
        population = fleet.hosts["host-0"]._population
        population.deliver(message, np.array([4, 5]), heard.append)
        assert [(one.rows.tolist(), one.states.tolist()) for one in heard] == [
            ([5], [TargetState.CONFLICT]),
            ([4], [TargetState.READY]),
        ]
        assert heard[0].conflicts[0][1].kind == Refusal.QUARANTINED
        payload = encode_state_order(EditContext(put={"goal": b"ship"}))
        view = await fleet.operate("set-context", verb=Verb.SYNC, payload=payload)
        assert (view.ready, view.skipped_for) == (119, {"not_on_duty": 1})
        (one,) = await open_ones(fleet)
        await resolve(fleet, one.id, "released")
        await pass_time(0.5)
        heard.clear()
        population.deliver(message, np.array([5]), heard.append)
        assert heard[0].conflicts[0][1].kind == "hash_mismatch"  # it hears it, and says what it says

    report: Reports = {5: ReportedConflict("hash_mismatch", GOOD.hex(), "00")}
    with_fleet(story, people=people(report, lambda _row, _order: Evidence(context_hash=b"bad")))


def test_the_coordinator_of_a_sector_is_told_and_so_is_the_next_one() -> None:
    async def story(fleet: Fleet) -> None:
        await speak(fleet)
        (one,) = await open_ones(fleet)
        (told,) = fleet.hosts["host-0"].conflicts
        assert (told.conflict, told.priority, told.sectors, told.agents) == (one.id, 4, (0,), (name(5),))
        assert fleet.hosts["host-1"].conflicts == ()
        await fleet.kill("host-0")
        await pass_time(8.0)
        host = fleet.start_host(0)
        await pass_time(2.0)
        (again,) = host.conflicts
        assert again.conflict == one.id
        await resolve(fleet, one.id, "discarded")
        await pass_time(0.5)
        assert host.conflicts == ()

    report: Reports = {5: ReportedConflict("hash_mismatch", GOOD.hex(), "00")}
    with_fleet(story, people=people(report, lambda _row, _order: Evidence(context_hash=b"bad")))
