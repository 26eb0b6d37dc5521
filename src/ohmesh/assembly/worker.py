"""A worker: one host with an executor, and the runner processes in which its agents' code runs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

from ohmesh.assembly.connection import connect_engine, read_shape
from ohmesh.assembly.data_directory import Shape
from ohmesh.assembly.system import SystemClock, SystemEntropy, settle_interpreter
from ohmesh.assembly.termination import on_termination
from ohmesh.config import Config, installed_version
from ohmesh.engines.nats.engine import NatsEngine
from ohmesh.errors import EngineUnavailable, MeshUnreachable
from ohmesh.handlers.config import HandlersConfig
from ohmesh.model.subject import Subjects, checked_name
from ohmesh.roles.executor import Executor, ExecutorConfig, ExecutorPorts, HostIdentity
from ohmesh.runners.config import RunnerConfig
from ohmesh.runners.pool import ProcessRunnerPool

Notice = Callable[[str], None]

SHAPE_PATIENCE_S = 2.0
RETRY_S = 0.5
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]+")


async def run_worker(
    config: Config, targets: Sequence[str], *, name: str = "", joined: Callable[[str], None], notice: Notice
) -> None:
    """Do tasks with the agents that `targets` name until SIGINT or SIGTERM, then hand back and leave.

    joined: called with the worker's name once the mesh has answered it. Waits for a mesh that is
    not there. Raises AgentDefinitionError, NotAuthorised.
    """
    host = checked_name(name, "worker name") if name else default_worker_name()
    options = config.of(HandlersConfig).options()
    runner = ProcessRunnerPool(replace(config.of(RunnerConfig), targets=tuple(targets), options=options))
    settle_interpreter()
    async with _mesh_when_there(config, notice) as (engine, shape):
        executor = Executor(
            ExecutorPorts(engine.bus, SystemClock(), SystemEntropy()),
            runner,
            subjects=Subjects(config.mesh.name),
            host=HostIdentity(host, shape.shards, os.getpid(), installed_version()),
            config=config.of(ExecutorConfig),
        )
        _end_with_signals(executor, runner, notice)
        welcome = asyncio.ensure_future(_when_joined(executor, joined))
        try:
            await executor.run()
        finally:
            welcome.cancel()


@contextlib.asynccontextmanager
async def _mesh_when_there(config: Config, notice: Notice) -> AsyncIterator[tuple[NatsEngine, Shape]]:
    """However long it takes: whoever started the worker ends it, and hears once what it waits for."""
    is_told = False
    while True:
        async with contextlib.AsyncExitStack() as entered:
            try:
                engine = await entered.enter_async_context(connect_engine(config, notice=notice))
                shape = await read_shape(engine.state, config.mesh.name, patience_s=SHAPE_PATIENCE_S)
            except (EngineUnavailable, MeshUnreachable) as error:
                if not is_told:
                    is_told = True
                    notice(f"waiting for the mesh, Ctrl-C ends it: {error}")
            else:
                yield engine, shape
                return
        await asyncio.sleep(RETRY_S)


def _end_with_signals(executor: Executor, runner: ProcessRunnerPool, notice: Notice) -> None:
    """Once: what runs may end. Twice: it is killed and handed back. Three times: nothing is said to anybody."""
    hurries: list[asyncio.Future[None]] = []

    def stop() -> None:
        executor.leave()  # first: whoever read our words may have gone, and then they raise
        held = len(executor.held_leases())
        if held:
            tasks = f"{held} task{'' if held == 1 else 's'}"
            notice(
                f"stopping: {tasks} may take up to {executor.config.drain_s:g} s to end, the rest is handed back; "
                "Ctrl-C again ends it at once"
            )

    def hurry() -> bool:
        if not executor.held_leases():
            return False
        notice("ending at once: what still runs is stopped and handed back")
        hurries.append(asyncio.ensure_future(runner.stop(grace_s=0)))
        return True

    on_termination(stop, hurry=hurry)


async def _when_joined(executor: Executor, joined: Callable[[str], None]) -> None:
    await executor.joined()
    joined(executor.host)


def default_worker_name() -> str:
    """Unique among the workers that live: this machine's name and this process's number."""
    return f"{machine_name()}-{os.getpid()}"


def machine_name() -> str:
    """This machine's name as it may stand in a subject."""
    return _NOT_IN_A_NAME.sub("-", socket.gethostname().partition(".")[0]).strip("-_")[:40] or "worker"
