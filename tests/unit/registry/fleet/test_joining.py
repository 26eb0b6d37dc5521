"""What cannot be true is refused where it enters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.registry.fleet.joining import as_index, check_name
from tests.unit.registry.fleet.fleets import joining, rows_of


@pytest.mark.parametrize("rows", [[1, 1], [2, 1], [-1, 3]])
def test_rows_rise_strictly_from_0(rows: list[int]) -> None:
    with pytest.raises(InvalidArgument, match="Rows rise strictly"):
        joining(np.array(rows))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"host": ""}, "it has no name"),
        ({"profile": "slow"}, "no heartbeat profile 'slow'"),
        ({"class_codes": np.zeros(1, np.uint8)}, "class_codes has 1 places for 2 agents"),
        ({"set_of": np.array([0, 1]), "capability_sets": [("gpu",)]}, "beyond the 1 given"),
        ({"names": {1: ""}}, "cannot be the name"),
        ({"names": {1: "s001.c01.a01"}}, "is the id of an agent"),
    ],
)
def test_agents_that_cannot_join_are_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        joining(rows_of(1, 2), **fields)


@pytest.mark.parametrize("name", ["x" * 65, "a\nb", "SECTOR7-CLUSTER4-AGENT-12"])
def test_a_name_that_misleads_is_refused(name: str) -> None:
    check_name("Ада, night shift")
    with pytest.raises(InvalidArgument):
        check_name(name)


@pytest.mark.parametrize(("rows", "is_slice"), [([3, 4, 5], True), ([3], True), ([3, 5], False), ([], False)])
def test_neighbours_are_addressed_as_a_slice(rows: list[int], is_slice: bool) -> None:
    index = as_index(np.array(rows, np.intp))
    assert isinstance(index, slice) is is_slice
    assert np.arange(10)[index].tolist() == rows
