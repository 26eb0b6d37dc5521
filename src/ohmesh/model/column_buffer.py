"""One column of a message: a little-endian buffer that becomes an array without a copy, once its length is right."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohmesh.errors import InvalidArgument

# Columns of a cluster are short: the methods of arrays would cost more than the comparing.
_minimum, _maximum = np.minimum.reduce, np.maximum.reduce
_known_minimum, _known_maximum = np.fmin.reduce, np.fmax.reduce
_DTYPES = {name: np.dtype(name) for name in ("<u1", "<u2", "<u4", "<u8", "<i1", "<i8", "<f4")}
_OUTSIDE = "Column {!r} holds values outside of {:g} to {:g}."


def to_buffer(values: NDArray[Any], dtype: str) -> bytes:
    """`values` as `dtype`, a little-endian type such as "<f4"."""
    return np.asarray(values).astype(dtype, copy=False).tobytes()


def from_buffer(data: bytes, dtype: str, rows: int, name: str) -> NDArray[Any]:
    """An array of shape (rows,) that cannot be written to. Raises InvalidArgument: not so many values."""
    kind = _DTYPES[dtype]
    if len(data) != rows * kind.itemsize:
        raise InvalidArgument(
            f"Column {name!r} has {len(data)} bytes; {rows} rows of {dtype} take {rows * kind.itemsize}."
        )
    return np.frombuffer(data, kind)


def optional_from_buffer(data: bytes, dtype: str, rows: int, name: str) -> NDArray[Any] | None:
    """None where the column was not sent."""
    return from_buffer(data, dtype, rows, name) if data or not rows else None


def check_within(values: NDArray[Any], least: float, most: float, name: str) -> None:
    """Raises InvalidArgument: a value is outside of `least`..`most`, infinite or not a number."""
    if len(values) and not (_minimum(values) >= least and _maximum(values) <= most):
        raise InvalidArgument(_OUTSIDE.format(name, least, most))


def check_at_most(values: NDArray[np.unsignedinteger[Any]], most: int, name: str) -> None:
    """The same for codes and numbers, which are never negative."""
    if len(values) and _maximum(values) > most:
        raise InvalidArgument(_OUTSIDE.format(name, 0, most))


def check_times(values: NDArray[np.int64], name: str) -> None:
    """The same for times, which are only never negative."""
    if len(values) and _minimum(values) < 0:
        raise InvalidArgument(f"Column {name!r} holds a time below 0.")


def check_known_within(values: NDArray[np.floating[Any]], least: float, most: float, name: str) -> None:
    """The same for a column in which "not measured yet" is said by NaN."""
    if len(values) and (_known_minimum(values) < least or _known_maximum(values) > most):
        raise InvalidArgument(_OUTSIDE.format(name, least, most))
