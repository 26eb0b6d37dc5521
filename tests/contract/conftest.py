"""Every engine, one suite. `on_engine(scenario)` runs `scenario(make)` on the engine of the parameter; each call of
`await make()` gives one more process's connection to the same new mesh, closed at the end.

A new engine is one more entry of ENGINES: a function that takes pytest's request and returns such a `make`.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from ohmesh.engines.memory.cluster import MemoryCluster
from ohmesh.engines.nats.embedded import EmbeddedConfig, EmbeddedServer
from ohmesh.engines.nats.engine import NatsEngine
from ohmesh.ports.blobs import Blobs
from ohmesh.ports.bus import Bus
from ohmesh.ports.log import Log
from ohmesh.ports.state import State


class Engine(Protocol):
    @property
    def bus(self) -> Bus: ...
    @property
    def log(self) -> Log: ...
    @property
    def state(self) -> State: ...
    @property
    def blobs(self) -> Blobs: ...
    async def close(self) -> None: ...


MakeEngine = Callable[[], Awaitable[Engine]]
Scenario = Callable[[MakeEngine], Coroutine[Any, Any, None]]
OnEngine = Callable[[Scenario], None]


def nats_engines(request: pytest.FixtureRequest) -> MakeEngine:
    server: EmbeddedServer = request.getfixturevalue("nats_server")
    mesh = f"mesh-{secrets.token_hex(6)}"
    return lambda: NatsEngine.connect(server.url, mesh=mesh, seed_file=server.seed_file)


def memory_engines(request: pytest.FixtureRequest) -> MakeEngine:
    cluster = MemoryCluster()

    async def make() -> Engine:
        return cluster.connect(request.node.name)

    return make


ENGINES: dict[str, Callable[[pytest.FixtureRequest], MakeEngine]] = {
    "memory": memory_engines,
    "nats": nats_engines,
}


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """One real server for every test of this worker that does no harm to it."""
    server = EmbeddedServer(EmbeddedConfig(tmp_path_factory.mktemp("nats")))
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())


@pytest.fixture(params=sorted(ENGINES))
def on_engine(request: pytest.FixtureRequest, run: Callable[[Coroutine[Any, Any, None]], None]) -> OnEngine:
    make_one = ENGINES[request.param](request)

    async def within(scenario: Scenario) -> None:
        made: list[Engine] = []

        async def make() -> Engine:
            made.append(await make_one())
            return made[-1]

        try:
            await scenario(make)
        finally:
            for engine in made:
                await engine.close()

    return lambda scenario: run(within(scenario))


@pytest.fixture
def nats_data(tmp_path: Path) -> Path:
    """A data directory for a server of a test's own."""
    return tmp_path / "nats"
