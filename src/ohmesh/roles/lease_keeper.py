"""Keeps one process's lease: creates it, renews it, and says the moment it must count as lost.

Invariants: whether the lease is held is decided by our own clocks alone, never by an answer that is awaited;
`lost` is called before a lost lease is asked for again; a lease that we find in the engine is ours only when it
carries our incarnation, and even then it counts from our next write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ohmesh.errors import EngineError, RevisionConflict
from ohmesh.ports.clock import Clock
from ohmesh.ports.entropy import Entropy
from ohmesh.ports.state import State
from ohmesh.protocols.membership.lease import Lease, LeaseValue, Moment, decode_lease, encode_lease
from ohmesh.roles.process_config import ProcessConfig

LEASE_PREFIX = "lease."
INCARNATION_BITS = 63

Notice = Callable[[str], None]


class LeaseKeeper:
    """`serves` and `generation` are written into the lease, so that peers know who could take which role."""

    def __init__(
        self, state: State, clock: Clock, entropy: Entropy, *, process: str, config: ProcessConfig
    ) -> None:
        self.key = LEASE_PREFIX + process
        self.serves: tuple[str, ...] = ()
        self.generation = 0
        self.lost: Callable[[], None] = _nothing
        self.gained: Callable[[], None] = _nothing
        self.notice: Notice = _unheard
        self.held_since_ms = 0
        self._state = state
        self._clock = clock
        self._entropy = entropy
        self._config = config
        self._lease = Lease(config.lease_ttl_ms, config.lease_margin_ms)
        self._incarnation = entropy.bits(INCARNATION_BITS)
        self._believed = False
        self._written = asyncio.Event()
        self._complaint = ""

    def holds(self) -> bool:
        """Cheap and exact: also in the first moment after this process, or its machine, was stopped and continued."""
        return self._lease.remaining_ms(self._now()) > 0

    async def run(self) -> None:
        """Until cancelled; the lease then stands until `leave` or its end."""
        guard = asyncio.create_task(self._guard(), name=f"{self.key} guard")
        try:
            while True:
                wait_ms = await self._write()
                await asyncio.sleep(wait_ms / 1000)
        finally:
            guard.cancel()

    async def leave(self) -> None:
        """Give the lease back. Where that fails it runs out by itself."""
        revision = self._lease.revision
        self._believed = False  # given back, not lost: nothing to be told
        self._lease.ended()
        if revision:
            try:
                async with asyncio.timeout(self._config.call_timeout_ms / 1000):
                    await self._state.delete(self.key, expected=revision)
            except (EngineError, TimeoutError) as error:
                self.notice(f"The lease {self.key} could not be given back and runs out by itself: {error}")

    async def _write(self) -> int:
        """Create or renew; returns how long to wait before the next write."""
        sent = self._now()
        revision = self._lease.revision
        value = encode_lease(LeaseValue(self._incarnation, self.serves, self.generation))
        try:
            async with asyncio.timeout(self._config.call_timeout_ms / 1000):
                written = await self._state.put(
                    self.key, value, expected=revision, ttl_ms=self._config.lease_ttl_ms
                )
        except RevisionConflict:
            return await self._look()
        except (EngineError, TimeoutError) as error:
            self._complain(f"The lease {self.key} cannot be written: {error or 'no answer in time'}")
            return self._config.retry_ms
        self._complaint = ""
        self._lease.written(written, sent)
        if self.holds() and not self._believed:
            self._believed = True
            self.held_since_ms = self._clock.monotonic_ms()
            self.gained()
        self._written.set()
        elapsed_ms = self._clock.monotonic_ms() - sent.monotonic_ms
        return max(1, self._config.renew_every_ms - elapsed_ms)

    async def _look(self) -> int:
        """Our write did not fit: it had landed before, or the lease ran out, or another holds the name."""
        try:
            async with asyncio.timeout(self._config.call_timeout_ms / 1000):
                entry = await self._state.get(self.key)
            found = None if entry is None or entry.value is None else decode_lease(entry.value, self.key)
        except (EngineError, TimeoutError) as error:
            self._complain(f"The lease {self.key} cannot be read: {error or 'no answer in time'}")
            return self._config.retry_ms
        if entry is None or found is None:
            self._lose()
            return 1
        if found.incarnation == self._incarnation:
            self._lease.found(entry.revision)
            return 1
        self._lose()
        self._complain(
            f"{self.key} is held by a predecessor or by another process of this name; waiting for its end."
        )
        return self._config.retry_ms

    async def _guard(self) -> None:
        while True:
            remaining_ms = self._lease.remaining_ms(self._now())
            if remaining_ms > 0:
                # In steps, because the loop's timers stand still with the machine.
                await asyncio.sleep(min(remaining_ms, self._config.check_every_ms) / 1000)
                continue
            self._end_belief()
            self._written.clear()
            await self._written.wait()

    def _now(self) -> Moment:
        return Moment(self._clock.monotonic_ms(), self._clock.now_ms())

    def _lose(self) -> None:
        """Nothing of ours stands in the engine: the next lease is another one."""
        if self._lease.revision:
            self._end_belief()
            self._incarnation = self._entropy.bits(INCARNATION_BITS)
        self._lease.ended()

    def _end_belief(self) -> None:
        if self._believed:
            self._believed = False
            self.lost()

    def _complain(self, words: str) -> None:
        """Say it once, not at each of a thousand tries."""
        if words != self._complaint:
            self._complaint = words
            self.notice(words)


def _nothing() -> None:
    """Nobody wants to know."""


def _unheard(words: str) -> None:
    """Nobody wants to know."""
