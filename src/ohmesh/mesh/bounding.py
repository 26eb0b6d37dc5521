"""The verbs that bound what runs at a time (limits, locks), as methods: AsyncMesh has them, and Mesh mirrors them."""

from __future__ import annotations

from ohmesh.mesh.locking import AsyncLock
from ohmesh.operations import arguments as a
from ohmesh.operations import locks as lock_operations
from ohmesh.operations import queues as queue_operations
from ohmesh.operations.locks import ListLocks, LockList, ReleasedLock, ReleaseLock
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

    def lock(self, name: str, *, ttl: float = 10.0, wait: float | None = None) -> AsyncLock:
        """`with mesh.lock("name") as lock`, `async with` in async code: one holder at a time in the whole mesh.

        First come, first served. It is renewed in the background and free again within `ttl` seconds of its holder's
        death. `lock.token` is higher than that of every holder before; LockLost where the lock could not be renewed in
        time. wait: LockTimeout after so many seconds; None: wait for ever.
        """
        return AsyncLock(self.client, name, ttl=ttl, wait=wait)

    async def locks(self) -> LockList:
        """Which locks are held, by whom, and how many wait for them."""
        return await lock_operations.list_locks(self.client, ListLocks())

    async def release_lock(self, name: str) -> ReleasedLock:
        """Take a lock away from whoever holds it; its holder hears so at its next renewal."""
        return await lock_operations.release_lock(self.client, ReleaseLock(name=name))
