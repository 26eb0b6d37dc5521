"""An agent in another language joins a real mesh: examples/javascript-agent answers a ping and is ready at T."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import pytest

from ohmesh.assembly.connection import connect_client
from ohmesh.assembly.settings import load_settings
from ohmesh.model.fleet_message import Timing, Verb
from ohmesh.model.fleet_reading import AgentsPage, FleetDescription
from ohmesh.model.fleet_request import DescribeFleet, ListAgents, OperationView, StartOperation
from ohmesh.roles.client import Client
from tests.contract.ledger.postgresql_server import free_port
from tests.integration.running_mesh import running_mesh
from tests.integration.test_javascript_agent import EXAMPLE, NODE
from tests.waiting import answered

pytestmark = pytest.mark.skipif(not NODE, reason="no Node 20.10 or later on this machine")

PLACE = "s000.c00.a07"


def test_an_agent_in_javascript_joins_answers_and_is_ready_at_t(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    (tmp_path / "ohmesh.toml").write_text(f"[engine]\nwebsocket_port = {port}\n")
    with running_mesh(tmp_path) as mesh:
        mesh.up("--workers", "0", "--fleet", "--nodes", "1")
        seed = str(mesh.data / "nats.seed")
        words = [*NODE, str(EXAMPLE / "agent.mjs"), f"ws://127.0.0.1:{port}", seed, "default", PLACE, "gpu"]
        agent = subprocess.Popen(words, env=dict(os.environ))
        try:
            asyncio.run(_story(str(mesh.data)))
        finally:
            agent.send_signal(signal.SIGTERM)
            agent.wait(20)


async def _story(data: str) -> None:
    async with connect_client(load_settings({"mesh.data": data})) as client:

        async def is_there() -> bool:
            return (await client.fleet.ask(DescribeFleet(), FleetDescription, timeout_s=20)).active == 1

        await answered(is_there, what="the agent is on duty")
        page = await client.fleet.ask(ListAgents(), AgentsPage)
        (shown,) = page.agents
        assert (shown.agent, shown.name, shown.class_name) == (PLACE, "javascript", "E")
        assert "gpu" in shown.capabilities
        ping = await _operate(client, "ping")
        assert (ping.ready, ping.targets, ping.outcome, ping.simulated) == (1, 1, "SUCCEEDED", False)
        timed = await _operate(client, "act", verb=Verb.ACT, timing=Timing.HOLD, window_ms=900.0)
        assert (timed.ready, timed.hit_rate) == (1, 1.0)
        assert timed.offsets_ms["p50"] >= -5.0, "not before T"


async def _operate(client: Client, what: str, **how: object) -> OperationView:
    request = StartOperation(operation=client.fleet.new_id(), what=what, **how)  # type: ignore[arg-type]
    return await client.fleet.ask(request, OperationView, timeout_s=30)
