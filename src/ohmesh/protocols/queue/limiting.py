"""Limited kinds: so many tasks start in a time, so many run at a time; what exceeds that waits in its lane.

One dispatcher decides for a kind, so a limit is exact: nobody else grants anything of it. A limit stands in the log and
outlives dispatchers, restarts and the last task of its kind. The concurrency of a kind is the number of its live
leases; a cancelled task counts until its host has let go of it.
"""

from __future__ import annotations

from ohmesh.errors import InvalidArgument
from ohmesh.model.limit import KindLimit
from ohmesh.model.message import KindState, LimitKind, Problem
from ohmesh.model.subject import is_name
from ohmesh.protocols.queue import rows as r
from ohmesh.protocols.queue.pausing import kind_state
from ohmesh.protocols.queue.shard import Shard
from ohmesh.protocols.queue.sizes import id_bytes

MAX_COUNT = 1_000_000
MAX_PER_MS = 86_400_000


def limit_kind(shard: Shard, wish: LimitKind, now_ms: int) -> KindState | Problem:
    """Set the limit of a kind, or take it away; changes nothing where it is so already. A new one begins empty."""
    kind, limits, at_ms = wish.kind, shard.table.limits, shard.advance(now_ms)
    if not is_name(kind) or not (wish.limit is None or _is_well_formed(wish.limit)):
        return Problem(
            InvalidArgument.code,
            f"A limit is of a kind, from 1 to {MAX_COUNT} tasks in 1 to {MAX_PER_MS} ms with as many at once, "
            f"or from 1 to {MAX_COUNT} that run, or both.",
        )
    if limits.of.get(kind) != wish.limit:
        if kind not in limits.of and len(limits.of) >= shard.config.limited_kinds:
            return Problem(InvalidArgument.code, f"{len(limits.of)} kinds are limited, which is the bound.")
        shard.decide(r.KindLimited(at_ms, kind, wish.limit), id_bytes(kind))
        shard.buckets.begin_kind(kind, wish.limit, at_ms)
    return kind_state(shard, kind, at_ms)


def _is_well_formed(limit: KindLimit) -> bool:
    has_rate = (
        0 < limit.count <= MAX_COUNT and 0 < limit.per_ms <= MAX_PER_MS and 0 < limit.burst <= MAX_COUNT
    )
    has_no_rate = limit.count == limit.per_ms == limit.burst == 0
    return (has_rate and 0 <= limit.concurrency <= MAX_COUNT) or (
        has_no_rate and 0 < limit.concurrency <= MAX_COUNT
    )
