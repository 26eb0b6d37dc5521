"""This process's view of the assignment record: who owns what, who lives, and when it is our turn to claim.

Reads decide, watches only wake: the record is read before the owners' leases, and written only at the revision that
was read, so an owner that came back meanwhile makes the claim fail. Peers as the watch shows them decide nothing but
the order of claimants.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from random import Random

from ohmesh.errors import EngineUnavailable
from ohmesh.ports.clock import Clock
from ohmesh.ports.state import State, StateEntry
from ohmesh.protocols.membership.assignment import Assignment, decode_assignment, encode_change
from ohmesh.protocols.membership.lease import decode_lease
from ohmesh.roles.lease_keeper import LEASE_PREFIX
from ohmesh.roles.process_config import ProcessConfig

ASSIGNMENT_KEY = "assignment"


@dataclass(slots=True)
class _Peer:
    serves: tuple[str, ...]
    generation: int
    seen_ms: int


@dataclass(slots=True)
class _Turn:
    since_ms: int
    jitter_ms: float


class RoleClaims:
    def __init__(
        self, state: State, clock: Clock, rng: Random, *, process: str, config: ProcessConfig
    ) -> None:
        self.revision = 0
        self.generation = 0
        self._state = state
        self._clock = clock
        self._rng = rng
        self._process = process
        self._config = config
        self._peers: dict[str, _Peer] = {}
        self._turns: dict[str, _Turn] = {}

    def observe_lease(self, entry: StateEntry) -> bool:
        """From the watch of leases; returns whether somebody came or went."""
        name = entry.key.removeprefix(LEASE_PREFIX)
        if name == self._process:
            return False
        if entry.value is None:
            return self._peers.pop(name, None) is not None
        is_new = name not in self._peers
        lease = decode_lease(entry.value, entry.key)
        self._peers[name] = _Peer(lease.serves, lease.generation, self._clock.monotonic_ms())
        return is_new

    def peers(self) -> dict[str, Collection[str]]:
        """A living peer renews within its TTL, and the watch shows it; who is silent for longer is not waited for. One
        of an older version might not read what we have written: it is handed nothing, and not waited for either."""
        oldest_ms = self._clock.monotonic_ms() - self._config.lease_ttl_ms
        return {
            name: peer.serves if peer.generation >= self.generation else ()
            for name, peer in self._peers.items()
            if peer.seen_ms >= oldest_ms
        }

    async def read(self) -> tuple[Assignment, frozenset[str]]:
        """The record, then which of its owners have no lease any more."""
        record = await self.record()
        owners = sorted({each.process for each in record.holdings.values()} - {self._process})
        leases = await asyncio.gather(*(self._bounded_get(LEASE_PREFIX + owner) for owner in owners))
        return record, frozenset(owner for owner, lease in zip(owners, leases, strict=True) if lease is None)

    async def record(self) -> Assignment:
        entry = await self._bounded_get(ASSIGNMENT_KEY)
        if entry is None or entry.value is None:
            return Assignment()
        self.revision = entry.revision
        return decode_assignment(entry.value, entry.revision)

    async def change(
        self, record: Assignment, *, claim: Iterable[str] = (), release: Iterable[str] = ()
    ) -> int:
        """One write for all; returns its revision, which is the term of what was claimed. RevisionConflict when the
        record is another by now, EngineUnavailable when nobody knows: then it is read again and claimed anew."""
        value = encode_change(record, self._process, claim=claim, release=release)
        try:
            async with asyncio.timeout(self._config.call_timeout_ms / 1000):
                self.revision = await self._state.put(ASSIGNMENT_KEY, value, expected=record.revision)
        except TimeoutError as error:
            raise EngineUnavailable("The assignment record was written, and no answer came.") from error
        return self.revision

    def due(self, orphans: Mapping[str, int], settled_ms: int) -> tuple[frozenset[str], int]:
        """Orphans that it is our turn to claim, and in how many milliseconds the next turn comes (0: no other)."""
        now_ms = self._clock.monotonic_ms()
        self._turns = {role: self._turns.get(role) or self._new_turn(now_ms) for role in orphans}
        waits = {
            role: max(settled_ms, turn.since_ms)
            + orphans[role] * self._config.claim_step_ms
            + turn.jitter_ms
            - now_ms
            for role, turn in self._turns.items()
        }
        later = [wait for wait in waits.values() if wait > 0]
        return frozenset(role for role, wait in waits.items() if wait <= 0), int(min(later, default=-1)) + 1

    def _new_turn(self, now_ms: int) -> _Turn:
        return _Turn(now_ms, self._rng.uniform(0, self._config.claim_jitter_ms))

    async def _bounded_get(self, key: str) -> StateEntry | None:
        try:
            async with asyncio.timeout(self._config.call_timeout_ms / 1000):
                return await self._state.get(key)
        except TimeoutError as error:
            raise EngineUnavailable(f"State key {key} was asked for, and no answer came.") from error
