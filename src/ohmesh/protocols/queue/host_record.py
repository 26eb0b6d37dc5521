"""One host as the log of a shard knows it."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from ohmesh.model.agent import AgentSpec, Liveness


class HostRecord(Struct, array_like=True):
    """What the log knows of a host: its last start, what it runs, and when that changed."""

    host: str
    incarnation: int
    liveness: Liveness
    agents: list[AgentSpec]
    changed_ms: int
    pid: int = 0
    version: str = ""


def kinds_served(records: Iterable[HostRecord]) -> frozenset[str]:
    """What somebody runs who is here."""
    return frozenset(
        spec.kind for record in records if record.liveness is Liveness.ACTIVE for spec in record.agents
    )
