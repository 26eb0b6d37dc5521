"""What an estimator has learnt, as bytes: a snapshot to go on from, or to merge into another's.

The columns of agents, and the histograms, means and counts that they share, each as its bytes in order; 62 bytes an
agent in two kinds of neighbourhood, and 616 for each class in each neighbourhood. Classes and settings are not in it:
who reads it has them, and they must be the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from ohmesh.errors import InvalidArgument
from ohmesh.protocols.arrival.estimator import ArrivalEstimator
from ohmesh.protocols.arrival.repeats import LONGEST_RUN
from ohmesh.protocols.arrival.residual_grid import CELLS

SNAPSHOT_VERSION = 1
PIECE_BYTES = 1 << 18


_LONG_LIST, _LONG_BYTES = b"\xdd", b"\xc6"  # MessagePack: array 32, bin 32
_HEAD_BYTES = 64


class _Snapshot(Struct, array_like=True, frozen=True):
    """grid: how many cells residuals were counted in. columns: little-endian, in the order of `_parts`."""

    version: int
    grid: int
    columns: list[bytes]


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(_Snapshot)


def encode_estimator(estimator: ArrivalEstimator) -> bytes:
    return b"".join(estimator_pieces(estimator))


def estimator_pieces(estimator: ArrivalEstimator) -> Iterator[bytes]:
    """What `encode_estimator` joins, at most PIECE_BYTES each, so that a caller can do other work in between. Whoever
    lets the estimator learn in between throws the pieces away."""
    parts = _parts(estimator)
    head = _encode(_Snapshot(SNAPSHOT_VERSION, CELLS, []))
    yield head[:-1] + _LONG_LIST + len(parts).to_bytes(4, "big")  # in place of the empty list
    for part in parts:
        yield _LONG_BYTES + part.nbytes.to_bytes(4, "big")
        flat = part.reshape(-1)
        step = PIECE_BYTES // part.itemsize
        for first in range(0, len(flat), step):
            some = flat[first : first + step]
            yield some.astype(some.dtype.newbyteorder("<"), copy=False).tobytes()


def snapshot_bytes(estimator: ArrivalEstimator) -> int:
    """How long a snapshot of it can be at most."""
    return _HEAD_BYTES + sum(part.nbytes + 5 for part in _parts(estimator))


def restore_estimator(estimator: ArrivalEstimator, data: bytes) -> None:
    """Fill a new estimator of the same fleet, classes and settings with what another had learnt.

    Raises InvalidArgument, and leaves it as it was: it cannot be read, is of another version or shape, or holds what
    cannot have been learnt."""
    try:
        snapshot = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArgument(f"A snapshot of {len(data)} bytes cannot be read: {error}.") from error
    if (snapshot.version, snapshot.grid) != (SNAPSHOT_VERSION, CELLS):
        raise InvalidArgument(
            f"A snapshot of version {snapshot.version} with {snapshot.grid} cells arrived; this process reads version "
            f"{SNAPSHOT_VERSION} with {CELLS}.",
            hint="Begin with an empty estimator; it learns again within a few frames.",
        )
    parts = _parts(estimator)
    if [len(one) for one in snapshot.columns] != [part.nbytes for part in parts]:
        raise InvalidArgument("A snapshot of another fleet, or of other settings, arrived.")
    read = [
        np.frombuffer(one, part.dtype.newbyteorder("<")).reshape(part.shape)
        for one, part in zip(snapshot.columns, parts, strict=True)
    ]
    if not _is_sound(estimator, read):
        raise InvalidArgument(
            "A snapshot holds what cannot have been learnt: a number that is none, or out of bounds."
        )
    for part, one in zip(parts, read, strict=True):
        part[...] = one
    for pool in estimator.histograms():
        pool.refresh()


def _parts(estimator: ArrivalEstimator) -> list[NDArray[Any]]:
    means = estimator.means()
    return [
        *estimator.agents.columns().values(),
        estimator.keys,
        *(pool.counts for pool in estimator.histograms()),
        *(one.weight for one in means),
        estimator.repeats.seen,
        estimator.repeats.repeated,
        estimator.calibration.asked,
        estimator.calibration.samples,
        *(one.total for one in means),
    ]


def _is_sound(estimator: ArrivalEstimator, read: list[NDArray[Any]]) -> bool:
    """All finite; only means of logarithms, the last parts, may be negative; places lie within what they point into."""
    signed = len(estimator.means())
    if not all(np.isfinite(one).all() for one in read) or any((one < 0).any() for one in read[:-signed]):
        return False
    columns = dict(zip(estimator.agents.columns(), read, strict=False))
    keys = read[len(columns)]
    return bool(
        (columns["class_code"] < len(estimator.classes.all)).all()
        and (columns["run"] <= LONGEST_RUN).all()
        and (columns["window"] <= CELLS).all()
        and (columns["prior_ms"] > 0).all()
        and (keys < np.array(estimator.neighbourhoods) * len(estimator.classes.all)).all()
    )
