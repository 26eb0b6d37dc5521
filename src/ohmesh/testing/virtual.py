"""A run in virtual time: the roles of a mesh as processes of a simulated world, and a scenario that acts on them.

Time jumps to the next timer as soon as nothing is ready, so a delay, a backoff or a lease costs what the roles do in
it and no more. Everything follows from the seed, as long as the code under test reads time from its event loop or
`control.now()`, and draws chance from `control.rng()`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from msgspec import Struct

from ohmesh.errors import Fenced, InvalidArgument
from ohmesh.handlers.loading import handlers_of
from ohmesh.mesh.async_mesh import AsyncMesh
from ohmesh.mesh.opening import Agent
from ohmesh.simulator.loop import LoopLimits
from ohmesh.simulator.world import Report, World, WorldOptions
from ohmesh.simulator.world import run as run_world
from ohmesh.testing.control import Control
from ohmesh.testing.faults import CALM, Faults, engine_faults
from ohmesh.testing.plant import Plant

Result = TypeVar("Result")
Scenario = Callable[[AsyncMesh, Control], Coroutine[Any, Any, Result]]


class RunOptions(Struct, frozen=True, kw_only=True):
    """workers, nodes: so many of each; nodes take over from each other.
    faults: what is switched on when the scenario begins.
    settle_s: after the scenario every fault is healed, and acknowledged tasks have so long to end.
    virtual_s_max: a run that reaches this instant is given up as one that never ends.
    """

    workers: int = 1
    nodes: int = 1
    faults: Faults = CALM
    settle_s: float = 3_600.0
    virtual_s_max: float = 86_400.0


def run(
    scenario: Scenario[Result],
    agents: Sequence[Agent] = (),
    *,
    seed: int = 0,
    options: RunOptions | None = None,
) -> Report[Result]:
    """Run `await scenario(mesh, control)` to its end in virtual time, settle, verify the promises.

    Returns what it returned, with a digest of everything that happened: equal seeds, equal digests. Raises what the
    scenario raises (with the seed and the last events as a note), PromiseBroken, SimulationError.
    """
    chosen = options or RunOptions()
    if chosen.workers < 1 or chosen.nodes < 1:
        raise InvalidArgument(
            f"{chosen.workers} workers and {chosen.nodes} nodes make no mesh.",
            hint="Give at least 1 of each.",
        )
    handlers = handlers_of(agents)

    async def main(world: World) -> Result:
        plant = Plant(world, handlers, workers=chosen.workers, nodes=chosen.nodes)
        await plant.start()
        control = Control(world, plant)
        control.switch(chosen.faults)
        try:
            result = await scenario(AsyncMesh(plant.client, leave=_nothing), control)
            control.heal()
            await plant.settle(chosen.settle_s)
            plant.judge()
        finally:
            await plant.close()
        return result

    return run_world(
        main,
        seed=seed,
        options=WorldOptions(
            calm=engine_faults(CALM),
            loop=LoopLimits(max_virtual_s=chosen.virtual_s_max),
            tolerated=(Fenced,),
        ),
    )


async def _nothing() -> None:
    """The run closes the mesh, after it has settled."""
    await asyncio.sleep(0)
