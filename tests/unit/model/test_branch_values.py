"""Entries as the values that agents tell each other."""

from __future__ import annotations

import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.model.branch_values import STAND_IN, entries_of, values_of

ENTRIES = {"text": "ä".encode(), "bytes": b"\xff", "long": b"x" * 2_000, "sly": STAND_IN.encode()}


def test_any_entries_come_back_as_they_were_where_they_are_held() -> None:
    values = values_of(ENTRIES)
    assert values["text"] == "ä"
    assert max(map(len, values.values())) < 100
    assert entries_of(values, [{}, ENTRIES]) == ENTRIES
    assert entries_of({"text": "ä"}) == {"text": "ä".encode()}


def test_what_nobody_here_holds_cannot_be_made_of_its_hash() -> None:
    with pytest.raises(InvalidArgument):
        entries_of(values_of(ENTRIES), [{"other": b"\xfe"}])
