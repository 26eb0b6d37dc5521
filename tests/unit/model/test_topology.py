"""Ids of agents, their places in columns, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import InvalidArgument
from ohmesh.model.topology import AgentPlace, Topology, parse_place


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("s007.c04.a12", (7, 4, 12)),
        ("SECTOR7-CLUSTER4-AGENT-12", (7, 4, 12)),
        ("GPU-SECTOR3-CLUSTER7-A12", (3, 7, 12)),
        ("SECTOR3-GPU-CLUSTER2-AGENT-07", (3, 2, 7)),
    ],
)
def test_every_shape_of_an_id_is_understood(text: str, place: tuple[int, int, int]) -> None:
    assert parse_place(text) == place


def test_the_canonical_id_is_the_one_that_is_written() -> None:
    assert str(parse_place("SECTOR7-CLUSTER4-AGENT-12")) == "s007.c04.a12"


@pytest.mark.parametrize(
    "text", ["", "s7", "s1.c1.a1x", "s1000.c1.a1", "sector7", "SECTOR7-CLUSTER4", "s-1.c0.a0"]
)
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"s007\.c04\.a12"):
        parse_place(text)


SHAPES = st.builds(
    Topology, sectors=st.integers(1, 20), clusters=st.integers(1, 20), agents=st.integers(1, 50)
)


@given(SHAPES, st.data())
def test_rows_and_places_are_each_others_inverse(shape: Topology, data: st.DataObject) -> None:
    row = data.draw(st.integers(0, shape.size - 1))
    place = shape.place(row)
    assert shape.row(place) == row
    sector = shape.rows_of_sector(place.sector)
    cluster = shape.rows_of_cluster(place.sector, place.cluster)
    assert sector.start <= cluster.start <= row < cluster.stop <= sector.stop
    assert parse_place(str(place)) == place


def test_a_place_outside_the_fleet_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"s100\.c00\.a00 lies outside"):
        Topology().row(AgentPlace(100, 0, 0))


@pytest.mark.parametrize("sizes", [(0, 1, 1), (1, 101, 1), (1, 1, 1_001), (1_001, 1, 1)])
def test_a_fleet_that_cannot_be_addressed_is_refused(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(InvalidArgument, match="cannot be addressed"):
        Topology(*sizes)


def test_a_full_fleet_has_thirty_thousand_places() -> None:
    assert Topology().size == 30_000
