"""Parts of a fleet: as text, as rows, as a number among all of them."""

from __future__ import annotations

import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.registry.fleet.part import Part, count_of_parts, parse_part
from tests.unit.registry.fleet.fleets import SMALL

ALL = [Part(), *(Part(s) for s in range(3)), *(Part(s, c) for s in range(3) for c in range(2))]


def test_every_part_has_a_number_of_its_own_and_reads_as_it_is_written() -> None:
    assert [part.number(SMALL) for part in ALL] == list(range(count_of_parts(SMALL)))
    assert [parse_part(str(part)) for part in ALL] == ALL


@pytest.mark.parametrize(
    ("part", "rows", "text"),
    [
        (Part(), slice(0, 30), "mesh"),
        (Part(2), slice(20, 30), "s002"),
        (Part(2, 1), slice(25, 30), "s002.c01"),
    ],
)
def test_rows_are_those_of_its_agents(part: Part, rows: slice, text: str) -> None:
    assert (part.rows(SMALL), str(part)) == (rows, text)


@pytest.mark.parametrize("part", [Part(3), Part(0, 2), Part(None, 1), Part(-1)])
def test_what_is_no_part_is_refused(part: Part) -> None:
    with pytest.raises(InvalidArgument, match="no part of this fleet of 3 sectors"):
        part.rows(SMALL)
    with pytest.raises(InvalidArgument, match="no part of this fleet"):
        part.number(SMALL)


@pytest.mark.parametrize("text", ["", "sector7", "s7.c1.a2", "c01", "s0001"])
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"mesh, s007 or s007\.c04"):
        parse_part(text)
