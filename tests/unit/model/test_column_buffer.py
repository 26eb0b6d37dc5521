"""Columns as buffers: the bytes are little-endian, their number is checked, and so are the values."""

from __future__ import annotations

import numpy as np
import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.model.column_buffer import (
    check_known_within,
    check_within,
    from_buffer,
    optional_from_buffer,
    to_buffer,
)


def test_a_column_is_little_endian_wherever_it_is_written() -> None:
    assert to_buffer(np.array([1, 258], ">u4"), "<u2") == b"\x01\x00\x02\x01"
    assert from_buffer(b"\x01\x00\x02\x01", "<u2", 2, "numbers").tolist() == [1, 258]


def test_a_column_that_was_read_cannot_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        from_buffer(b"\x01", "<u1", 1, "state")[0] = 2


@pytest.mark.parametrize("data", [b"", b"1234567", b"123456789"])
def test_a_column_of_another_length_is_refused_by_its_name(data: bytes) -> None:
    with pytest.raises(InvalidArgument, match=r"'drift'.*2 rows of <f4 take 8"):
        from_buffer(data, "<f4", 2, "drift")


def test_a_column_that_was_left_out_is_none() -> None:
    assert optional_from_buffer(b"", "<u2", 3, "task") is None
    found = optional_from_buffer(b"\x01\x00", "<u2", 1, "task")
    assert found is not None
    assert found.tolist() == [1]


@pytest.mark.parametrize("value", [-0.1, 1.1, np.nan, np.inf, -np.inf])
def test_a_value_out_of_its_range_is_refused_by_the_columns_name(value: float) -> None:
    with pytest.raises(InvalidArgument, match="'reliability'"):
        check_within(np.array([0.5, value, 0.5], np.float32), 0, 1, "reliability")


@pytest.mark.parametrize("value", [-0.1, 1.1, np.inf, -np.inf])
def test_where_nothing_was_measured_only_what_was_is_checked(value: float) -> None:
    check_known_within(np.array([np.nan, 0, 1], np.float32), 0, 1, "reliability")
    with pytest.raises(InvalidArgument, match="'reliability'"):
        check_known_within(np.array([np.nan, value], np.float32), 0, 1, "reliability")


def test_no_rows_are_within_anything() -> None:
    check_within(np.zeros(0), 1, 0, "none")
    assert len(from_buffer(b"", "<f4", 0, "none")) == 0
