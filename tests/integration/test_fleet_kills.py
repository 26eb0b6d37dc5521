"""A fleet of real processes, each of them killed -9 in the middle of an operation: it ends with true states.

What the agents did is written by their processes to files of their own as it happens; the mesh does not read them.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import numpy as np
import psutil  # type: ignore[import-untyped]  # it ships no types
import pytest

from ohmesh.assembly.connection import connect_client
from ohmesh.assembly.settings import load_settings
from ohmesh.handlers.simulated_agents import standard_mix
from ohmesh.model.agent_class import AgentClasses
from ohmesh.model.fleet_message import Timing, Verb
from ohmesh.model.fleet_reading import FleetDescription
from ohmesh.model.fleet_request import DescribeFleet, GetOperation, OperationView, StartOperation
from ohmesh.model.priority import Priority
from ohmesh.model.topology import Topology
from ohmesh.roles.client import Client
from tests.integration.running_mesh import Program, running_mesh
from tests.waiting import answered, eventually

AGENTS = 1_800
HOSTS = 3
SHAPE = Topology(100, 10, 30)
HEAD = 48
READ_S = 2.0
READ_PAUSE_S = 0.02
NOT_PEOPLE = "not class=F"


@pytest.mark.timeout(240)
def test_an_operation_outlives_the_kill_of_each_role(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh:
        up = mesh.up("--workers", "0", "--fleet")
        hosts = [
            mesh.begin(
                "fleet-host",
                *("--name", f"part-{number}", "--data", str(mesh.data)),
                *("--first", str(number * AGENTS // HOSTS), "--count", str(AGENTS // HOSTS)),
                *("--witness", str(tmp_path / f"{number}.witness")),
            )
            for number in range(HOSTS)
        ]
        for host in hosts:
            host.wait_ready()
        asyncio.run(_ordeal(up, hosts, str(mesh.data), tmp_path))


async def _ordeal(up: Program, hosts: list[Program], data: str, folder: Path) -> None:
    async with connect_client(load_settings({"mesh.data": data})) as client:
        await _until_active(client, AGENTS)
        await _until_followed(client)
        reading = asyncio.create_task(_read_on(client))
        orchestrator = await _kill_in_the_middle(client, folder, lambda: _orchestrator_of(up, client))
        reading.cancel()
        read = await reading
        assert {shown.agents for shown in read} == {AGENTS}
        assert len({shown.era for shown in read}) == 2
        assert any(shown.source.replica for shown in read), "who else answers while there is no orchestrator?"
        assert orchestrator.ready + orchestrator.transit + orchestrator.skipped == orchestrator.targets
        await _until_active(client, AGENTS)
        # The process that leads and coordinates the last third, and in which its agents live.
        host = await _kill_in_the_middle(client, folder, lambda: _process(hosts[-1]))
        gone = {f"s{sector:03}" for sector in range(4, 6)}
        assert {agent[:4] for agent, state in _states(host).items() if state == "ready"}.isdisjoint(gone)
        engine = await _kill_in_the_middle(client, folder, lambda: _process_of(up, "nats-server"))
        assert engine.targets == AGENTS - _people(AGENTS)
        last = await _operate(client, rate=0.6, timeout_ms=2_000.0)
        assert (last.ready, last.unreachable) == (2 * AGENTS // HOSTS, AGENTS // HOSTS)


async def _kill_in_the_middle(client: Client, folder: Path, find: object) -> OperationView:
    """Begin one for an instant, kill while agents wait for it, and hold what is said against what they did."""
    victim = await find()  # type: ignore[operator]
    request = StartOperation(
        operation=client.fleet.new_id(),
        what="act",
        verb=Verb.ACT,
        timing=Timing.HOLD,
        window_ms=1_500.0,
        timeout_ms=6_000.0,
        where=NOT_PEOPLE,
        rate=1.0,
        priority=Priority.CRITICAL,  # the fleet is degraded by then, and does no less than it was told
        approved=True,
    )
    asking = asyncio.create_task(client.fleet.ask(request, OperationView, timeout_s=60.0))
    await _until_begun(client, request.operation)
    victim.kill()
    view = await asking
    shown = await client.fleet.ask(GetOperation(view.id, agents=True), OperationView, timeout_s=30.0)
    parts = (shown.ready, shown.conflict, shown.transit, shown.skipped, shown.unreachable, shown.pending)
    assert sum(parts) == shown.targets
    said = {agent for agent, state in _states(shown).items() if state == "ready"}
    await eventually(
        lambda: said <= _witnessed(folder, view.id), what="all that is said to be ready was", timeout_s=10
    )
    return shown


async def _read_on(client: Client) -> list[FleetDescription]:
    """Everything that was said of the fleet until this is cancelled; no answer takes longer than READ_S."""
    read: list[FleetDescription] = []
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            async with asyncio.timeout(READ_S):
                read.append(await _describe(client))
            await asyncio.sleep(READ_PAUSE_S)
    return read


async def _operate(client: Client, **how: object) -> OperationView:
    request = StartOperation(operation=client.fleet.new_id(), what="ping", priority=Priority.CRITICAL, **how)  # type: ignore[arg-type]
    return await client.fleet.ask(request, OperationView, timeout_s=30.0)


async def _until_active(client: Client, agents: int) -> None:
    async def is_so() -> bool:
        return (await _describe(client)).active == agents

    await answered(is_so, what=f"{agents} agents on duty")


async def _until_followed(client: Client) -> None:
    """Replicas are at most a second behind."""
    known_us = (await _describe(client)).now_us

    async def is_so() -> bool:
        return (await _describe(client)).now_us > known_us + 1_000_000

    await answered(is_so, what="a second later")


async def _until_begun(client: Client, operation: str) -> None:
    """The intent is stored, and the message is on its way."""

    async def is_so() -> bool:
        last = (await _describe(client)).last_operation
        return last is not None and last.id == operation

    await answered(is_so, what=f"operation {operation} under way")


async def _describe(client: Client) -> FleetDescription:
    return await client.fleet.ask(DescribeFleet(), FleetDescription, timeout_s=30.0)


async def _orchestrator_of(up: Program, client: Client) -> psutil.Process:
    name = (await _describe(client)).orchestrator
    return psutil.Process(int(name.rpartition("-")[2]))


async def _process(program: Program) -> psutil.Process:
    return program.process


async def _process_of(up: Program, word: str) -> psutil.Process:
    return up.child(word)


def _states(view: OperationView) -> dict[str, str]:
    return dict(zip(view.agents, view.states, strict=True))


def _people(agents: int) -> int:
    classes = AgentClasses()
    return int(np.count_nonzero(standard_mix(np.arange(agents), classes) == classes.code("F")))


def _witnessed(folder: Path, operation: str) -> set[str]:
    """Agents that were ready, as their own processes wrote; those write ten times a second."""
    found: set[str] = set()
    for path in folder.glob("*.witness"):
        data, at = path.read_bytes(), 0
        while at + HEAD <= len(data):
            _, count = np.frombuffer(data, np.int64, 2, at + 32)
            rows = np.frombuffer(data, np.int32, int(count), at + HEAD)
            if data[at : at + 32].decode().strip() == operation:
                found |= {str(SHAPE.place(int(row))) for row in rows}
            at += HEAD + 4 * int(count)
    return found
