"""What a process says when a role of it ends by itself."""

from __future__ import annotations

import asyncio

import pytest

from ohmesh.errors import EngineUnavailable
from ohmesh.simulator.process import Process
from ohmesh.simulator.world import World, run
from tests.unit.roles.role_watch import Life, RoleWatch


@pytest.mark.parametrize(
    ("error", "has_traceback"),
    [(ValueError("a defect of the role"), True), (EngineUnavailable("The engine is away."), False)],
)
def test_a_defect_is_told_with_its_traceback_and_an_engine_that_went_away_in_words(
    error: Exception, has_traceback: bool
) -> None:
    async def main(world: World) -> None:
        watch = RoleWatch(world)

        def fails(process: Process) -> Life:
            async def live(term: int) -> None:
                raise error

            return live

        world.start("only", watch.main((), lives={"frail": fails}))
        await asyncio.sleep(2.0)
        told = [notice for notice in watch.notices if str(error) in notice]
        assert told
        assert ["Traceback" in notice for notice in told] == [has_traceback] * len(told)

    run(main, seed=1)
