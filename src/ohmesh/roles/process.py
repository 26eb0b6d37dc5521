"""A process of the mesh: one lease, and the roles that the assignment record gives to it.

    lease gained ---> read the record and the owners' leases ---> stop, claim, release (one compare-and-set) ---> tasks
         ^                              ^                                                                          |
         |                              `---- a watch shows a change, a role ended, the check is due <-------------'
         `--- lost by our own clock: every role is cancelled at once, whatever call is still hanging

Invariants: a role is started only with the revision that its own claim returned, while the lease is held; when the
lease is lost or the record names another term, it is cancelled; a role that ended otherwise, or is beyond our fair
share, is given back once it has ended, so that anyone may claim it. The engine being away stops roles (once the lease
is lost) and never the process. What this cannot rule out (a process stopped between a check and a write) the log does:
it refuses who has been replaced.
Source: architecture, decisions 8 and 9; leases with fencing tokens as in Burrows, The Chubby Lock Service, 2006.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from ohmesh.errors import EngineError, EngineUnavailable, RevisionConflict
from ohmesh.model.subject import checked_name
from ohmesh.ports.clock import Clock
from ohmesh.ports.entropy import Entropy
from ohmesh.ports.state import State, StateEntry
from ohmesh.protocols.membership.assignment import Assignment, Decision, Standing, decide
from ohmesh.roles.handovers import Handovers
from ohmesh.roles.lease_keeper import LEASE_PREFIX, LeaseKeeper
from ohmesh.roles.process_config import ProcessConfig
from ohmesh.roles.role_claims import ASSIGNMENT_KEY, RoleClaims
from ohmesh.roles.role_tasks import RoleFactory, RoleTasks

CANCEL_AGAIN_S = 0.2

Notice = Callable[[str], None]


class Process:
    """`name` is unique among the processes that live; a successor may bear its predecessor's."""

    def __init__(
        self, state: State, clock: Clock, entropy: Entropy, *, name: str, config: ProcessConfig | None = None
    ) -> None:
        self.name = checked_name(name, "process name")
        self._state = state
        self._clock = clock
        self._rng = entropy.rng()
        self._config = config or ProcessConfig()
        self._lease = LeaseKeeper(state, clock, entropy, process=name, config=self._config)
        self._claims = RoleClaims(state, clock, self._rng, process=name, config=self._config)
        self._handovers = Handovers(clock, process=name, config=self._config)
        self._tasks = RoleTasks({}, clock, self._rng, config=self._config)
        self._served: frozenset[str] = frozenset()
        self._wake = asyncio.Event()
        self._notice: Notice = logging.getLogger("ohmesh.process").warning
        self._complaint = ""

    def holds_lease(self) -> bool:
        """Whether this process may act in its roles now. Cheap: a role asks before what cannot be taken back."""
        return self._lease.holds()

    def roles(self) -> dict[str, int]:
        """role -> term of what runs here."""
        return self._tasks.running()

    async def serve(
        self, factories: Mapping[str, RoleFactory], *, generation: int = 0, notice: Notice | None = None
    ) -> None:
        """Hold the lease and run what the record gives us, until cancelled; then end the roles, give them and the
        lease back, so that successors start at once. `notice` hears what a person should know (default: the log).

        generation: roles are never handed over to a process of a lower one, which may not read what ours have written.
        """
        self._lease.generation = self._claims.generation = generation
        self._notice = notice or self._notice
        self._prepare(factories)
        keeper = asyncio.create_task(self._lease.run(), name=f"{self.name} lease")
        others = [
            asyncio.create_task(self._watch(LEASE_PREFIX, self._lease_changed), name=f"{self.name} leases"),
            asyncio.create_task(
                self._watch(ASSIGNMENT_KEY, self._record_changed), name=f"{self.name} record"
            ),
            asyncio.create_task(self._control(), name=f"{self.name} control"),
        ]
        try:
            done, _ = await asyncio.wait([keeper, *others], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await _cancelled(others)
            self._tasks.stop_all()
            await self._tasks.all_ended()
            await self._give_roles_back()
            await _cancelled([keeper])
            await self._lease.leave()

    def _prepare(self, factories: Mapping[str, RoleFactory]) -> None:
        self._served = frozenset(factories)
        self._tasks = RoleTasks(factories, self._clock, self._rng, config=self._config)
        self._tasks.changed = self._wake.set
        self._tasks.notice = self._notice
        self._lease.serves = tuple(sorted(factories))
        self._lease.notice = self._notice
        self._lease.gained = self._wake.set
        self._lease.lost = self._lease_lost

    def _lease_lost(self) -> None:
        roles = ", ".join(sorted(self._tasks.running())) or "none"
        self._notice(f"The lease of {self.name} could not be renewed in time; its roles end: {roles}.")
        self._tasks.stop_all()

    async def _control(self) -> None:
        while True:
            wait_ms = await self._reconcile()
            try:
                async with asyncio.timeout(wait_ms / 1000):
                    await self._wake.wait()
            except TimeoutError:
                continue
            finally:
                self._wake.clear()

    async def _reconcile(self) -> int:
        """Bring record and tasks together once; returns the milliseconds until the next look."""
        self._tasks.press_overdue()
        if not self.holds_lease():
            return self._config.check_every_ms
        try:
            wait_ms = await self._look_and_act()
        except RevisionConflict:
            return 1 + int(self._rng.uniform(0, self._config.claim_jitter_ms))
        except EngineError as error:
            self._complain(f"{self.name} cannot look after its roles: {error}")
            return self._config.retry_ms
        self._complaint = ""
        return wait_ms

    async def _look_and_act(self) -> int:
        record, gone = await self._claims.read()
        decision = decide(record, self._standing(gone))
        for role in sorted(decision.stop):
            self._notice(f"{role} ends here: the record names another term ({record.holdings.get(role)}).")
            self._tasks.stop(role)
        next_handover_ms = self._hand_over(record, decision)
        settled_ms = self._lease.held_since_ms + self._config.settle_ms
        orphans, next_turn_ms = self._claims.due(decision.orphans, settled_ms)
        claim = decision.reclaim | orphans
        if claim or decision.release:
            term = await self._claims.change(record, claim=claim, release=decision.release)
            # Checked after the wait: a claim that took longer than the lease is worth nothing. The record says ours,
            # so with a new lease it is claimed anew; without one it is an orphan.
            if self.holds_lease():
                self._handovers.claimed(claim)
                for role in sorted(claim):
                    self._tasks.start(role, term)
        return min(wait for wait in (next_turn_ms, next_handover_ms, self._config.check_every_ms) if wait)

    def _hand_over(self, record: Assignment, decision: Decision) -> int:
        """End what is beyond our share; once it has ended it is released, and its heir claims it. Returns when to look
        again, 0 for no need."""
        self._handovers.observe(record, self._tasks.running())
        unsettled = len(decision.orphans) + len(decision.release) + len(self._tasks.ending())
        due, wait_ms = self._handovers.due(decision.surplus, unsettled=unsettled)
        for role in due:
            self._notice(f"{role} is handed over: {decision.surplus[role]} has fewer roles than {self.name}.")
            self._tasks.stop(role)
        return wait_ms

    def _standing(self, gone: frozenset[str]) -> Standing:
        return Standing(
            process=self.name,
            serves=self._served,
            running=self._tasks.running(),
            resting=self._tasks.resting(),
            peers=self._claims.peers(),
            gone=gone,
            ending=self._tasks.ending(),
        )

    async def _watch(self, prefix: str, changed: Callable[[StateEntry], None]) -> None:
        while True:
            try:
                async for entry in self._state.watch(prefix):
                    changed(entry)
            except EngineError as error:
                self._complain(f"The watch of {prefix!r} broke and begins again: {error}")
            await asyncio.sleep(self._config.retry_ms / 1000)

    def _lease_changed(self, entry: StateEntry) -> None:
        if self._claims.observe_lease(entry):
            self._wake.set()

    def _record_changed(self, entry: StateEntry) -> None:
        if entry.key == ASSIGNMENT_KEY and entry.revision != self._claims.revision:
            self._wake.set()

    async def _give_roles_back(self) -> None:
        try:
            async with asyncio.timeout(self._config.leave_ms / 1000):
                while True:
                    if await self._released():
                        return
                    await asyncio.sleep(self._config.claim_jitter_ms / 1000)
        except TimeoutError:
            self._notice(
                f"{self.name} could not give its roles back in time; others take them when its lease ends."
            )

    async def _released(self) -> bool:
        try:
            record = await self._claims.record()
            ours = [role for role, each in record.holdings.items() if each.process == self.name]
            if ours:
                await self._claims.change(record, release=ours)
        except (RevisionConflict, EngineUnavailable):
            return False
        except EngineError as error:
            self._notice(f"{self.name} could not give its roles back: {error}")
        return True

    def _complain(self, words: str) -> None:
        """Say it once, not at each of a thousand tries."""
        if words != self._complaint:
            self._complaint = words
            self._notice(words)


async def _cancelled(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel until they have ended: a call into a library may lose a cancellation (see RoleTasks)."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)
    for task in tasks:
        # Looked at, so that asyncio does not complain of it: why serve ends is told by serve.
        _ = task.cancelled() or task.exception()
