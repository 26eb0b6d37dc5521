"""The verbs about named locks: who holds which, and taking one away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta, Struct

from ohmesh.model.lock import LockView
from ohmesh.roles.client import Client

_POSITIONAL = {"positional": True}


class ListLocks(Struct, frozen=True, kw_only=True):
    pass


class ReleaseLock(Struct, frozen=True, kw_only=True):
    name: Annotated[str, Meta(description="The lock.", min_length=1, max_length=128, extra=_POSITIONAL)]


class LockState(Struct, frozen=True):
    """A lock that is held. It ends at `ends_ms` unless its holder renews it; `waiting`: how many wait for it."""

    name: str
    holder: str
    token: int
    ttl_ms: int
    taken_ms: int
    ends_ms: int
    waiting: int = 0

    def __str__(self) -> str:
        waiting = f", {self.waiting} waiting" if self.waiting else ""
        return f"{self.name}: {self.holder or 'somebody'}, token {self.token}{waiting}"


class LockList(Struct, frozen=True):
    locks: list[LockState]

    def __iter__(self) -> Iterator[LockState]:
        return iter(self.locks)

    def __len__(self) -> int:
        return len(self.locks)

    def __str__(self) -> str:
        return "\n".join(map(str, self.locks))


class ReleasedLock(Struct, frozen=True):
    """`was_held` is false where nobody held it; then nothing was done."""

    name: str
    was_held: bool
    holder: str = ""
    token: int = 0

    def __str__(self) -> str:
        return (
            f"{self.name}: taken from {self.holder or 'somebody'}"
            if self.was_held
            else f"{self.name}: not held"
        )


async def list_locks(client: Client, _arguments: ListLocks) -> LockList:
    """By name."""
    return LockList([_state(lock) for lock in await client.locks.list()])


async def release_lock(client: Client, arguments: ReleaseLock) -> ReleasedLock:
    """Its holder is told at its next renewal; until then it goes on believing in it."""
    held = await client.locks.force(arguments.name)
    if held is None:
        return ReleasedLock(arguments.name, False)
    return ReleasedLock(arguments.name, True, held.holder, held.token)


def _state(lock: LockView) -> LockState:
    return LockState(
        lock.name, lock.holder, lock.token, lock.ttl_ms, lock.taken_ms, lock.ends_ms, lock.waiting
    )
