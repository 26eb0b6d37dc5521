"""The verbs that change the state of agents in Python, on a fleet of real roles in virtual time."""

from __future__ import annotations

import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.mesh import AsyncMesh
from tests.unit.mesh.test_fleet_verbs import with_mesh
from tests.unit.roles.fleet.fleet_in_memory import Fleet


def test_a_context_is_set_shown_verified_and_restored() -> None:
    async def story(mesh: AsyncMesh, _fleet: Fleet) -> None:
        view = await mesh.set_context({"goal": "ship", "limits": {"cost": 3}})
        assert (view.what, view.outcome, view.ready) == ("set-context", "SUCCEEDED", 120)
        shown = await mesh.fleet_context()
        assert shown.entries == {"goal": "ship", "limits": '{"cost":3}'}
        assert view.answers == ((shown.mark, 120),)
        assert [(held.context, held.agents) for held in shown.held] == [(shown.mark, 120)]
        assert (await mesh.verify_context()).ready == 120
        await mesh.set_context({"goal": "sail"}, scope="s001")
        later = await mesh.fleet_context()
        assert later.parents == (shown.version,)
        assert (await mesh.restore_context("s001")).answers == ((shown.mark, 30),)
        assert (await mesh.fleet_context(version=shown.mark)).entries == shown.entries

    with_mesh(story)


def test_a_branch_is_merged_or_the_entries_that_both_changed_are_named() -> None:
    async def story(mesh: AsyncMesh, _fleet: Fleet) -> None:
        await mesh.set_context({"goal": "ship", "pace": 1})
        await mesh.set_context({"pace": 2}, branch="canary", scope="s000")
        await mesh.set_context({"goal": "sail"}, scope="s001")
        assert (await mesh.merge_context("canary")).ready == 120
        assert (await mesh.fleet_context()).entries == {"goal": "sail", "pace": "2"}
        await mesh.set_context({"pace": 3}, branch="canary", scope="s000")
        await mesh.set_context({"pace": 4}, scope="s001")
        with pytest.raises(InvalidArgument, match="both changed pace"):
            await mesh.merge_context("canary")

    with_mesh(story)


def test_a_change_of_another_version_than_was_meant_is_refused() -> None:
    async def story(mesh: AsyncMesh, _fleet: Fleet) -> None:
        await mesh.set_context({"goal": "ship"})
        base = (await mesh.fleet_context()).mark
        await mesh.set_context({"goal": "sail"}, base=base)
        with pytest.raises(InvalidArgument, match="stands at"):
            await mesh.set_context({"goal": "sink"}, base=base)

    with_mesh(story)


def test_agents_are_frozen_thawed_drained_avoided_released_and_healed() -> None:
    async def story(mesh: AsyncMesh, _fleet: Fleet) -> None:
        await mesh.set_context({"goal": "ship"})
        frozen = await mesh.freeze("s001")
        assert (frozen.ready, (await mesh.ping(quorum=0.5)).skipped) == (30, 30)
        assert (await mesh.thaw()).ready == 120
        assert (await mesh.drain("s001.c00")).ready == 10
        assert (await mesh.avoid("s002.c00.a03")).ready == 1
        assert (await mesh.broadcast("work", quorum=0.5)).skipped == 11
        assert (await mesh.heal()).ready == 1  # who was avoided; who is drained is left alone
        assert (await mesh.broadcast("work", quorum=0.5)).skipped == 10
        assert (await mesh.release("all")).ready == 120
        assert (await mesh.broadcast("work", quorum=0.5)).skipped == 0

    with_mesh(story)


def test_the_same_key_is_the_same_operation() -> None:
    async def story(mesh: AsyncMesh, _fleet: Fleet) -> None:
        first = await mesh.freeze("s001", key="once")
        await mesh.thaw()
        again = await mesh.freeze("s001", key="once")
        assert again.id == first.id
        assert (await mesh.ping()).ready == 120

    with_mesh(story)


def test_what_names_nothing_is_refused_before_anybody_is_told() -> None:
    async def story(mesh: AsyncMesh, _fleet: Fleet) -> None:
        with pytest.raises(InvalidArgument, match="no context 'main'"):
            await mesh.verify_context()
        with pytest.raises(InvalidArgument, match="has no context"):
            await mesh.sync_context("s000.c00.a00")
        with pytest.raises(InvalidArgument, match="Nothing is to change"):
            await mesh.set_context({})
        with pytest.raises(InvalidArgument, match="names no version"):
            await mesh.verify_context(version="xyz")

    with_mesh(story)
