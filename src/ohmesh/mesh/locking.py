"""Named locks in Python: `async with mesh.lock("name", ttl=10) as lock`, and the same without an event loop."""

from __future__ import annotations

import asyncio
import os
import platform
from types import TracebackType

from ohmesh.mesh.background import BackgroundLoop
from ohmesh.roles.client import Client
from ohmesh.roles.client_locks import HeldLock


def this_program() -> str:
    """Who holds a lock, as `ohmesh locks list` shows it."""
    machine = platform.node().encode("ascii", "replace").decode()
    return f"{machine[:100]}:{os.getpid()}"


class AsyncLock:
    """Taken where the block begins, released where it ends; LockLost ends the block where the lock is lost in it."""

    def __init__(self, client: Client, name: str, *, ttl: float, wait: float | None) -> None:
        self._client = client
        self._name = name
        self._ttl_ms = round(ttl * 1000)
        self._wait = wait
        self._held: HeldLock | None = None
        self._timeout: asyncio.Timeout | None = None

    async def __aenter__(self) -> HeldLock:
        held = await take(self._client, self._name, self._ttl_ms, self._wait)
        self._held = held
        self._timeout = asyncio.timeout(held.remaining_s)
        await self._timeout.__aenter__()
        held.renewed = self._put_off
        return held

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._held is not None, "what is left was entered"
        assert self._timeout is not None, "what is left was entered"
        held, self._held.renewed = self._held, _nothing
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError:
            raise held.loss() from None
        finally:
            is_lost = held.is_lost
            await held.release()
        if error is None and is_lost:
            held.check()

    def _put_off(self) -> None:
        """The block may go on until the lock would be lost."""
        assert self._held is not None, "what is renewed was entered"
        if self._timeout is not None and not self._timeout.expired():
            remaining_s = 0.0 if self._held.is_lost else self._held.remaining_s
            self._timeout.reschedule(asyncio.get_running_loop().time() + remaining_s)


class Lock:
    """`with mesh.lock("name", ttl=10) as lock`.

    Nothing interrupts the block: `lock.token` and the end of the block raise LockLost.
    """

    def __init__(
        self, background: BackgroundLoop, client: Client, name: str, *, ttl: float, wait: float | None
    ) -> None:
        self._background = background
        self._client = client
        self._name = name
        self._ttl_ms = round(ttl * 1000)
        self._wait = wait
        self._held: HeldLock | None = None

    def __enter__(self) -> HeldLock:
        self._held = self._background.run(take(self._client, self._name, self._ttl_ms, self._wait))
        return self._held

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._held is not None, "what is left was entered"
        is_lost = self._held.is_lost
        self._background.run(self._held.release())
        if error is None and is_lost:
            self._held.check()


async def take(client: Client, name: str, ttl_ms: int, wait_s: float | None) -> HeldLock:
    return await client.locks.take(name, ttl_ms=ttl_ms, wait_s=wait_s, holder=this_program())


def _nothing() -> None:
    """The block is over."""
