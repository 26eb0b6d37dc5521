"""Paused kinds: nothing of them is granted until they are resumed. What runs goes on, and new tasks are taken.

A pause stands in the log, so it outlives dispatchers, restarts and the last task of its kind.
"""

from __future__ import annotations

from ohmesh.errors import InvalidArgument
from ohmesh.model.message import KindState, PauseKind, Problem
from ohmesh.protocols.queue import rows as r
from ohmesh.protocols.queue.intake import MAX_NAME_LENGTH
from ohmesh.protocols.queue.shard import Shard
from ohmesh.protocols.queue.sizes import id_bytes


def pause(shard: Shard, wish: PauseKind, now_ms: int) -> KindState | Problem:
    """Pause or resume; changes nothing where it is so already."""
    kind, paused = wish.kind, shard.table.paused
    if not (0 < len(kind) <= MAX_NAME_LENGTH and kind.isascii()):
        return Problem(InvalidArgument.code, f"A kind has 1 to {MAX_NAME_LENGTH} ASCII characters.")
    if wish.is_paused != (kind in paused):
        if wish.is_paused and len(paused) >= shard.config.paused_kinds:
            return Problem(InvalidArgument.code, f"{len(paused)} kinds are paused, which is the limit.")
        shard.decide(r.KindPaused(shard.advance(now_ms), kind, wish.is_paused), id_bytes(kind))
    return kind_state(shard, kind, shard.advance(now_ms))


def kind_state(shard: Shard, kind: str, at_ms: int) -> KindState:
    table = shard.table
    depth = table.depth.get(kind)
    dead_letters = sum(task.submission.kind == kind for task in table.dead_letters.values())
    return KindState(
        kind,
        (depth.queued, depth.running, depth.retrying) if depth is not None else (0, 0, 0),
        table.paused.get(kind, 0),
        dead_letters,
        shard.buckets.standing(kind, at_ms, waits=bool(shard.waiting.lanes(kind))),
    )
