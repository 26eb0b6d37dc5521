"""A client whose wall clock is an hour off: its tasks are done, when it wanted them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from ohmesh.assembly.connection import connect_engine
from ohmesh.assembly.settings import load_settings
from ohmesh.assembly.system import SystemClock, SystemEntropy
from ohmesh.model.message import ListTasks
from ohmesh.model.subject import Subjects
from ohmesh.roles.client import Client
from ohmesh.roles.client_config import ClientPorts
from tests.integration.hand_in import hand_in, request, states
from tests.integration.running_mesh import RunningMesh, running_mesh

HOUR_MS = 3_600_000
DELAY_MS = 300


class WrongClock(SystemClock):
    def __init__(self, skew_ms: int) -> None:
        self._skew_ms = skew_ms

    def now_ms(self) -> int:
        return super().now_ms() + self._skew_ms


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMesh]:
    with running_mesh(tmp_path_factory.mktemp("clocks")) as mesh:
        mesh.up("--workers", "0")
        mesh.worker("--name", "mine")
        yield mesh


@pytest.mark.parametrize("skew_ms", [-HOUR_MS, HOUR_MS], ids=["behind", "ahead"])
def test_a_client_whose_clock_is_wrong_is_served_like_any_other(mesh: RunningMesh, skew_ms: int) -> None:
    async def scenario() -> None:
        config = load_settings({"mesh.data": str(mesh.data)})
        async with connect_engine(config) as engine:
            ports = ClientPorts(engine.bus, WrongClock(skew_ms), SystemEntropy())
            client = Client(ports, subjects=Subjects(config.mesh.name), shards=config.mesh.shards)
            await client.start()
            now = [request(client, "echo", "x") for _ in range(20)]
            later = [request(client, "echo", "x", delay_ms=DELAY_MS) for _ in range(20)]
            handed_in = await hand_in(client, [*now, *later])
            assert await states(handed_in.handles) == {"succeeded": 40}
            tasks = (await client.requests.list_tasks(ListTasks(handed_in.ids[20:]))).tasks
            assert all(task.started_ms - task.submitted_ms >= DELAY_MS for task in tasks)
            await client.close()

    asyncio.run(scenario())
