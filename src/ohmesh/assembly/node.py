"""A node: one process that runs dispatchers and the projector with the historian beside it, as many of them as the
assignment record gives it."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ohmesh.assembly.connection import connect_engine, read_shape
from ohmesh.assembly.data_directory import Shape
from ohmesh.assembly.history import HistoryRole
from ohmesh.assembly.system import SystemClock, SystemEntropy, settle_interpreter
from ohmesh.assembly.termination import on_termination
from ohmesh.config import Config
from ohmesh.engines.nats.engine import NatsEngine
from ohmesh.errors import InvalidArgument
from ohmesh.model.subject import Subjects
from ohmesh.ports.bus import Message
from ohmesh.protocols.queue.rows import LOG_GENERATION
from ohmesh.roles.dispatcher import Dispatcher, DispatcherConfig, DispatcherPorts
from ohmesh.roles.fleet.config import FleetConfig, OrchestratorConfig, Seat
from ohmesh.roles.process import Process
from ohmesh.roles.process_config import ProcessConfig
from ohmesh.roles.role_tasks import RoleFactory
from ohmesh.roles.webhook_config import WebhookConfig, WebhookPorts
from ohmesh.roles.webhooks import Webhooks

if TYPE_CHECKING:
    from ohmesh.roles.fleet.follower import Follower

Notice = Callable[[str], None]

SHAPE_PATIENCE_S = 30.0


async def run_node(
    config: Config,
    *,
    name: str,
    ready: Callable[[str], None],
    respawn: Callable[[str], None],
    notice: Notice,
) -> None:
    """Serve until SIGINT or SIGTERM; then give the roles back and return. `ready` hears the node's full name, `respawn`
    that of a process of the fleet that is to be started anew by whoever started it."""
    stopped = asyncio.Event()
    on_termination(stopped.set)
    settle_interpreter()
    async with connect_engine(config, notice=notice) as engine:
        shape = await read_shape(engine.state, config.mesh.name, patience_s=SHAPE_PATIENCE_S)
        process = Process(
            engine.state,
            SystemClock(),
            SystemEntropy(),
            name=f"{name}-{os.getpid()}",
            config=config.of(ProcessConfig),
        )
        follower = _follower(config, engine, process.name, notice)
        following = asyncio.ensure_future(follower.run()) if follower is not None else None
        roles = _roles(config, engine, process.name, shape, notice)
        if follower is not None:
            await _hear_respawns(config, engine, respawn)
            roles["orchestrator"] = partial(_orchestrate, config, engine, follower, notice)
        serving = asyncio.ensure_future(process.serve(roles, generation=LOG_GENERATION, notice=notice))
        stopping = asyncio.ensure_future(stopped.wait())
        ready(process.name)
        running = [serving] if following is None else [serving, following]
        await asyncio.wait([*running, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not stopped.is_set():
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in running:
                if task.done():
                    task.result()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _follower(config: Config, engine: NatsEngine, owner: str, notice: Notice) -> Follower | None:
    """Every node of a mesh with a fleet keeps a replica of its registry; only who has a fleet pays for NumPy."""
    fleet = config.of(FleetConfig)
    if not fleet.has_orchestrator:
        return None
    from ohmesh.roles.fleet.follower import Follower

    seat = Seat(owner, Subjects(config.mesh.name), fleet.topology)
    follower = Follower(engine.bus, SystemClock(), seat, config=config.of(OrchestratorConfig))
    follower.notice = notice
    return follower


async def _hear_respawns(config: Config, engine: NatsEngine, respawn: Callable[[str], None]) -> None:
    from ohmesh.model.fleet_frame import decode_fleet_frame
    from ohmesh.model.fleet_operation import Respawn

    def receive(message: Message) -> None:
        with contextlib.suppress(InvalidArgument):
            for body in decode_fleet_frame(message.data).bodies:
                if isinstance(body, Respawn):
                    respawn(body.process)

    await engine.bus.subscribe(Subjects(config.mesh.name).respawns(), receive)


def _roles(
    config: Config,
    engine: NatsEngine,
    owner: str,
    shape: Shape,
    notice: Notice,
) -> dict[str, RoleFactory]:
    roles: dict[str, RoleFactory] = {
        f"dispatcher-{shard}": partial(_dispatch, config, engine, owner, shard)
        for shard in range(shape.shards)
    }
    roles["projector"] = HistoryRole(config, engine, shape, notice).run
    if find_spec("httpx2") is not None:
        roles["webhooks"] = partial(_tell, config, engine, shape, notice)
    return roles


async def _tell(config: Config, engine: NatsEngine, shape: Shape, notice: Notice, term: int) -> None:
    """Webhooks, where the extra `http` is installed."""
    from ohmesh.engines.web.sender import WebSender

    web = WebSender()
    ports = WebhookPorts(
        engine.bus, engine.log, engine.blobs, engine.state, SystemClock(), SystemEntropy(), web
    )
    webhooks = Webhooks(
        ports,
        subjects=Subjects(config.mesh.name),
        shards=shape.shards,
        config=config.of(WebhookConfig),
    )
    webhooks.notice = notice
    try:
        await webhooks.run(term)
    finally:
        await web.close()


async def _orchestrate(
    config: Config, engine: NatsEngine, follower: Follower, notice: Notice, term: int
) -> None:
    from ohmesh.roles.fleet.orchestrator import Orchestrator, OrchestratorPorts

    orchestrator = Orchestrator(
        OrchestratorPorts(engine.bus, engine.state, engine.blobs, SystemClock(), SystemEntropy(), engine.log),
        follower.seat,
        config=config.of(OrchestratorConfig),
    )
    orchestrator.notice = notice
    orchestrator.inherited = follower.known
    await orchestrator.run(term)


async def _dispatch(config: Config, engine: NatsEngine, owner: str, shard: int, term: int) -> None:
    ports = DispatcherPorts(
        engine.bus, engine.log, engine.state, engine.blobs, SystemClock(), SystemEntropy()
    )
    dispatcher = Dispatcher(
        ports,
        subjects=Subjects(config.mesh.name),
        shard=shard,
        owner=owner,
        config=config.of(DispatcherConfig),
    )
    await dispatcher.run(term)
