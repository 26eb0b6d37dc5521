"""The door for HTTP in this process, over a mesh in memory: what a test asks it, and what it says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx2
from starlette.types import ASGIApp

from ohmesh.api.application import build_application
from ohmesh.api.config import ApiConfig
from ohmesh.api.door import Door
from ohmesh.api.keyring import Keyring, digest_of
from ohmesh.errors import MeshUnreachable
from ohmesh.roles.client import Client
from ohmesh.roles.client_config import ClientConfig
from tests.unit.mesh_in_memory import mesh_in_memory

TOKEN = "a-token-of-the-owner"
KEY = "a-key-of-somebody"
BASE = "http://127.0.0.1:7400"

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@dataclass
class ServedDoor:
    """`http` carries the owner's token. `now_s` is the door's clock; `mesh` is None while the mesh is away."""

    http: httpx2.AsyncClient
    door: Door
    app: ASGIApp
    mesh: Client | None = None
    now_s: float = 1_000.0


@asynccontextmanager
async def served_door(
    *, config: ApiConfig | None = None, mesh: Client | None = None
) -> AsyncIterator[ServedDoor]:
    """Without `mesh` it is away."""
    config = config or ApiConfig()
    keyring = Keyring(TOKEN, config, keys={"somebody": digest_of(KEY)})
    served: ServedDoor

    def client() -> Client:
        if served.mesh is None:
            raise MeshUnreachable("The mesh is away.")
        return served.mesh

    door = Door(config=config, mesh=client, keyring=keyring, now_s=lambda: served.now_s)
    app = build_application(door, version="1.2.3")
    transport = httpx2.ASGITransport(app=app)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx2.AsyncClient(transport=transport, base_url=BASE, headers=headers) as http:
        served = ServedDoor(http, door, app, mesh)
        yield served


@asynccontextmanager
async def door_in_memory(config: ApiConfig | None = None) -> AsyncIterator[ServedDoor]:
    """With a mesh that runs the kinds echo, fail and never."""
    quick = replace(ClientConfig(), request_timeout_ms=5_000)
    async with mesh_in_memory(config=quick) as client, served_door(config=config, mesh=client) as served:
        yield served


def with_door(
    run: Run, scenario: Callable[[ServedDoor], Awaitable[None]], config: ApiConfig | None = None
) -> None:
    """`scenario(door)` over a mesh in memory."""

    async def main() -> None:
        async with door_in_memory(config) as served:
            await scenario(served)

    run(main())


def with_lone_door(
    run: Run, scenario: Callable[[ServedDoor], Awaitable[None]], config: ApiConfig | None = None
) -> None:
    """`scenario(door)` while the mesh is away, which is quick and enough for what comes before the mesh."""

    async def main() -> None:
        async with served_door(config=config) as served:
            await scenario(served)

    run(main())
