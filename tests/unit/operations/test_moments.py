"""Moments: how long ago, or when; anything else is refused with what could have been said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import InvalidArgument
from ohmesh.operations.moments import parse_moment, written

NOW_MS = 1_800_000_000_000
HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    ("text", "ago_ms"),
    [
        ("2h", 2 * HOUR_MS),
        ("1d", 24 * HOUR_MS),
        ("90s", 90_000),
        ("1.5min", 90_000),
        (" 250MS ", 250),
        ("0s", 0),
    ],
)
def test_a_duration_is_counted_back_from_now(text: str, ago_ms: int) -> None:
    assert parse_moment("since", text).resolved_ms(NOW_MS) == NOW_MS - ago_ms


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [
        ("2026-01-31", 1_769_817_600_000),
        ("2026-01-31T10:00", 1_769_853_600_000),
        ("2026-01-31 10:00:00.250", 1_769_853_600_250),
        ("2026-01-31t10:00z", 1_769_853_600_000),
        ("2026-01-31T10:00+01:00", 1_769_850_000_000),
        ("1969-12-31", 1),
    ],
)
def test_a_time_is_utc_unless_it_says_where(text: str, at_ms: int) -> None:
    assert parse_moment("since", text).resolved_ms(NOW_MS) == at_ms


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2 hours", "until: '2 hours' is no moment"),
        ("2w", "until: 'w' in '2w' is no unit of time. The units are ms, s, min, h, d"),
        ("2m", "'m' in '2m' is no unit"),
        ("-2h", "is no moment"),
        ("1h30min", "is no moment"),
        ("yesterday", "30min, 2h or 1d, or a time, such as"),
        ("2026", "is no moment"),
        ("1769853600", "is no moment"),
        ("2026-02-30", "is no moment"),
        ("2026-01-31T25:00", "is no moment"),
        ("9999999d", "longer ago than any mesh"),
        ("２h", "is no moment"),
    ],
)
def test_what_is_no_moment_is_refused_with_what_could_be_said(text: str, said: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        parse_moment("until", text)
    assert said in str(refused.value)


@given(st.integers(1, 253_402_300_799_999))
def test_a_written_moment_is_read_as_the_same(at_ms: int) -> None:
    assert parse_moment("since", written(at_ms)).at_ms == at_ms
