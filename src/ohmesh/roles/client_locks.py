"""Locks as a client holds them: taken from the dispatcher of their shard, renewed in the background, and believed in
for as long as its own clock allows.

Invariant: a held lock counts as lost a tenth of its ttl before the dispatcher can give it to another, counted by the
monotonic clock from the sending of the last renewal that was confirmed. A process that was stopped finds that out at
its next look at `token`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from ohmesh.errors import InvalidArgument, LockLost, LockTimeout, MeshError, OhmeshError
from ohmesh.model.lock import AskLock, LockAction, LockAnswer, LockOutcome, LockView
from ohmesh.ports.clock import Clock
from ohmesh.protocols.queue.locks import MAX_TTL_MS, MIN_TTL_MS
from ohmesh.roles.client_requests import Requests

# A question that waits is answered after this long, and has as long again and more for its ways before the client takes
# it for lost and asks once more.
HOLD_MS = 500
RENEW_PAUSE_MS = 100
LET_GO_S = 5.0
# The mesh may be out of reach for this while a lock is waited for; where it is waited for longer, up to the second.
SILENCE_S = 10.0
LONGEST_SILENCE_S = 60.0


class HeldLock:
    """`token`, `is_lost`, `check()`. The lock of `name` is this one's until it is released or lost."""

    def __init__(self, locks: Locks, ask: AskLock, token: int, sent_ms: int) -> None:
        self.name = ask.name
        self.ttl_ms = ask.ttl_ms
        self.renewed: Callable[[], object] = _nothing
        self._locks = locks
        self._ask = ask
        self._token = token
        self._ends_ms = 0
        self._is_taken_away = False
        self._is_released = False
        self._confirm(sent_ms)
        self._renewing = asyncio.create_task(self._renew_for_ever(), name=f"lock-{self.name}")

    @property
    def token(self) -> int:
        """Higher than that of every holder before: give it to what you write to, which refuses lower ones. LockLost."""
        self.check()
        return self._token

    @property
    def is_lost(self) -> bool:
        """It was not renewed in time, or was taken away. May be asked from any thread."""
        return not self._is_released and (self._is_taken_away or self.remaining_s <= 0)

    @property
    def remaining_s(self) -> float:
        """For how long it is held without another renewal."""
        return (self._ends_ms - self._locks.clock.monotonic_ms()) / 1000

    def check(self) -> None:
        """Raise LockLost where it is lost."""
        if self.is_lost:
            raise self.loss()

    def loss(self) -> LockLost:
        """The error that says how it was lost."""
        how = (
            "was taken away"
            if self._is_taken_away
            else f"was not renewed within its {self.ttl_ms / 1000:g} s"
        )
        return LockLost(
            f"Lock {self.name!r} (token {self._token}) {how}.",
            hint="Another may hold it by now: stop what was begun under it.",
        )

    async def lost(self) -> None:
        """Wait until it is lost, or released."""
        await asyncio.wait([self._renewing])

    async def release(self) -> None:
        """Let go. Where nobody hears of it the lock runs out by itself."""
        if self._is_released:
            return
        was_lost = self.is_lost
        self._is_released = not was_lost
        self._renewing.cancel()
        await asyncio.wait([self._renewing])
        if not was_lost:
            await self._locks.let_go(self._ask)

    async def _renew_for_ever(self) -> None:
        """Until it is cancelled or the lock is lost."""
        pause_s = self.ttl_ms / 3000
        while True:
            await asyncio.sleep(max(0.0, min(pause_s, self.remaining_s)))
            sent_ms = self._locks.clock.monotonic_ms()
            if self.remaining_s <= 0:
                return
            try:
                answer = await self._locks.renew(self._ask, self._token, self.remaining_s)
            except OhmeshError:
                pause_s = RENEW_PAUSE_MS / 1000
                continue
            if self.remaining_s <= 0:
                return
            if answer.outcome is not LockOutcome.HELD:
                self._is_taken_away = True
                self.renewed()
                return
            self._confirm(sent_ms)
            self.renewed()
            pause_s = self.ttl_ms / 3000

    def _confirm(self, sent_ms: int) -> None:
        self._ends_ms = sent_ms + self.ttl_ms - self.ttl_ms // 10


class Locks:
    """`new_name` makes the names of holdings."""

    def __init__(self, requests: Requests, clock: Clock, new_name: Callable[[], str]) -> None:
        self.clock = clock
        self._requests = requests
        self._new_name = new_name
        self._farewells: set[asyncio.Task[None]] = set()

    async def take(
        self, name: str, *, ttl_ms: int, wait_s: float | None = None, holder: str = ""
    ) -> HeldLock:
        """Hold the lock, waiting for it (None: for ever; 0: not at all). Who waits first is first.

        Raises LockTimeout, MeshUnreachable.
        """
        if not MIN_TTL_MS <= ttl_ms <= MAX_TTL_MS:
            raise InvalidArgument(
                f"A lock cannot be held for {ttl_ms} ms.",
                hint=f"From {MIN_TTL_MS} to {MAX_TTL_MS} ms can be said.",
            )
        wish = AskLock(LockAction.TAKE, name, self._new_name(), holder, ttl_ms)
        try:
            return await self._take(wish, wait_s)
        except BaseException:
            # Perhaps it waits there, or has just been given to us: nobody is to wait for our ttl.
            farewell = asyncio.create_task(self.let_go(wish), name=f"lock-{name}-farewell")
            self._farewells.add(farewell)
            farewell.add_done_callback(self._farewells.discard)
            raise

    async def _take(self, wish: AskLock, wait_s: float | None) -> HeldLock:
        began_ms = self.clock.monotonic_ms()
        hold_ms = min(HOLD_MS, wish.ttl_ms // 3)
        patience_s = LONGEST_SILENCE_S if wait_s is None else min(LONGEST_SILENCE_S, max(SILENCE_S, wait_s))
        while True:
            sent_ms = self.clock.monotonic_ms()
            waited_ms = sent_ms - began_ms
            left_ms = hold_ms if wait_s is None else max(0, round(wait_s * 1000) - waited_ms)
            asked = AskLock(
                wish.action,
                wish.name,
                wish.owner,
                wish.holder,
                wish.ttl_ms,
                waited_ms=waited_ms,
                hold_ms=min(hold_ms, left_ms),
            )
            answer = await self._requests.ask_lock(asked, timeout_s=patience_s)
            if answer.outcome is LockOutcome.HELD:
                # What was long under way, while a dispatcher was replaced say, is asked again and so renewed.
                if self.clock.monotonic_ms() - sent_ms <= wish.ttl_ms // 2:
                    return HeldLock(self, wish, answer.token, sent_ms)
            elif not left_ms:
                raise _timeout(wish.name, wait_s or 0.0, answer)

    async def list(self) -> list[LockView]:
        """Every lock that is held, by name; of a shard a thousand at most."""
        shards = range(self._requests.shards)
        wish = AskLock(LockAction.LIST)
        answers = await asyncio.gather(*(self._requests.ask_lock(wish, shard=shard) for shard in shards))
        return sorted((lock for answer in answers for lock in answer.locks), key=lambda lock: lock.name)

    async def force(self, name: str) -> LockView | None:
        """Whoever holds it, does no more; returns what was held."""
        answer = await self._requests.ask_lock(AskLock(LockAction.FORCE, name))
        return answer.locks[0] if answer.locks else None

    async def renew(self, ask: AskLock, token: int, timeout_s: float) -> LockAnswer:
        wish = AskLock(LockAction.RENEW, ask.name, ask.owner, token=token)
        return await self._requests.ask_lock(wish, timeout_s=timeout_s)

    async def let_go(self, ask: AskLock) -> None:
        with suppress(MeshError):
            await self._requests.ask_lock(
                AskLock(LockAction.RELEASE, ask.name, ask.owner), timeout_s=LET_GO_S
            )


def _timeout(name: str, wait_s: float, answer: LockAnswer) -> LockTimeout:
    held = answer.locks[0] if answer.locks else None
    by = f"{held.holder or 'somebody'} holds it with token {held.token}" if held else "others come first"
    return LockTimeout(
        f"Lock {name!r} was not free within {wait_s:g} s: {by}.",
        hint="Wait for longer; `ohmesh locks list` shows who holds what.",
    )


def _nothing() -> None:
    """Nobody wants to know."""
