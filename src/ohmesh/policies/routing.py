"""How many of the waiting tasks one agent takes when several could: an even share, never more than it can hold."""

from __future__ import annotations

FAIR_SHARE_IN_WORDS = "agents with a free slot take turns, each an even share of what waits"


def fair_share(waiting: int, free: int, candidates: int) -> int:
    """Tasks for one of `candidates` agents with `free` slots when `waiting` tasks are to be given out; at least one."""
    return max(1, min(free, -(-waiting // max(1, candidates))))
