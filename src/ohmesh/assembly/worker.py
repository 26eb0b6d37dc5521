"""A worker: one host with an executor, and the runner processes in which its agents' code runs."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace

from ohmesh.assembly.connection import connect_engine, read_shape
from ohmesh.assembly.system import SystemClock, SystemEntropy
from ohmesh.assembly.termination import on_termination
from ohmesh.config import Config, installed_version
from ohmesh.model.subject import Subjects, checked_name
from ohmesh.roles.executor import Executor, ExecutorConfig, ExecutorPorts, HostIdentity
from ohmesh.runners.config import RunnerConfig
from ohmesh.runners.pool import ProcessRunnerPool

Notice = Callable[[str], None]

SHAPE_PATIENCE_S = 30.0
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]+")


async def run_worker(
    config: Config, targets: Sequence[str], *, name: str = "", joined: Callable[[str], None], notice: Notice
) -> None:
    """Do tasks with the agents that `targets` name until SIGINT or SIGTERM, then hand back and leave.

    joined: called with the worker's name once the mesh has answered it. Raises AgentDefinitionError, EngineUnavailable.
    """
    host = checked_name(name, "worker name") if name else default_worker_name()
    runner = ProcessRunnerPool(replace(config.of(RunnerConfig), targets=tuple(targets)))
    async with connect_engine(config, notice=notice) as engine:
        shape = await read_shape(engine.state, config.mesh.name, patience_s=SHAPE_PATIENCE_S)
        executor = Executor(
            ExecutorPorts(engine.bus, SystemClock(), SystemEntropy()),
            runner,
            subjects=Subjects(config.mesh.name),
            host=HostIdentity(host, shape.shards, os.getpid(), installed_version()),
            config=config.of(ExecutorConfig),
        )
        on_termination(executor.leave)
        welcome = asyncio.ensure_future(_when_joined(executor, joined))
        try:
            await executor.run()
        finally:
            welcome.cancel()


async def _when_joined(executor: Executor, joined: Callable[[str], None]) -> None:
    await executor.joined()
    joined(executor.host)


def default_worker_name() -> str:
    """Unique among the workers that live: this machine's name and this process's number."""
    return f"{machine_name()}-{os.getpid()}"


def machine_name() -> str:
    """This machine's name as it may stand in a subject."""
    return _NOT_IN_A_NAME.sub("-", socket.gethostname().partition(".")[0]).strip("-_")[:40] or "worker"
