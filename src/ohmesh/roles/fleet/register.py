"""The orchestrator's register of processes: who is there, since when unheard, and the view that follows.

The view is kept in `state`, so a successor goes on with the roles that everybody believes in. While there is no
orchestrator it stands still, and sectors go on with it.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ohmesh.errors import EngineFailed, RevisionConflict
from ohmesh.model.fleet_operation import Beat, FleetView, Member
from ohmesh.model.topology import Topology
from ohmesh.ports.clock import Clock
from ohmesh.ports.state import State

VIEW_KEY = "fleet.view"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(FleetView).decode


class Register:
    """`view` is what has been stored and may be told."""

    def __init__(self, state: State, clock: Clock, topology: Topology, *, owner: str, era: int) -> None:
        self.view = FleetView(0, era, owner, (topology.sectors, topology.clusters, topology.agents))
        self._state = state
        self._clock = clock
        self._revision = 0
        self._members: dict[str, Member] = {}
        self._heard_ms: dict[str, int] = {}

    async def load(self) -> None:
        """Begin with the view that the predecessor left; everybody in it counts as just heard of."""
        entry = await self._state.get(VIEW_KEY)
        if entry is not None and entry.value is not None:
            try:
                before = _decode(entry.value)
            except msgspec.MsgspecError as error:
                raise EngineFailed(
                    f"The view of the fleet at state key {VIEW_KEY} cannot be read: {error}.",
                    hint="Delete that key; processes present themselves again.",
                ) from error
            self._revision = entry.revision
            if before.topology == self.view.topology:
                self._members = {member.process: member for member in before.members}
            self.view = msgspec.structs.replace(self.view, revision=before.revision)
        now_ms = self._clock.monotonic_ms()
        self._heard_ms = dict.fromkeys(self._members, now_ms)
        await self._store()

    def heard(self, body: Member | Beat) -> bool:
        """Whether the view has to change."""
        known = self._members.get(body.process)
        if isinstance(body, Beat):
            if known is not None and known.incarnation == body.incarnation:
                self._heard_ms[body.process] = self._clock.monotonic_ms()
            return False
        if known is not None and known.incarnation > body.incarnation:
            return False
        self._heard_ms[body.process] = self._clock.monotonic_ms()
        self._members[body.process] = body
        return body != known

    def sweep(self, dead_ms: int) -> list[Member]:
        """Those that are gone; they leave the view."""
        now_ms = self._clock.monotonic_ms()
        gone = [process for process, at_ms in self._heard_ms.items() if now_ms - at_ms > dead_ms]
        return self._remove(gone)

    def excuse(self, missed_ms: int) -> None:
        """Nobody was heard for so long, because nobody listened."""
        self._heard_ms = {process: at_ms + missed_ms for process, at_ms in self._heard_ms.items()}

    def leave(self, process: str) -> list[Member]:
        return self._remove([process] if process in self._members else [])

    def is_current(self, beat: Beat) -> bool:
        """Whether that process is in the view and knows it."""
        known = self._members.get(beat.process)
        return known is not None and known.incarnation == beat.incarnation and beat.view == self.view.revision

    async def publishable(self) -> FleetView:
        """Store the present members as a new view. Raises RevisionConflict: another orchestrator has."""
        await self._store()
        return self.view

    def _remove(self, processes: Iterable[str]) -> list[Member]:
        gone = [self._members.pop(process) for process in processes]
        for member in gone:
            del self._heard_ms[member.process]
        return gone

    async def _store(self) -> None:
        members = tuple(sorted(self._members.values(), key=lambda member: member.process))
        view = msgspec.structs.replace(self.view, revision=self.view.revision + 1, members=members)
        value = _encode(view)
        try:
            self._revision = await self._state.put(VIEW_KEY, value, expected=self._revision)
        except RevisionConflict:
            entry = await self._state.get(VIEW_KEY)
            if entry is None or entry.value != value:  # where an answer was lost it is ours
                raise
            self._revision = entry.revision
        self.view = view
