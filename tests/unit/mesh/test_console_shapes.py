"""The verbs of a console, called in the shapes that people know them by."""

from __future__ import annotations

import pytest

from ohmesh.errors import NoCapableAgentError
from ohmesh.handlers.simulated_agents import Unfit
from ohmesh.mesh.async_mesh import AsyncMesh
from ohmesh.model.topology import parse_place
from tests.unit.mesh.test_fleet_verbs import EVERYBODY, with_mesh
from tests.unit.roles.fleet.fleet_in_memory import Fleet


def test_a_broadcast_says_how_many_have_it_and_how_many_did_it() -> None:
    async def story(mesh: AsyncMesh, _fleet: Fleet) -> None:
        told = await mesh.broadcast("market closed early")
        assert (told.received, told.acknowledged) == (told.ready, 0)
        done = await mesh.broadcast("market closed early", 3, True, filter="class=edge", quorum=1.0)
        assert done.received == done.acknowledged == done.targets > 0

    with_mesh(story)


def test_a_question_to_those_who_can_is_grouped_by_value() -> None:
    async def story(mesh: AsyncMesh, _fleet: Fleet) -> None:
        everybody = await mesh.ask("which class?", 0)
        assert everybody.targets == EVERYBODY
        few = await mesh.ask("which class?", 5, "edge")
        assert few.answers == (("edge", 5),)
        nobody = await mesh.ask("which class?", capability_filter=["edge", "gpu"])
        assert nobody.targets == 0
        some = await mesh.ask("which class?", 0, "edge", filter="sector=1 or sector=2")
        assert 0 < some.ready < dict(everybody.answers)["edge"]

    with_mesh(story)


def test_work_goes_to_the_best_available_to_one_that_is_named_or_to_the_best_of_a_filter() -> None:
    async def story(mesh: AsyncMesh, _fleet: Fleet) -> None:
        best = (await mesh.fleet_best(limit=1)).agents[0]
        done = await mesh.delegate("summarise the logs")
        assert (done.outcome, done.agents, done.states) == ("SUCCEEDED", (best.agent,), ("ready",))
        assert done.answers == ((best.class_title, 1),)
        assert (await mesh.delegate("x", "s001.c02.a03")).agents == ("s001.c02.a03",)
        assert (await mesh.delegate("x", to="class=gpu", timeout_seconds=5)).answers == (("GPU", 1),)
        once = await mesh.delegate("x", key="once")
        assert (await mesh.delegate("x", key="once")).id == once.id
        with pytest.raises(NoCapableAgentError):
            await mesh.delegate("x", to="sector=9")

    with_mesh(story)


def test_who_refuses_is_passed_over_for_the_next_best() -> None:
    async def story(mesh: AsyncMesh, fleet: Fleet) -> None:
        agents, rows = fleet.populations["host-0"]
        first, second = (await mesh.fleet_best(limit=2, filter="sector=0")).agents
        agents._is_lying[fleet.topology.row(parse_place(first.agent)) - rows[0]] = True
        done = await mesh.delegate("x", to="s000")
        assert (done.outcome, done.agents) == ("SUCCEEDED", (second.agent,))

    with_mesh(story)


def test_status_has_what_a_person_looks_at_first() -> None:
    async def story(mesh: AsyncMesh, _fleet: Fleet) -> None:
        before = await mesh.fleet()
        assert (before.last_cascade, before.conflicts_last_hour) == (None, 0)
        cascade = await mesh.cascade("new prices", filter="not class=human")
        await mesh.ping()
        shown = await mesh.fleet()
        assert (shown.active, shown.agents, shown.healthy_sectors, shown.mode) == (120, 120, 4, "FULL")
        assert shown.impedance_mean_ms > 0
        assert shown.conflicts_last_hour == 1
        assert 0 < shown.conflict_rate < 0.05
        assert shown.last_cascade is not None
        assert shown.last_cascade.id == cascade.id
        assert "last cascade" in str(shown)

    with_mesh(story, unfit=Unfit(lying=0.02))
