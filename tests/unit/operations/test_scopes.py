"""Who is meant: all, a place of the fleet, or a filter."""

from __future__ import annotations

import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.operations.scopes import where_of


@pytest.mark.parametrize(
    ("scope", "where"),
    [
        ("all", ""),
        ("s007", "sector=7"),
        ("s7", "sector=7"),
        ("s007.c04", "sector=7 and cluster=4"),
        ("s007.c04.a12", 'agent="s007.c04.a12"'),
        ("class=gpu and sector in (3,7)", "class=gpu and sector in (3,7)"),
    ],
)
def test_a_scope_is_a_selector(scope: str, where: str) -> None:
    assert where_of(scope) == where


@pytest.mark.parametrize("scope", ["", " ", "everybody", "s007.x04", "s007.c04.a12.b1", "sector="])
def test_what_is_neither_a_place_nor_a_filter_is_refused(scope: str) -> None:
    with pytest.raises(InvalidArgument):
        where_of(scope)
