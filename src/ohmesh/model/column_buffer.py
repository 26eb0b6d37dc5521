"""One column of a message: a little-endian buffer that becomes an array without a copy, once its length is right."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohmesh.errors import InvalidArgument


def to_buffer(values: NDArray[Any], dtype: str) -> bytes:
    """`values` as `dtype`, a little-endian type such as "<f4"."""
    return np.asarray(values).astype(dtype, copy=False).tobytes()


def from_buffer(data: bytes, dtype: str, rows: int, name: str) -> NDArray[Any]:
    """An array of shape (rows,) that cannot be written to. Raises InvalidArgument: not so many values."""
    wanted = np.dtype(dtype)
    if len(data) != rows * wanted.itemsize:
        raise InvalidArgument(
            f"Column {name!r} has {len(data)} bytes; {rows} rows of {dtype} take {rows * wanted.itemsize}."
        )
    return np.frombuffer(data, wanted)


def optional_from_buffer(data: bytes, dtype: str, rows: int, name: str) -> NDArray[Any] | None:
    """None where the column was not sent."""
    return from_buffer(data, dtype, rows, name) if data or not rows else None


def check_within(values: NDArray[Any], least: float, most: float, name: str) -> None:
    """Raises InvalidArgument: a value is outside of `least`..`most`, infinite or not a number."""
    if len(values) and not (values.min() >= least and values.max() <= most):
        raise InvalidArgument(f"Column {name!r} holds values outside of {least:g} to {most:g}.")


def check_known_within(values: NDArray[np.floating[Any]], least: float, most: float, name: str) -> None:
    """The same for a column in which "not measured yet" is said by NaN."""
    outside = (values < least) | (values > most)
    if outside.any():
        raise InvalidArgument(f"Column {name!r} holds values outside of {least:g} to {most:g}.")
