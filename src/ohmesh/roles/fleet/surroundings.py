"""Where a process of the fleet stands: the view that it believes in, and its ways to the others."""

from __future__ import annotations

from collections.abc import Callable

from ohmesh.model.fleet_frame import FleetBody
from ohmesh.model.fleet_operation import FleetView
from ohmesh.model.subject import Subjects
from ohmesh.model.topology import Topology
from ohmesh.protocols.membership.fleet_roles import NOBODY, FleetRoles, fleet_roles
from ohmesh.roles.fleet.mesh_time import MeshTime
from ohmesh.roles.fleet.outbox import Outbox


class Surroundings:
    """`deliver_here` takes what is addressed to this process itself, without a message."""

    def __init__(
        self, name: str, subjects: Subjects, topology: Topology, *, time: MeshTime, outbox: Outbox
    ) -> None:
        self.name = name
        self.subjects = subjects
        self.topology = topology
        self.time = time
        self.view = FleetView(0, 0, "", (topology.sectors, topology.clusters, topology.agents))
        self.roles: FleetRoles = fleet_roles(topology, ())
        self.me = NOBODY
        self.deliver_here: Callable[[FleetBody], None]
        self._outbox = outbox

    def believe(self, view: FleetView) -> bool:
        """Whether it is newer than what was believed."""
        if (view.era, view.revision) <= (self.view.era, self.view.revision) or view.shape != self.topology:
            return False
        if view.members != self.view.members:
            self.roles = fleet_roles(self.topology, view.members)
            self.me = self.roles.place_of(self.name)
        self.view = view
        return True

    def tell(self, place: int, body: FleetBody) -> None:
        """One of the processes of the view; nobody hears what is told to NOBODY."""
        if place == self.me and place != NOBODY:
            self.deliver_here(body)
        elif place != NOBODY:
            self._outbox.put(self.subjects.fleet_process(self.roles.processes[place]), body)

    def tell_orchestrator(self, body: FleetBody) -> None:
        self._outbox.put(self.subjects.orchestrator(), body)

    def tell_coordinator(self, sector: int, body: FleetBody) -> None:
        self.tell(int(self.roles.coordinators[sector]), body)
