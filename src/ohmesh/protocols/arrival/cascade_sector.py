"""One sector in a cascade: its record, the stage that each of its agents belongs to, and how far the message came."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ohmesh.errors import InvalidArgument
from ohmesh.model.topology import Topology
from ohmesh.protocols.arrival.cascade_plan import CascadePlan, Tier
from ohmesh.protocols.arrival.counts import Counts
from ohmesh.protocols.arrival.operation import Answers, Event, SectorRecord, skipped_for
from ohmesh.protocols.arrival.target_state import PENDING, Knowledge, SkipReason


class CascadeSector:
    """`stages`: the place in the plan of each target's stage, shape (n,); None where all belong to its last stage."""

    def __init__(
        self,
        record: SectorRecord,
        plan: CascadePlan,
        topology: Topology,
        stages: NDArray[np.uint8] | None = None,
    ) -> None:
        """Raises InvalidArgument: the stages are not one for each target, or no stages of agents."""
        last = len(plan.stages) - 1
        stages = np.full(len(record), last, np.uint8) if stages is None else stages
        if len(stages) != len(record) or ((stages < plan.first_of_agents) | (stages > last)).any():
            raise InvalidArgument(
                f"{len(stages)} stages for {len(record)} targets of sector {record.sector} do not fit the plan.",
                hint="One for each target, a stage of agents.",
            )
        self.record = record
        self.is_reached = False
        self._plan = plan
        self._stages = stages
        self._clusters = record.rows // topology.agents
        self._clusters_told = 0

    def reach(self, clusters: int) -> None:
        self.is_reached = True
        self._clusters_told = max(clusters, self._clusters_told)

    def take(self, event: Event) -> None:
        """A word of its agents shows that the sector was reached; what whoever holds the record concludes by itself
        (a host is gone, there is no time) does not."""
        self.record.take(event)
        self.is_reached = self.is_reached or isinstance(event, Answers | SectorRecord)

    def call_off(self) -> None:
        """No stage of agents comes: who has not been asked is skipped, where the sector can be told so."""
        if self.is_reached:
            rows = self.record.rows_in(PENDING)
            self.record.take(skipped_for(SkipReason.CALLED_OFF, rows))
        self.record.close()

    def counts(self) -> list[Counts]:
        """One for each stage: of itself, of its clusters, of its agents."""
        agents = self.record.counts_by(self._stages, len(self._plan.stages))
        total = sum(agents, Counts())
        if self._plan.first_of_agents:
            for place, stage in enumerate(self._plan.stages[: self._plan.first_of_agents]):
                agents[place] = self._sector(total) if stage.tier is Tier.SECTORS else self._cluster(total)
        return agents

    def _sector(self, total: Counts) -> Counts:
        if self.is_reached:
            return Counts(ready=1)
        if not total.sent:
            return Counts()
        return Counts(unreachable=1) if total.is_settled else Counts(transit=1)

    def _cluster(self, total: Counts) -> Counts:
        known = self.record.knowledge
        meant = _distinct(self._clusters[known != Knowledge.SKIPPED])
        shown = _distinct(self._clusters[known >= Knowledge.TRANSIT])
        reached = min(meant, max(shown, self._clusters_told))
        rest = meant - reached
        if total.is_settled and not self.is_reached:
            return Counts(ready=reached, unreachable=rest)
        return Counts(ready=reached, transit=rest)


def _distinct(values: NDArray[np.int64]) -> int:
    """Of values that ascend."""
    return int(np.count_nonzero(np.diff(values))) + 1 if len(values) else 0
