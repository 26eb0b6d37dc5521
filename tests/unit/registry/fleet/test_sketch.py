"""Quantiles from sketches: as near to the exact ones as is promised, however the sketches were put together."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import InvalidArgument
from ohmesh.registry.fleet.sketch import SketchShape, pack_counts, unpack_counts

SHAPE = SketchShape()
VALUES = st.lists(st.floats(0.1, 1e6), min_size=1, max_size=60)
SHARES = st.floats(0.01, 1)


def exact(values: list[float], share: float) -> float:
    """The value of nearest rank."""
    return sorted(values)[max(1, math.ceil(share * len(values))) - 1]


def one(values: list[float], shape: SketchShape = SHAPE) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    return shape.count(values, np.zeros(len(values), np.intp), 1)


@given(VALUES, SHARES)
def test_a_quantile_is_within_the_error_of_the_exact_one(values: list[float], share: float) -> None:
    (found,) = SHAPE.quantiles(one(values), (share,))
    assert found[0] == pytest.approx(exact(values, share), rel=0.01 + 1e-9)


@given(st.lists(VALUES, min_size=1, max_size=5), SHARES)
def test_the_sum_of_sketches_is_the_sketch_of_all_their_values(
    parts: list[list[float]], share: float
) -> None:
    groups = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    everything = [value for part in parts for value in part]
    counts = SHAPE.count(everything, groups, len(parts))
    assert (counts.sum(axis=0) == one(everything)[0]).all()
    found = SHAPE.quantiles(counts, (share, 1))
    for place, part in enumerate(parts):
        assert found[0][place] == pytest.approx(exact(part, share), rel=0.01 + 1e-9)
        assert found[1][place] == pytest.approx(max(part), rel=0.01 + 1e-9)


@pytest.mark.parametrize("error", [0.005, 0.01, 0.05])
@pytest.mark.parametrize("name", ["lognormal", "bimodal", "constant"])
def test_the_error_holds_over_a_whole_fleet(error: float, name: str) -> None:
    spread = np.linspace(-3.5, 3.5, 30_000)
    values = {
        "lognormal": np.exp(4 + spread),
        "bimodal": np.where(spread < 1.7, 12, 60_000) + spread,
        "constant": np.full(30_000, 77.7),
    }[name]
    shape = SketchShape(relative_error=error)
    counts = shape.count(values, np.zeros(len(values), np.intp), 1)
    shares = (0.01, 0.5, 0.9, 0.95, 0.99, 1)
    for share, found in zip(shares, shape.quantiles(counts, shares), strict=True):
        assert found[0] == pytest.approx(exact(values.tolist(), share), rel=error + 1e-9)


@pytest.mark.parametrize(("value", "said"), [(0.0, 0.1), (0.1, 0.1), (0.05, 0.1), (1e9, 1e6), (1e6, 1e6)])
def test_beyond_its_borders_a_sketch_says_the_border(value: float, said: float) -> None:
    (found,) = SHAPE.quantiles(one([value]), (0.95,))
    assert found[0] == pytest.approx(said, rel=0.01 + 1e-9)


def test_nothing_has_no_quantile_and_one_value_is_every_quantile() -> None:
    counts = SHAPE.count([50.0], np.array([1]), 3)
    low, high = SHAPE.quantiles(counts, (0.01, 1))
    assert np.isnan([low[0], low[2], high[0], high[2]]).all()
    assert low[1] == high[1] == pytest.approx(50, rel=0.01)


@given(VALUES)
def test_a_sketch_travels_and_is_the_same(values: list[float]) -> None:
    counts = one(values)[0]
    assert (unpack_counts(*pack_counts(counts), SHAPE) == counts).all()
    assert len(pack_counts(counts)[0]) <= 2 * len(values)


@pytest.mark.parametrize(
    ("places", "counts", "words"),
    [
        (b"\0", b"", "1 bytes"),
        (b"\0\0", b"\1\0", "2 bytes of counts"),
        (b"\xff\xff", b"\1\0\0\0", "bucket 65535"),
    ],
)
def test_a_sketch_that_cannot_be_read_is_refused(places: bytes, counts: bytes, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        unpack_counts(places, counts, SHAPE)


@pytest.mark.parametrize("share", [0, -0.1, 1.01])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(InvalidArgument, match="shares above 0 and at most 1"):
        SHAPE.quantiles(one([1.0]), (share,))


@pytest.mark.parametrize("fields", [(0, 1, 2), (1, 1, 2), (0.1, 0, 2), (0.1, 2, 2), (0.1, 1, math.inf)])
def test_a_shape_that_cannot_be_is_refused(fields: tuple[float, float, float]) -> None:
    with pytest.raises(InvalidArgument, match="No sketch has"):
        SketchShape(*fields)


def test_the_docstring_says_how_large_it_is() -> None:
    assert f"{SHAPE.buckets} buckets" in str(SketchShape.__doc__)
