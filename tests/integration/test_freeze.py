"""Freeze of everything, kill -9 of everything, start, thaw: the same state, shown by the hashes of contexts."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # it ships no types
import pytest

from ohmesh.assembly.connection import connect_client
from ohmesh.assembly.settings import load_settings
from ohmesh.model.fleet_message import Verb
from ohmesh.model.fleet_reading import AgentsPage
from ohmesh.model.fleet_request import ListAgents, OperationView, StartOperation
from ohmesh.model.priority import Priority
from ohmesh.model.state_order import (
    EditContext,
    FreezeState,
    StateOrder,
    ThawState,
    encode_state_order,
)
from ohmesh.roles.client import Client
from tests.integration.running_mesh import Program, is_gone, running_mesh
from tests.waiting import answered, wait_until

AGENTS = 1_200
OPTIONS = ("--workers", "0", "--agents", str(AGENTS), "--fleet-hosts", "2")
LARGE = bytes(range(256)) * 400


@pytest.mark.timeout(240)
def test_everything_frozen_killed_started_and_thawed_is_the_same(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh:
        data = str(mesh.data)
        up = mesh.up(*OPTIONS)
        before, frozen = asyncio.run(_freeze(data))
        assert len(set(before.values())) == 3  # two branches, and some that have none
        _kill_everything(up)
        mesh.up(*OPTIONS)
        after, thawed = asyncio.run(_thaw(data))
        assert after == before
        assert thawed.ready == AGENTS
        assert thawed.answers == frozen.answers


def _kill_everything(up: Program) -> None:
    everything = [up.process, *up.children()]
    for process in everything:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    wait_until(lambda: all(map(is_gone, everything)), what="everything is gone", timeout_s=20)


async def _freeze(data: str) -> tuple[dict[str, str], OperationView]:
    async with connect_client(load_settings({"mesh.data": data})) as client:
        await _until_duty(client, "ready")
        await _order(client, EditContext(put={"goal": b"ship", "policy": LARGE}), where="not sector=3")
        await _order(client, EditContext(put={"goal": b"sail"}, branch="canary"), where="sector=0")
        before = {agent: context for agent, (context, _) in (await _agents(client)).items()}
        frozen = await _order(client, FreezeState())
        assert frozen.ready == AGENTS
        return before, frozen


async def _thaw(data: str) -> tuple[dict[str, str], OperationView]:
    async with connect_client(load_settings({"mesh.data": data})) as client:
        await _until_duty(client, "frozen")
        work = await _operate(client, what="act", verb=Verb.ACT, approved=True)
        assert (work.ready, work.skipped) == (0, AGENTS)
        thawed = await _order(client, ThawState())
        await _until_duty(client, "ready")
        work = await _operate(client, what="ping")
        assert work.ready == AGENTS
        return {agent: context for agent, (context, _) in (await _agents(client)).items()}, thawed


async def _order(client: Client, wish: StateOrder, where: str = "") -> OperationView:
    return await _operate(client, what="state", verb=Verb.SYNC, where=where, payload=encode_state_order(wish))


async def _operate(client: Client, **how: object) -> OperationView:
    request = StartOperation(
        operation=client.fleet.new_id(),
        priority=Priority.CRITICAL,
        rate=1.0,
        timeout_ms=10_000.0,
        **how,  # type: ignore[arg-type]
    )
    return await client.fleet.ask(request, OperationView, timeout_s=40.0)


async def _agents(client: Client) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    after = -1
    while True:
        page = await client.fleet.ask(ListAgents(limit=1_000, after=after), AgentsPage, timeout_s=30.0)
        found.update((agent.agent, (agent.context, agent.duty)) for agent in page.agents)
        after = page.after
        if after < 0:
            return found


async def _until_duty(client: Client, duty: str) -> None:
    async def is_so() -> bool:
        agents = await _agents(client)
        return len(agents) == AGENTS and {found for _, found in agents.values()} == {duty}

    await answered(is_so, what=f"{AGENTS} agents are {duty}")
