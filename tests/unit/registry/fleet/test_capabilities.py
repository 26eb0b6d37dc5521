"""Bits of capabilities: beyond one array of 64, remembered and forgotten, bounded."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import InvalidArgument
from ohmesh.registry.fleet.capabilities import MAX_CAPABILITIES, CapabilityTable

NAMES = [f"c{number}" for number in range(150)]


@given(st.lists(st.sets(st.sampled_from(NAMES)), min_size=1, max_size=8))
def test_who_has_what_is_read_back_from_the_bits(sets: list[set[str]]) -> None:
    table = CapabilityTable()
    table.add(NAMES)
    assert table.words == 3
    rows = np.array([table.bits(one) for one in sets], np.uint64)
    columns = [rows[:, word].copy() for word in range(table.words)]
    assert [set(table.names_of(row, columns)) for row in range(len(sets))] == sets
    for name in NAMES[::7]:
        assert table.rows(name, columns).tolist() == [row for row, one in enumerate(sets) if name in one]


def test_the_index_is_remembered_until_it_is_to_be_forgotten() -> None:
    table = CapabilityTable()
    table.add(["gpu"])
    columns = [np.array([0, 1], np.uint64)]
    assert table.rows("gpu", columns).tolist() == [1]
    columns[0][:] = 1
    assert table.rows("gpu", columns).tolist() == [1]
    table.forget()
    assert table.rows("gpu", columns).tolist() == [0, 1]


def test_nobody_has_what_nobody_knows() -> None:
    assert not CapabilityTable().holders("gpu", [np.full(3, 2**64 - 1, np.uint64)]).any()


def test_there_is_an_end_to_capabilities_and_then_none_is_added() -> None:
    table = CapabilityTable()
    table.add(f"c{number}" for number in range(MAX_CAPABILITIES))
    with pytest.raises(InvalidArgument, match=f"{MAX_CAPABILITIES} capabilities at most; 'new'"):
        table.add(["c1", "new"])
    assert len(table.names) == MAX_CAPABILITIES
    table.add(["c1"])


@pytest.mark.parametrize("name", ["", "x" * 65])
def test_what_cannot_be_a_capability_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgument, match="cannot be a capability"):
        CapabilityTable().add([name])
