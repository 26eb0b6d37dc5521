"""When agents were ready, drawn."""

from __future__ import annotations

import pytest

from ohmesh.cli.arrival_chart import arrival_chart


def test_columns_are_as_high_as_many_were_ready() -> None:
    drawn = arrival_chart(((10.0, 100), (20.0, 0), (30.0, 50), (40.0, 1)), zero="T", height=2)
    assert drawn.splitlines() == [
        "100 |\u2588",
        "    |\u2588 \u2588\u2581",
        "    +0---",
        "     0.0 ms  40.0 ms   from T",
    ]


def test_zero_is_marked_where_it_lies() -> None:
    early_and_late = tuple((float(bound), 1) for bound in (-10, 0, 10, 20))
    assert arrival_chart(early_and_late, zero="T").splitlines()[-2] == "  +--0-"
    late = tuple((float(bound), 1) for bound in (20, 30, 40))
    assert arrival_chart(late, zero="T").splitlines()[-2] == "  +---"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "no-such-encoding"])
def test_where_blocks_cannot_be_written_it_is_drawn_with_plain_characters(encoding: str) -> None:
    drawn = arrival_chart(((1.0, 7), (2.0, 3)), zero="T", encoding=encoding)
    assert drawn.isascii()
    assert "#" in drawn


def test_nothing_is_drawn_of_nobody_and_one_bar_has_a_width() -> None:
    assert arrival_chart((), zero="T") == ""
    assert "5.0 ms" in arrival_chart(((5.0, 3),), zero="T")
