"""The limits of kinds as the log has them, with the leases that count against each.

The leases of a limited kind are an index over the live ones, kept where leases begin and end: a slot of the limit is
taken by a live lease and by nothing else, so none can leak.
"""

from __future__ import annotations

from collections.abc import Mapping

from ohmesh.errors import LogCorrupt
from ohmesh.model.limit import KindLimit
from ohmesh.protocols.queue import rows as r


class KindLimits:
    """`of`: kind -> its limit. `held`: kind -> its live leases, of limited kinds only."""

    def __init__(self) -> None:
        self.of: dict[str, KindLimit] = {}
        self.held: dict[str, set[int]] = {}

    def apply(self, row: r.KindLimited, live: Mapping[int, str]) -> None:
        """`live`: lease -> kind."""
        if row.limit is None:
            if row.kind not in self.of:
                raise LogCorrupt(f"The limit of kind {row.kind!r} was taken away, and there is none.")
            del self.of[row.kind], self.held[row.kind]
        else:
            self.restore(row.kind, row.limit, live)

    def restore(self, kind: str, limit: KindLimit, live: Mapping[int, str]) -> None:
        self.of[kind] = limit
        self.held[kind] = {lease for lease, leased in live.items() if leased == kind}

    def begin(self, kind: str, lease: int) -> None:
        if kind in self.held:
            self.held[kind].add(lease)

    def end(self, kind: str, lease: int) -> None:
        if kind in self.held:
            self.held[kind].discard(lease)
