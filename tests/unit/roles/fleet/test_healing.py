"""Healing a fleet: each agent gets what it needs, and every step is told."""

from __future__ import annotations

from ohmesh.handlers.simulated_agents import Unfit
from ohmesh.model.agent import Duty
from ohmesh.model.fleet_frame import decode_fleet_frame
from ohmesh.model.fleet_message import Verb
from ohmesh.model.fleet_operation import Respawn
from ohmesh.model.fleet_request import OperationView
from ohmesh.model.state_order import ChangeDuty, EditContext, HealState, How, StateOrder, encode_state_order
from ohmesh.ports.bus import Message
from tests.unit.roles.fleet.fleet_in_memory import SUBJECTS, Fleet, with_fleet
from tests.unit.simulator.passing_time import pass_time

AUTO = HealState(is_auto=True)


async def order(fleet: Fleet, body: StateOrder, **how: object) -> OperationView:
    return await fleet.operate(
        "state", verb=Verb.SYNC, payload=encode_state_order(body), timeout_ms=10_000, **how
    )


def test_who_is_silent_is_restarted_and_answers_again() -> None:
    async def story(fleet: Fleet) -> None:
        silent = (await fleet.operate()).transit
        assert silent > 0
        await pass_time(3.0)
        healed = await order(fleet, AUTO)
        assert healed.targets == silent
        assert dict(healed.answers) == {"restarted, context right, duty ready": silent}
        assert (await fleet.operate()).ready == 120

    with_fleet(story, unfit=Unfit(dead=0.1))


def test_a_fleet_that_is_well_has_nobody_to_heal() -> None:
    async def story(fleet: Fleet) -> None:
        await fleet.operate()
        await pass_time(3.0)
        assert (await order(fleet, AUTO)).targets == 0

    with_fleet(story)


def test_each_gets_what_it_needs_in_one_go() -> None:
    async def story(fleet: Fleet) -> None:
        await order(fleet, EditContext(put={"goal": b"ship"}))
        await order(
            fleet, EditContext(put={"goal": b"sail"}, branch="canary"), where="sector=1 and cluster=0"
        )
        await order(fleet, ChangeDuty(Duty.QUARANTINED), where="sector=2 and cluster=1")
        healed = await order(fleet, AUTO)
        assert dict(healed.answers) == {
            "context taken from a neighbour, duty ready": 10,
            "context right, duty ready": 10,
        }
        assert (await fleet.describe()).active == 120

    with_fleet(story)


def test_a_process_that_is_gone_is_replaced_by_who_started_it_and_its_agents_go_on() -> None:
    asked: list[str] = []

    async def story(fleet: Fleet) -> None:
        def receive(message: Message) -> None:
            for body in decode_fleet_frame(message.data).bodies:
                if isinstance(body, Respawn):
                    asked.append(body.process)
                    fleet.start_host(1)

        await fleet.cluster.connect("supervisor").bus.subscribe(SUBJECTS.respawns(), receive)
        await order(fleet, EditContext(put={"goal": b"ship"}))
        await pass_time(3.0)
        await fleet.kill("host-1")
        await pass_time(6.0)
        healed = await order(fleet, AUTO)
        assert asked == ["host-1"]
        (step,) = healed.steps
        assert step.startswith("process host-1 was replaced within")
        assert (healed.ready, healed.targets) == (60, 60)
        assert (await fleet.operate()).ready == 120

    with_fleet(story)


def test_where_nobody_can_start_it_anew_that_is_said() -> None:
    async def story(fleet: Fleet) -> None:
        await fleet.kill("host-1")
        await pass_time(6.0)
        healed = await order(fleet, AUTO)
        assert (healed.unreachable, healed.ready) == (60, 0)
        assert "was not replaced within 8 s" in healed.steps[0]

    with_fleet(story)


def test_one_thing_is_done_to_a_target_that_is_well() -> None:
    async def story(fleet: Fleet) -> None:
        healed = await order(fleet, HealState(how=How.RESTART), where="sector=0")
        assert dict(healed.answers) == {"restarted, context right, duty ready": 30}
        healed = await order(fleet, HealState(how=How.RESYNC), where="sector=0")
        assert dict(healed.answers) == {"context right, duty ready": 30}

    with_fleet(story)
