"""The formulas of SWIM and Lifeguard, with the tables that hashicorp/memberlist tests its own by."""

from __future__ import annotations

import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.protocols.membership.swim.awareness import Awareness
from ohmesh.protocols.membership.swim.settings import PROFILES, SwimSettings
from ohmesh.protocols.membership.swim.suspicion import Suspicion, remaining_ms


@pytest.mark.parametrize(
    ("confirmations", "elapsed_s", "remaining"),
    [(0, 0, 30_000), (1, 2, 14_000), (2, 3, 4810), (3, 4, -2000), (4, 5, -3000), (5, 10, -8000)],
)
def test_a_suspicion_ends_sooner_the_more_confirm(confirmations: int, elapsed_s: int, remaining: int) -> None:
    found = remaining_ms(confirmations, 3, elapsed_s * 1000.0, 2000.0, 30_000.0)
    assert found == pytest.approx(remaining, abs=10)


def test_without_enough_members_to_confirm_the_shortest_time_counts() -> None:
    assert remaining_ms(0, 0, 500.0, 2000.0, 30_000.0) == 1500.0


def test_an_accuser_confirms_once_and_the_first_not_at_all() -> None:
    suspicion = Suspicion(0.0, 1, 2, 2000.0, 30_000.0, {"a"})
    assert [suspicion.confirm(each) for each in ("a", "b", "b", "c", "d")] == [
        False,
        True,
        False,
        True,
        False,
    ]
    assert suspicion.due_ms == 2000.0


@pytest.mark.parametrize(("members", "limit"), [(0, 0), (1, 3), (99, 6)])
def test_news_is_told_a_number_of_times_that_grows_with_the_logarithm(members: int, limit: int) -> None:
    assert SwimSettings(retransmits=3).transmissions(members) == limit


@pytest.mark.parametrize(
    ("members", "expected_ms"), [(5, 3000), (10, 3000), (50, 5096), (100, 6000), (500, 8096), (1000, 9000)]
)
def test_the_shortest_suspicion_grows_with_the_logarithm(members: int, expected_ms: int) -> None:
    assert SwimSettings(suspicion=3).suspicion_ms(members) == pytest.approx(expected_ms, abs=1)


@pytest.mark.parametrize(("members", "factor"), [(1, 1), (32, 1), (33, 2), (64, 2), (65, 3), (128, 3)])
def test_views_are_exchanged_more_rarely_in_large_groups(members: int, factor: int) -> None:
    assert SwimSettings(exchange_ms=1000).exchange_every_ms(members) == 1000 * factor


def test_awareness_stays_within_its_bounds() -> None:
    awareness = Awareness(8)
    awareness.change(-1)
    assert awareness.stretched(100) == 100
    for _ in range(20):
        awareness.change(1)
    assert awareness.stretched(100) == 800


def test_a_timeout_that_does_not_fit_its_period_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="does not fit a period of 100 ms"):
        SwimSettings(period_ms=100, timeout_ms=100)


def test_the_relaxed_profile_keeps_what_it_promises() -> None:
    """Gossip every 2 to 5 s to 3 to 5, a beat every 3 s, a death within 10 s in a small group once others confirm."""
    relaxed = PROFILES["relaxed"]
    assert 2000 <= relaxed.gossip_ms <= 5000
    assert 3 <= relaxed.fanout <= 5
    assert relaxed.period_ms == 3000
    assert relaxed.period_ms + relaxed.suspicion_ms(10) <= 10_000
