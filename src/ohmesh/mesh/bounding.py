"""The verbs that bound what runs at a time, as methods: AsyncMesh has them, and Mesh mirrors them."""

from __future__ import annotations

from ohmesh.operations import arguments as a
from ohmesh.operations import queues as queue_operations
from ohmesh.operations.results import QueueState
from ohmesh.roles.client import Client


class Bounding:
    """`client` is the role underneath."""

    client: Client

    async def limit(
        self, kind: str, *, rate: str = "", burst: int = 0, concurrency: int = 0, none: bool = False
    ) -> QueueState:
        """So many tasks of this kind may start (rate="100/s", burst at once), so many run at a time; none: as many as
        there is room for. What exceeds it waits in its place."""
        wish = a.LimitQueue(kind=kind, rate=rate, burst=burst, concurrency=concurrency, none=none)
        return await queue_operations.limit_queue(self.client, wish)
