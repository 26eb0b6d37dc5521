"""What a dispatcher says: the news of its steps, in frames to hosts, clients and whoever asked."""

from __future__ import annotations

from collections.abc import Sequence

from ohmesh.errors import UsageError
from ohmesh.model.frame import MAX_FRAME_BYTES, encode_frame
from ohmesh.model.message import Reply, ToClient, ToHost
from ohmesh.model.subject import Subjects
from ohmesh.ports.bus import Bus
from ohmesh.protocols.queue.step import Step
from ohmesh.roles.dispatcher_config import DispatcherStatistics
from ohmesh.roles.mesh_clock import MeshClock
from ohmesh.roles.step_messages import client_messages, host_messages


class Voice:
    """`epoch` stands in every frame."""

    def __init__(
        self,
        ports: tuple[Bus, MeshClock],
        subjects: Subjects,
        statistics: DispatcherStatistics,
        *,
        shard: int,
        owner: str,
    ) -> None:
        self.epoch = 0
        self._bus, self._clock = ports
        self._statistics = statistics
        self._subjects = subjects
        self._shard = shard
        self._owner = owner

    async def tell(self, step: Step) -> None:
        """It is in the log now."""
        for host, host_news in step.hosts.items():
            bodies = list(host_messages(host_news, self._shard, self.epoch))
            await self._together(self._subjects.host(host), bodies)
        for client, client_news in step.clients.items():
            await self._together(self._subjects.client(client), list(client_messages(client_news)))
        for subject, reply in step.replies:
            await self.publish(subject, reply)
        for subject, answer in step.answers:
            await self.publish(subject, self.frame(answer))

    async def publish(self, subject: str, data: bytes) -> None:
        try:
            await self._bus.publish(subject, data)
        except UsageError:
            # A client's name that is no word of a subject, say: nobody else is to suffer from it.
            self._statistics.messages_undeliverable += 1

    def frame(self, *bodies: ToHost | ToClient | Reply) -> bytes:
        return encode_frame(self._owner, self.epoch, self._clock.now_ms(), list(bodies))

    async def _together(self, subject: str, bodies: Sequence[ToHost | ToClient]) -> None:
        """In one frame where that holds them: a message costs more than what is in it."""
        data = self.frame(*bodies)
        if len(data) <= MAX_FRAME_BYTES:
            await self.publish(subject, data)
            return
        for body in bodies:
            await self.publish(subject, self.frame(body))
