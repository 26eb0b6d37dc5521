"""Who is told of a conflict: a person by a notice, a sector by a message to whoever coordinates it.

A sector hears of what concerns its agents from priority 3 on, when it is reported and when it has ended, and of all
that is open once more when its coordinator is another process.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ohmesh.model.conflict import Conflict
from ohmesh.model.fleet_message import Scope
from ohmesh.model.fleet_operation import ConflictNotice
from ohmesh.protocols.conflict.queue import Change, Changed
from ohmesh.protocols.membership.fleet_roles import NOBODY

if TYPE_CHECKING:
    from ohmesh.roles.fleet.orchestrator import Orchestrator

PERSON = "person"
NAMED = 10  # agents that a notice to a sector names


class ConflictNotices:
    def __init__(self, orchestrator: Orchestrator) -> None:
        self._of = orchestrator

    def tell(self, change: Changed) -> None:
        conflict = change.conflict
        self._tell_people(change)
        if Scope.SECTOR in conflict.told and (Scope.SECTOR in change.newly_told or conflict.is_ended):
            self._tell_sectors(conflict)

    def tell_again(self, conflicts: Iterable[Conflict]) -> None:
        """Sectors may have other coordinators now."""
        for conflict in conflicts:
            if Scope.SECTOR in conflict.told:
                self._tell_sectors(conflict)

    def _tell_people(self, change: Changed) -> None:
        conflict = change.conflict
        what = f"Conflict {conflict.id} ({conflict.detail.type.value}, priority {conflict.priority})"
        who = f"{conflict.reporters} agents, the first {conflict.agents[0] if conflict.agents else 'unknown'}"
        if PERSON in change.newly_told and change.change is Change.OVERDUE:
            self._of.notice(f"{what} was not settled in time; {who}. `ohmesh conflicts get {conflict.id}`.")
        elif PERSON in change.newly_told:
            self._of.notice(
                f"{what} needs a person: {conflict.outcome} `ohmesh conflicts get {conflict.id}`."
            )
        elif Scope.ALL in change.newly_told:
            self._of.notice(f"{what} was reported by {who}.")

    def _tell_sectors(self, conflict: Conflict) -> None:
        """One message for each process, with all of its sectors that are concerned."""
        topology, roles = self._of.registry.topology, self._of.roles
        rows = self._of.conflicts.work.rows_of((*conflict.agents, *conflict.quarantined))
        by_process: dict[int, list[int]] = {}
        for sector in sorted(set((rows // topology.sector_size).tolist())):
            by_process.setdefault(int(roles.coordinators[sector]), []).append(sector)
        by_process.pop(NOBODY, None)
        for place, sectors in by_process.items():
            inside = rows[[row // topology.sector_size in sectors for row in rows.tolist()]]
            notice = ConflictNotice(
                conflict.id,
                conflict.detail.type.value,
                conflict.priority,
                tuple(sectors),
                tuple(str(topology.place(row)) for row in inside[:NAMED].tolist()),
                is_ended=conflict.is_ended,
                outcome=conflict.outcome,
            )
            self._of.tell(self._of.subjects.fleet_process(roles.processes[place]), notice)
