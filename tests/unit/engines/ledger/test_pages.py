"""Cursors: read back as written, anything else refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.engines.ledger.pages import Cursor, parse_cursor
from ohmesh.errors import InvalidArgument


@given(st.integers(0, (1 << 63) - 1), st.integers(0, (1 << 63) - 1))
def test_a_cursor_is_read_as_it_was_written(finished_ms: int, entry: int) -> None:
    cursor = Cursor(finished_ms, entry)
    assert parse_cursor(str(cursor)) == cursor


@given(st.text(min_size=1).filter(lambda text: not text.replace("-", "").isdigit()))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_cursor(text)


def test_no_cursor_is_the_first_page() -> None:
    assert parse_cursor("") is None
