"""An executor in a world, and a dispatcher's words to it, written by hand."""

from __future__ import annotations

import random

from ohmesh.model.agent import AgentSpec
from ohmesh.model.frame import decode_to_dispatcher, encode_frame
from ohmesh.model.message import Grants, HostReport, Outcomes, ToDispatcher, ToHost
from ohmesh.model.subject import Subjects
from ohmesh.model.task import Grant, Outcome
from ohmesh.ports.bus import Message
from ohmesh.ports.runner import Runner
from ohmesh.roles.executor import Executor, ExecutorConfig, ExecutorPorts, HostIdentity
from ohmesh.simulator.process import Process
from ohmesh.simulator.runner import Conduct, SimulatedRunner
from ohmesh.simulator.world import World
from tests.waiting import eventually

SUBJECTS = Subjects("m")
CONFIG = ExecutorConfig(heartbeat_ms=1_000, lease_ms=2_000, resend_ms=400, drain_s=2.0, settle_s=1.0)


def conduct(grant: Grant, _rng: random.Random) -> Conduct:
    """A task is named for what it does: `hang-...` never ends by itself, `slow-...` takes a second."""
    durations = {"hang": float("inf"), "slow": 1_000.0}
    return Conduct(duration_ms=durations.get(grant.task_id.partition("-")[0], 1.0))


def grant(lease: int, task_id: str = "t") -> Grant:
    return Grant(lease, task_id, "agent", b"payload", 1, 60_000)


class LoneHost:
    def __init__(self, world: World) -> None:
        self.world = world
        self.heard: list[ToDispatcher] = []
        self.outside = world.cluster.connect("dispatcher")
        self.executor: Executor
        self.process: Process
        self._runner: Runner | None = None

    async def open(self, runner: Runner | None = None) -> None:
        self._runner = runner
        await self.outside.bus.subscribe(SUBJECTS.dispatcher(0), self.hear)
        self.process = self.world.start("host", self._main)
        await eventually(self.reports, what="the host reports")

    async def _main(self, process: Process) -> None:
        self.executor = self.executor_in(process)
        await self.executor.run()

    def executor_in(self, process: Process) -> Executor:
        agents = [AgentSpec("agent", "kind", (), 10)]
        runner = self._runner or SimulatedRunner(process, agents, conduct=conduct)
        ports = ExecutorPorts(process.engine.bus, process.clock, process.entropy)
        return Executor(
            ports, runner, subjects=SUBJECTS, host=HostIdentity("host", 1, 17, "1.0"), config=CONFIG
        )

    async def say(self, *bodies: ToHost) -> None:
        await self.outside.bus.publish(SUBJECTS.host("host"), encode_frame("d", 1, 1, list(bodies)))

    async def give(self, *grants: Grant, epoch: int = 1, number: int = 1) -> None:
        await self.say(Grants(0, epoch, number, list(grants)))

    def reports(self) -> list[HostReport]:
        return [body for body in self.heard if isinstance(body, HostReport)]

    def outcomes(self) -> list[Outcome]:
        return [outcome for body in self.heard if isinstance(body, Outcomes) for outcome in body.outcomes]

    async def ended(self, *leases: int) -> None:
        await eventually(
            lambda: set(leases) <= {outcome.lease for outcome in self.outcomes()},
            what=f"{leases} are reported",
        )

    def forget(self) -> None:
        self.heard.clear()

    def hear(self, message: Message) -> None:
        self.heard += decode_to_dispatcher(message.data).bodies
