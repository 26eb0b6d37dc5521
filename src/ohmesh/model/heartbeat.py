"""How often who is to be heard of, and how long a silence lasts until it is doubted, and until it counts as dead."""

from __future__ import annotations

from msgspec import Struct

from ohmesh.errors import InvalidArgument


class HeartbeatProfile(Struct, frozen=True):
    """Milliseconds. A silence of `suspect_ms` makes a suspect, one of `dead_ms` puts it offline.

    Doubt begins when two heartbeats are missing, or halfway between the first that is missing and death if that is
    earlier: where death comes after two of them, there has to be a warning before it.
    """

    name: str
    every_ms: int
    suspect_ms: int
    dead_ms: int


HEARTBEAT_PROFILES: tuple[HeartbeatProfile, ...] = (
    HeartbeatProfile("worker", 5_000, 7_500, 10_000),
    HeartbeatProfile("peer", 3_000, 6_000, 10_000),
    HeartbeatProfile("agent", 5_000, 10_000, 30_000),
    HeartbeatProfile("fast", 500, 1_000, 3_000),
)


def profile_code(name: str) -> int:
    """Its place in HEARTBEAT_PROFILES, as columns hold it. Raises InvalidArgument."""
    for code, profile in enumerate(HEARTBEAT_PROFILES):
        if profile.name == name:
            return code
    raise InvalidArgument(
        f"There is no heartbeat profile {name!r}.",
        hint=f"One of {', '.join(one.name for one in HEARTBEAT_PROFILES)}.",
    )
