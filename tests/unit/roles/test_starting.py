"""Warming up a runner is left at once by who is told to leave."""

from __future__ import annotations

import asyncio

from ohmesh.model.agent import AgentSpec
from ohmesh.ports.runner import Report, Resize
from ohmesh.roles.executor import Executor, ExecutorPorts, HostIdentity
from ohmesh.simulator.process import Process
from ohmesh.simulator.runner import SimulatedRunner
from ohmesh.simulator.world import World, run
from tests.unit.roles.lone_host import CONFIG, SUBJECTS, conduct
from tests.waiting import eventually


class SlowToImport(SimulatedRunner):
    """A runner whose modules never come to an end of being imported."""

    stopped = 0

    async def start(self, report: Report, resize: Resize) -> list[AgentSpec]:
        await asyncio.Event().wait()
        return []

    async def stop(self, *, grace_s: float) -> None:
        self.stopped += 1


def test_who_leaves_while_modules_are_imported_does_not_wait_for_that() -> None:
    async def main(world: World) -> None:
        ended: list[SlowToImport] = []

        async def host(process: Process) -> None:
            runner = SlowToImport(process, [AgentSpec("agent", "kind", (), 10)], conduct=conduct)
            ports = ExecutorPorts(process.engine.bus, process.clock, process.entropy)
            executor = Executor(ports, runner, subjects=SUBJECTS, host=HostIdentity("host", 1), config=CONFIG)
            asyncio.get_running_loop().call_later(1.0, executor.leave)
            await executor.run()
            ended.append(runner)

        world.start("host", host)
        await eventually(lambda: ended, what="it has left")
        assert ended[0].stopped == 1

    run(main, seed=1)
