"""The published times of heartbeat and death, and the warning between them."""

from __future__ import annotations

import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.model.heartbeat import HEARTBEAT_PROFILES, HeartbeatProfile, profile_code


@pytest.mark.parametrize(
    ("name", "every_ms", "dead_ms"),
    [("worker", 5_000, 10_000), ("peer", 3_000, 10_000), ("agent", 5_000, 30_000), ("fast", 500, 3_000)],
)
def test_times_to_death_are_the_published_ones(name: str, every_ms: int, dead_ms: int) -> None:
    profile = HEARTBEAT_PROFILES[profile_code(name)]
    assert (profile.name, profile.every_ms, profile.dead_ms) == (name, every_ms, dead_ms)


@pytest.mark.parametrize("profile", HEARTBEAT_PROFILES, ids=lambda profile: profile.name)
def test_doubt_begins_with_the_second_missing_heartbeat_or_halfway_to_death(
    profile: HeartbeatProfile,
) -> None:
    halfway = (profile.every_ms + profile.dead_ms) // 2
    assert profile.suspect_ms == min(2 * profile.every_ms, halfway)


def test_an_unknown_profile_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(InvalidArgument, match="worker, peer, agent, fast"):
        profile_code("slow")
