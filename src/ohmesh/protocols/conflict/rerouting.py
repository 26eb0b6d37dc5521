"""REROUTE_AND_REMAP: an agent cannot do what it declares; the capability is taken from it, its work goes elsewhere."""

from __future__ import annotations

from ohmesh.errors import InvalidArgument
from ohmesh.protocols.conflict.strategy import (
    Heard,
    RerouteWork,
    RevokeCapability,
    Step,
    settled,
    unsettled,
)


class RerouteAndRemap:
    """operation: in which it showed; "" where there is no work to move."""

    def __init__(self, agents: tuple[str, ...], capability: str, operation: str = "") -> None:
        self._agents = agents
        self._capability = capability
        self._operation = operation

    def begin(self) -> Step:
        if not self._capability:
            return unsettled("The report names no capability.")
        revoke = RevokeCapability(self._agents, self._capability)
        if not self._operation:
            return Step((revoke,))
        return Step((revoke, RerouteWork(self._operation, self._agents, self._capability)))

    def take(self, heard: Heard) -> Step:
        if self._operation and not heard.moved_to:
            return unsettled(
                f"Nobody else has {self._capability!r}; the work of {len(self._agents)} agents is not done.",
                left=(self._capability,),
            )
        moved = f"; the work went to {', '.join(heard.moved_to[:3])}" if heard.moved_to else ""
        return settled(
            f"{self._capability!r} was taken from {len(self._agents)} agents{moved}.",
            winner=", ".join(heard.moved_to[:3]),
            cleared=self._agents,
        )

    def decide(self, winner: str) -> Step:
        """Somebody is to have taken the work over by hand."""
        if not winner:
            raise InvalidArgument("Say who does the work instead.")
        return settled(f"A person gave the work to {winner}.", winner=winner, cleared=self._agents)
