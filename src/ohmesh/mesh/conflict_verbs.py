"""The verbs about conflicts as methods: AsyncMesh has them, and Mesh mirrors them."""

from __future__ import annotations

from ohmesh.model.conflict_request import ConflictLogState
from ohmesh.operations import conflict_arguments as a
from ohmesh.operations import conflicts as operations
from ohmesh.operations.conflict_results import ConflictList, ConflictView
from ohmesh.operations.parameter import parse_arguments
from ohmesh.roles.client import Client


class ConflictVerbs:
    """`client` is the role underneath."""

    client: Client

    async def conflicts(
        self,
        *,
        ended: bool = False,
        state: str = "",
        type: str = "",  # noqa: A002 - the word of every door
        agent: str = "",
        since: str = "",
        until: str = "",
        limit: int = 100,
    ) -> ConflictList:
        """What agents of the fleet contradict each other about, the most urgent first; ended: settled ones too."""
        given = {
            "ended": ended,
            "state": state,
            "type": type,
            "agent": agent,
            "since": since,
            "until": until,
            "limit": limit,
        }
        return await operations.list_conflicts(
            self.client, parse_arguments(a.ListConflicts, given, strict=True)
        )

    async def conflict(self, conflict_id: str) -> ConflictView:
        """One, with its story. Raises UnknownConflict."""
        wanted = parse_arguments(a.OneConflict, {"conflict_id": conflict_id}, strict=True)
        return await operations.get_conflict(self.client, wanted)

    async def resolve_conflict(
        self, conflict_id: str, *, action: str = "winner", winner: str = "", reason: str = ""
    ) -> ConflictView:
        """By hand. action: "winner" (name it), "released" or "discarded". Raises UnknownConflict, InvalidArgument."""
        given = {"conflict_id": conflict_id, "action": action, "winner": winner, "reason": reason}
        return await operations.resolve_conflict(
            self.client, parse_arguments(a.ResolveConflict, given, strict=True)
        )

    async def verify_conflicts(self) -> ConflictLogState:
        """Whether the log of conflicts is the one that was written, and where it is not."""
        return await operations.verify_conflicts(self.client, a.VerifyConflicts())
