"""Sizes of a committee, watermarks and patience."""

from __future__ import annotations

from dataclasses import dataclass

from ohmesh.errors import InvalidArgument

LEAST_MEMBERS, MOST_MEMBERS = 4, 16


def faults_of(members: int) -> int:
    """So many may lie: f = floor((n - 1) / 3)."""
    return (members - 1) // 3


def quorum_of(members: int) -> int:
    """ceil((n + f + 1) / 2): two quorums share a member that does not lie, and n - f members are enough for one."""
    return (members + faults_of(members) + 2) // 2


@dataclass(frozen=True, slots=True)
class PbftSettings:
    """checkpoint: every so many sequence numbers. window: so far may numbers run ahead of the last stable checkpoint.
    timeout_ms: so long may a request wait to be executed; doubled with each view that did not help, up to so
    often. resend_ms: who waits asks again for what it lacks.
    batch: requests under one number. in_flight: numbers that are proposed and not executed."""

    checkpoint: int = 128
    window: int = 256
    timeout_ms: float = 2000.0
    doublings: int = 6
    resend_ms: float = 500.0
    batch: int = 100
    in_flight: int = 8
    waiting: int = 10_000

    def __post_init__(self) -> None:
        if not 0 < self.checkpoint <= self.window // 2:
            raise InvalidArgument(
                f"A checkpoint every {self.checkpoint} does not fit a window of {self.window}.",
                hint="Let the window be twice the checkpoint, or more.",
            )


def check_members(members: tuple[str, ...]) -> None:
    """Raises InvalidArgument."""
    if not LEAST_MEMBERS <= len(set(members)) == len(members) <= MOST_MEMBERS:
        raise InvalidArgument(
            f"A committee of {len(members)} cannot agree by PBFT.",
            hint=f"{LEAST_MEMBERS} to {MOST_MEMBERS} different members; messages grow with their square.",
        )
