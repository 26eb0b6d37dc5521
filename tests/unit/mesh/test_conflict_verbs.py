"""The verbs about conflicts in Python and as people read them, on a fleet of real roles in virtual time."""

from __future__ import annotations

import io

import pytest
from msgspec import Struct

from ohmesh.cli.exit_codes import ExitCode, exit_code_of
from ohmesh.cli.output import Output
from ohmesh.cli.presentation import present
from ohmesh.errors import InvalidArgument, UnknownConflict
from ohmesh.mesh import AsyncMesh
from ohmesh.model.conflict_evidence import ConflictOrder, Evidence
from ohmesh.model.conflict_request import ConflictLogState
from ohmesh.model.fleet_message import ReportedConflict, Verb
from tests.unit.mesh.test_fleet_verbs import with_mesh
from tests.unit.roles.fleet.conflicted_agents import ConflictedAgents
from tests.unit.roles.fleet.fleet_in_memory import Fleet
from tests.unit.simulator.passing_time import pass_time

WRONG = ReportedConflict("hash_mismatch", "07" * 8, "00", b"bytes that were loaded")


def disobedient(_row: int, _order: ConflictOrder) -> Evidence:
    return Evidence(context_hash=b"another")


def shown(result: Struct) -> tuple[str, str, ExitCode]:
    out, talk = io.StringIO(), io.StringIO()
    code = present(result, Output(out=out, talk=talk))
    return out.getvalue(), talk.getvalue(), code


async def quarrel(fleet: Fleet) -> None:
    await fleet.operate("broadcast", verb=Verb.ACT)
    await pass_time(8.0)


def test_a_conflict_is_listed_shown_and_settled() -> None:
    async def story(mesh: AsyncMesh, fleet: Fleet) -> None:
        await quarrel(fleet)
        listed = await mesh.conflicts()
        (one,) = listed
        assert (one.type, one.state, one.priority) == ("hash_mismatch", "escalated", 4)
        assert listed.quarantined == ("s000.c00.a05",)
        assert 0 < listed.conflict_rate < 0.01
        whole = await mesh.conflict(one.id)
        assert whole.evidence == "bytes that were loaded"
        assert [each.change for each in whole.story] == ["opened", "moved", "overdue", "moved", "moved"]
        ended = await mesh.resolve_conflict(one.id, action="released", reason="looked at it")
        assert (ended.state, ended.outcome) == ("released", "looked at it")
        assert not await mesh.conflicts()
        assert [each.id for each in await mesh.conflicts(ended=True)] == [one.id]
        assert (await mesh.verify_conflicts()).is_whole

    with_mesh(story, people=lambda rows, _after: ConflictedAgents(rows, {5: WRONG}, disobedient))


def test_what_cannot_be_is_refused() -> None:
    async def story(mesh: AsyncMesh, fleet: Fleet) -> None:
        with pytest.raises(UnknownConflict, match="nowhere") as refusal:
            await mesh.conflict("nowhere")
        assert exit_code_of(refusal.value) is ExitCode.NOTHING_MATCHED
        with pytest.raises(UnknownConflict):
            await mesh.resolve_conflict("nowhere", action="released")
        for wrong in ({"state": "odd"}, {"type": "odd"}, {"since": "odd"}, {"limit": 0}):
            with pytest.raises(InvalidArgument):
                await mesh.conflicts(**wrong)
        for odd in ({}, {"action": "odd"}, {"action": "released", "winner": "x"}):
            with pytest.raises(InvalidArgument):
                await mesh.resolve_conflict("nowhere", **odd)
        assert not fleet.notices

    with_mesh(story)


def test_people_read_who_quarrels_and_when_it_is_due() -> None:
    async def story(mesh: AsyncMesh, fleet: Fleet) -> None:
        out, talk, code = shown(await mesh.conflicts())
        assert (out, code) == ("", ExitCode.OK)
        assert "no conflicts" in talk
        await quarrel(fleet)
        listed = await mesh.conflicts()
        out, talk, code = shown(listed)
        assert "hash_mismatch" in out
        assert "s000.c00.a05" in out
        assert "1 agents are in quarantine: s000.c00.a05" in talk
        (one,) = listed
        out, _, _ = shown(await mesh.conflict(one.id))
        assert "bytes that were loaded" in out
        assert "overdue" in out
        out, _, code = shown(await mesh.verify_conflicts())
        assert "5 entries, all as they were written" in out
        assert code is ExitCode.OK

    with_mesh(story, people=lambda rows, _after: ConflictedAgents(rows, {5: WRONG}, disobedient))


def test_a_log_that_was_tampered_with_ends_with_a_code_that_says_so() -> None:
    out, talk, code = shown(ConflictLogState("m-conflicts", False, 3, "00", 2, "It was written as entry 9."))
    assert code is ExitCode.FAILED
    assert "entry 2 is wrong" in out + talk


def test_a_tampered_log_of_a_fleet_that_runs_is_found() -> None:
    async def story(mesh: AsyncMesh, fleet: Fleet) -> None:
        await quarrel(fleet)
        entries = fleet.cluster.logs.by_name["test-conflicts"].entries
        first, second = entries[0], entries[1]
        entries[1] = type(first)(second.sequence, second.data.replace(b"bytes that", b"BYTES that"))
        state = await mesh.verify_conflicts()
        assert (state.is_whole, state.sequence) == (False, 2)

    with_mesh(story, people=lambda rows, _after: ConflictedAgents(rows, {5: WRONG}, disobedient))
