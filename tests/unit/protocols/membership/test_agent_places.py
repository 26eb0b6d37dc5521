"""Places for new agents: the sectors with the fewest first, clusters filled before new ones are begun."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmesh.errors import InvalidArgument
from ohmesh.model.topology import Topology
from ohmesh.protocols.membership.agent_places import plan_places

SMALL = Topology(3, 2, 4)


def test_a_thousand_agents_on_an_empty_fleet_are_34_clusters_in_as_many_sectors() -> None:
    shape = Topology()
    planned = plan_places(np.zeros(shape.size, bool), shape, 1_000)
    assert (len(planned.rows), planned.filled, planned.created) == (1_000, 0, 34)
    assert len(np.unique(planned.rows // shape.sector_size)) == 34
    assert np.bincount(planned.rows // shape.agents).max() == 30


def test_a_cluster_that_was_begun_is_filled_before_another_is() -> None:
    is_taken = np.zeros(SMALL.size, bool)
    is_taken[[0, 8, 9, 10, 11, 12, 16, 17]] = True  # one in the first sector, five and two in the others
    planned = plan_places(is_taken, SMALL, 7)
    assert planned.rows.tolist() == [1, 2, 3, 4, 5, 18, 19]
    assert (planned.filled, planned.created) == (2, 1)


def test_more_than_there_is_room_for_is_refused_with_how_much_there_is() -> None:
    is_taken = np.zeros(SMALL.size, bool)
    is_taken[:20] = True
    with pytest.raises(InvalidArgument, match="5 agents do not fit: the fleet has 4 free places"):
        plan_places(is_taken, SMALL, 5)


@settings(max_examples=50)
@given(st.lists(st.booleans(), min_size=24, max_size=24), st.integers(1, 24))
def test_places_are_free_and_as_many_as_were_wanted_and_sectors_end_up_even(
    taken: list[bool], count: int
) -> None:
    is_taken = np.array(taken)
    free = np.flatnonzero(~is_taken)
    if count > len(free):
        return
    rows = plan_places(is_taken, SMALL, count).rows
    assert len(set(rows.tolist())) == count
    assert set(rows.tolist()) <= set(free.tolist())
    before = is_taken.reshape(3, -1).sum(axis=1)
    after = before + np.bincount(rows // 8, minlength=3)
    grown = np.flatnonzero(after > before)
    roomy = np.flatnonzero(after < 8)
    # Nobody with room has less by more than a cluster than a sector that was given somebody.
    assert all(after[sector] - after[other] <= SMALL.agents for sector in grown for other in roomy)
