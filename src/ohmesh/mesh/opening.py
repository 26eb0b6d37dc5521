"""Opening a mesh: which settings and processes stand behind `connect` and `local`.

Whatever is entered is held by one task until it is closed, so that a mesh may be opened in one task (or by one call of
a synchronous program) and closed in another.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from ohmesh.errors import AgentDefinitionError, InvalidArgument
from ohmesh.handlers.declaration import declaration_of
from ohmesh.roles.client import Client

_logger = logging.getLogger("ohmesh.mesh")

Agent = str | Callable[..., object]
"""An @agent function at the top of a module, or "module:object"."""


def connected(
    *, url: str, context: str, mesh: str, seed_file: str, data: str
) -> AbstractAsyncContextManager[Client]:
    """A client of a mesh that runs, found as the command line finds it."""
    from ohmesh.assembly import connect_client, resolve_settings

    said = {"engine.url": url, "mesh.name": mesh, "engine.seed_file": seed_file, "mesh.data": data}
    given = {key: value for key, value in said.items() if value}
    return connect_client(resolve_settings(given, context=context), advice=_logger.warning)


@asynccontextmanager
async def embedded(agents: Sequence[Agent], *, data: str, workers: int) -> AsyncIterator[Client]:
    """A mesh of this program's own, with its processes: the given agents, else the built-in kinds."""
    from ohmesh.assembly import connect_client, start_local

    targets = [target_of(one) for one in agents]
    async with (
        start_local(targets, workers=workers, data=data) as supervisor,
        connect_client(supervisor.config, advice=_logger.warning) as client,
    ):
        yield client


def target_of(agent: Agent) -> str:
    """As worker processes import it. The script that is running counts by its file's name."""
    if isinstance(agent, str):
        return agent
    name = getattr(agent, "__qualname__", "")
    if declaration_of(agent) is None or "<locals>" in name:
        raise AgentDefinitionError(
            f"{agent!r} cannot be run by a worker process.",
            hint="Put @agent on a function at the top of a module, or pass 'module:object'.",
        )
    module = agent.__module__
    if module == "__main__":
        file = getattr(sys.modules["__main__"], "__file__", None)
        if not file:
            raise AgentDefinitionError(
                f"{name} was typed into an interpreter; a worker process cannot import it.",
                hint="Put it into a file.",
            )
        module = Path(file).stem
    return f"{module}:{name}"


async def hold(manager: AbstractAsyncContextManager[Client]) -> tuple[Client, Callable[[], Awaitable[None]]]:
    """Enter `manager`; return what it gives, and what leaves it (from any task; raises what leaving raises)."""
    opened: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
    closing = asyncio.Event()
    holder = asyncio.create_task(_hold(manager, opened, closing), name="mesh-holder")
    try:
        client = await opened
    except asyncio.CancelledError:
        holder.cancel()
        await asyncio.gather(holder, return_exceptions=True)
        raise

    async def leave() -> None:
        closing.set()
        await holder

    return client, leave


async def _hold(
    manager: AbstractAsyncContextManager[Client], opened: asyncio.Future[Client], closing: asyncio.Event
) -> None:
    try:
        async with manager as client:
            if not opened.done():
                opened.set_result(client)
            await closing.wait()
    except Exception as error:
        if opened.done():
            raise
        opened.set_exception(error)


def kind_of(agent: Agent) -> str:
    """The kind itself, or that of an @agent function."""
    if isinstance(agent, str):
        return agent
    declaration = declaration_of(agent)
    if declaration is None:
        raise InvalidArgument(
            f"{agent!r} is not an agent.", hint="Pass a kind by name, or a function with @agent on it."
        )
    return declaration.kind
