"""The best agents for a capability, against sorting everybody; and what is said when there is none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import InvalidArgument, NoCapableAgentError
from ohmesh.model.agent import Duty
from ohmesh.model.topology import Topology
from ohmesh.registry.fleet.best import DEFAULT_BEST, best_agents
from ohmesh.registry.fleet.registry import FleetRegistry
from tests.unit.registry.fleet.fleets import fleet, hear, joining, rows_of

ABILITIES = ("", "ocr", "asr", "gpu")
SIZE = 30
ONE_SECTOR = Topology(1, 5, 6)


@given(
    leads=st.lists(st.integers(0, 8), min_size=SIZE, max_size=SIZE),
    held=st.lists(st.sets(st.sampled_from(ABILITIES[1:])), min_size=SIZE, max_size=SIZE),
    kept=st.sets(st.integers(0, SIZE - 1)),
    needed=st.sets(st.sampled_from(ABILITIES[1:])),
    count=st.integers(1, SIZE + 1),
)
def test_they_are_the_first_of_all_that_have_it_sorted_by_lead_and_row(
    leads: list[int], held: list[set[str]], kept: set[int], needed: set[str], count: int
) -> None:
    rows = np.arange(SIZE)
    registry = fleet(ONE_SECTOR, capability_sets=[tuple(one) for one in held], set_of=rows)
    hear(registry, rows, rtt_ms=0, processing_ms=np.array(leads))
    registry.set_duty(rows_of(*kept), Duty.QUARANTINED)
    expected = sorted((leads[row], row) for row in range(SIZE) if row not in kept and needed <= held[row])
    if not expected:
        with pytest.raises(NoCapableAgentError):
            best_agents(registry, sorted(needed), count=count)
    else:
        found = best_agents(registry, sorted(needed), count=count)
        assert found.tolist() == [row for _, row in expected[:count]]


def test_at_most_five_hundred_are_named_unless_more_are_asked_for() -> None:
    registry = fleet(Topology(sectors=2, clusters=10, agents=30))
    assert len(best_agents(registry, ["edge"])) == DEFAULT_BEST == 500
    assert len(best_agents(registry, ["edge"], count=700)) == 600


def test_only_those_are_chosen_that_are_allowed() -> None:
    allowed = np.zeros(SIZE, np.bool_)
    allowed[[3, 9]] = True
    assert best_agents(fleet(), ["edge"], among=allowed).tolist() == [3, 9]


def test_a_capability_counts_from_when_it_is_granted_until_it_is_revoked() -> None:
    registry = fleet()
    registry.set_capabilities(rows_of(4), grant=["braille"])
    assert best_agents(registry, ["braille"]).tolist() == [4]
    registry.set_capabilities(rows_of(4), revoke=["braille", "unheard-of"])
    with pytest.raises(NoCapableAgentError) as caught:
        best_agents(registry, ["edge", "braille"])
    assert caught.value.missing == ("braille",)


def test_what_is_missing_is_named() -> None:
    registry = fleet(capability_sets=[("ocr",), ("asr",)], set_of=np.arange(SIZE) % 2)
    with pytest.raises(NoCapableAgentError, match="No agent has tpu nor fax") as caught:
        best_agents(registry, ["ocr", "tpu", "fax"])
    assert caught.value.missing == ("tpu", "fax")
    with pytest.raises(NoCapableAgentError, match="No agent has ocr and asr at once") as caught:
        best_agents(registry, ["ocr", "asr"])
    assert caught.value.missing == ()


def test_those_who_have_it_and_cannot_be_chosen_are_counted_by_what_keeps_them() -> None:
    registry = fleet(capability_sets=[(), ("ocr",)], set_of=(np.arange(SIZE) < 10).astype(int))
    registry.give_up(rows_of(0, 1, 2, 3))
    registry.set_duty(rows_of(3, 4, 5, 6), Duty.QUARANTINED)
    registry.leave(rows_of(7))
    with pytest.raises(NoCapableAgentError) as caught:
        best_agents(registry, ["ocr"], among=np.arange(SIZE) >= 10)
    assert (
        "10 agents have ocr, and none may be chosen now: 4 offline, 3 quarantined, 2 not among those that were "
        "allowed, 1 left." in str(caught.value)
    )


def test_an_empty_fleet_has_nobody_for_anything() -> None:
    with pytest.raises(NoCapableAgentError):
        best_agents(FleetRegistry(Topology(1, 1, 1)), [])


def test_fewer_than_one_cannot_be_asked_for() -> None:
    with pytest.raises(InvalidArgument, match="0 agents were asked for"):
        best_agents(fleet(), ["edge"], count=0)


def test_agents_that_have_joined_and_were_not_heard_of_are_not_chosen() -> None:
    registry = FleetRegistry(Topology(1, 1, 2))
    registry.insert(joining(rows_of(0, 1)))
    hear(registry, rows_of(1))
    assert best_agents(registry, ["edge"]).tolist() == [1]
