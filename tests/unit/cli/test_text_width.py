"""Texts take the columns that a terminal gives them, and are cut there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.cli.text_width import one_line, padded, shortened, text_width


@pytest.mark.parametrize(
    ("text", "width"), [("abc", 3), ("日本語", 6), ("e\u0301", 1), ("", 0), ("ｱ", 1), ("🙂", 2)]
)
def test_wide_characters_take_two_columns_and_marks_none(text: str, width: int) -> None:
    assert text_width(text) == width


def test_a_wide_character_is_not_cut_in_two() -> None:
    assert shortened("日本語日本語", 8) == "日本..."
    assert padded("日本語日本語", 8) == "日本... "
    assert padded("日本", 6, right=True) == "  日本"


@given(st.text(), st.integers(3, 60))
def test_a_padded_text_is_exactly_as_wide_as_asked(text: str, width: int) -> None:
    assert text_width(padded(text, width)) == width


def test_what_a_terminal_would_obey_is_shown_as_a_question_mark() -> None:
    assert one_line("a\x1b[2Jb\nc \u202ed\x07") == "a?[2Jb c ?d?"
    assert one_line("naïve 日本") == "naïve 日本"
