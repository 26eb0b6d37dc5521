"""A dispatcher in a world, and what a client and a host say to it and hear from it, as frames on the bus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from ohmesh.errors import Fenced
from ohmesh.model.agent import AgentSpec
from ohmesh.model.frame import decode_to_client, decode_to_host, encode_frame
from ohmesh.model.message import (
    Accepted,
    Finished,
    Grants,
    HostReport,
    Outcomes,
    Submit,
    ToClient,
    ToDispatcher,
    ToHost,
)
from ohmesh.model.subject import Subjects
from ohmesh.model.task import Grant, Outcome, OutcomeStatus
from ohmesh.ports.bus import Message
from ohmesh.protocols.queue.rows import LogFrame, Row, decode_log_frame
from ohmesh.roles.dispatcher import Dispatcher, DispatcherConfig, DispatcherPorts
from ohmesh.simulator.process import Process
from ohmesh.simulator.world import World, WorldOptions
from tests.unit.protocols.queue.shard_driver import submission
from tests.waiting import eventually

SUBJECTS = Subjects("m")
LOG = SUBJECTS.log(0)
OPTIONS = WorldOptions(tolerated=(Fenced,))

Body = TypeVar("Body")


class ServedShard:
    """`start(name, term)` runs a dispatcher in a process of that name; `dispatchers` holds the latest of each."""

    def __init__(self, world: World, config: DispatcherConfig | None = None) -> None:
        self.world = world
        self.config = config
        self.dispatchers: dict[str, Dispatcher] = {}
        self.told: list[ToClient] = []
        self.sent: list[ToHost] = []
        self.outside = world.cluster.connect("outside")

    async def open(self) -> None:
        await self.outside.bus.subscribe(SUBJECTS.client("client"), self._hear_client)
        await self.outside.bus.subscribe(SUBJECTS.host("host"), self._hear_host)
        await self.outside.bus.subscribe(SUBJECTS.every_host(), self._hear_host)

    def start(self, name: str, term: int) -> Process:
        async def main(process: Process) -> None:
            engine = process.engine
            ports = DispatcherPorts(
                engine.bus, engine.log, engine.state, engine.blobs, process.clock, process.entropy
            )
            dispatcher = Dispatcher(ports, subjects=SUBJECTS, shard=0, owner=name, config=self.config)
            self.dispatchers[name] = dispatcher
            await dispatcher.run(term)

        return self.world.start(name, main)

    async def say(self, *bodies: ToDispatcher) -> None:
        data = encode_frame("outside", 1, 1, list(bodies))
        await self.outside.bus.publish(SUBJECTS.dispatcher(0), data)

    async def submit(self, *names: str, payload: bytes = b"payload") -> None:
        """Until all are accepted, as a client would."""
        await self.say(Submit("client", [submission(name, payload=payload) for name in names]))
        await eventually(lambda: set(names) <= set(self.accepted()), what=f"{names} are accepted")

    async def report(
        self,
        epoch: int,
        *,
        slots: int = 100,
        number: int = 0,
        held: Sequence[int] = (),
        lease_ms: int = 10_000,
    ) -> None:
        specs = [AgentSpec("host/agent", "kind", (), slots)]
        await self.say(HostReport("host", 1, epoch, number, specs, list(held), lease_ms=lease_ms))

    async def succeed(self, *grants: Grant, value: bytes = b"value") -> None:
        outcomes = [Outcome(grant.lease, grant.task_id, OutcomeStatus.SUCCEEDED, value) for grant in grants]
        await self.say(Outcomes("host", 1, outcomes))

    def accepted(self) -> list[str]:
        return [task_id for body in self.told if isinstance(body, Accepted) for task_id in body.task_ids]

    def finished(self) -> list[str]:
        return [ended.task_id for body in self.told if isinstance(body, Finished) for ended in body.results]

    def grants(self, epoch: int = 0) -> list[Grant]:
        return [
            grant
            for body in self.sent
            if isinstance(body, Grants) and epoch in (0, body.epoch)
            for grant in body.grants
        ]

    def frames(self) -> list[LogFrame]:
        return [decode_log_frame(entry.data, entry.sequence) for entry in self.world.cluster.history(LOG)]

    def rows(self) -> list[Row]:
        return [row for frame in self.frames() for row in frame.rows]

    async def granted(self, *names: str) -> list[Grant]:
        await eventually(
            lambda: set(names) <= {grant.task_id for grant in self.grants()}, what=f"{names} are granted"
        )
        return [grant for grant in self.grants() if grant.task_id in names]

    def _hear_client(self, message: Message) -> None:
        self.told += decode_to_client(message.data).bodies

    def _hear_host(self, message: Message) -> None:
        self.sent += decode_to_host(message.data).bodies
