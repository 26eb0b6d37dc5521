"""What the verbs about a fleet answer, beside the view of an operation itself."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from ohmesh.model.fleet_agent import FleetAgent
from ohmesh.model.fleet_reading import ITSELF, ScopeView, Source
from ohmesh.model.fleet_request import OperationView


class OperationRecord(OperationView, frozen=True, kw_only=True):
    """One operation as it is kept."""


class OperationList(Struct, frozen=True):
    """The newest first; each without its histogram, its answers and more than ten of the silent ones."""

    operations: list[OperationView]

    def __iter__(self) -> Iterator[OperationView]:
        return iter(self.operations)

    def __len__(self) -> int:
        return len(self.operations)

    def __str__(self) -> str:
        return "\n".join(map(str, self.operations))


class FleetAgentList(Struct, frozen=True):
    """`total`: how many match `filter`. after: what asks for the next page, "" where there is none."""

    agents: list[FleetAgent]
    total: int = 0
    filter: str = ""
    after: str = ""
    source: Source = ITSELF

    def __iter__(self) -> Iterator[FleetAgent]:
        return iter(self.agents)

    def __len__(self) -> int:
        return len(self.agents)

    def __str__(self) -> str:
        return "\n".join(
            f"{one.agent} {one.class_title} {one.liveness}, {one.duty} {one.lead_ms:.0f} ms"
            for one in self.agents
        )


class ScopeList(Struct, frozen=True):
    """Sectors or clusters, in their order."""

    scopes: list[ScopeView]
    source: Source = ITSELF

    def __iter__(self) -> Iterator[ScopeView]:
        return iter(self.scopes)

    def __len__(self) -> int:
        return len(self.scopes)

    def __str__(self) -> str:
        return "\n".join(
            f"{one.scope} {one.active}/{one.agents} {in_ms(one.impedance_ms)}" for one in self.scopes
        )


def in_ms(value: float | None) -> str:
    """ "" where there is nobody."""
    return "" if value is None else f"{value:.0f} ms"
