"""One scale, written in several ways."""

from __future__ import annotations

import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.model.priority import Priority, parse_priority


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("critical", Priority.CRITICAL),
        (" High ", Priority.HIGH),
        ("MEDIUM", Priority.NORMAL),
        ("background", Priority.LOW),
        (3, Priority.CRITICAL),
        ("2", Priority.HIGH),
        (0, Priority.LOW),
        (Priority.HIGH, Priority.HIGH),
    ],
)
def test_every_way_of_writing_a_priority_is_understood(written: str | int, meant: Priority) -> None:
    assert parse_priority(written) is meant


@pytest.mark.parametrize("written", ["urgent", "", 4, -1, "3.0"])
def test_what_is_no_priority_is_refused_with_the_scale(written: str | int) -> None:
    with pytest.raises(InvalidArgument, match="Use CRITICAL, HIGH, NORMAL or LOW"):
        parse_priority(written)
