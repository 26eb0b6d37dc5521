"""What was learnt, as bytes."""

from __future__ import annotations

import random

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import InvalidArgument
from ohmesh.protocols.arrival.estimator import ArrivalEstimator
from ohmesh.protocols.arrival.estimator_wire import encode_estimator, restore_estimator
from tests.unit.protocols.arrival.fleet_delays import heavy_tailed, new_fleet, observe_frames

ALL = np.arange(40)


def learnt() -> ArrivalEstimator:
    estimator = new_fleet()
    observe_frames(estimator, 25, random.Random(1))
    return estimator


def test_a_restored_estimator_says_and_learns_the_same() -> None:
    estimator, successor = learnt(), new_fleet()
    restore_estimator(successor, encode_estimator(estimator))
    assert successor.lead_ms(ALL, 0.95).tolist() == estimator.lead_ms(ALL, 0.95).tolist()
    delays_ms = heavy_tailed(random.Random(2), 40)
    for one in (estimator, successor):
        one.observe(ALL, delays_ms)
    assert encode_estimator(successor) == encode_estimator(estimator)


def test_a_snapshot_of_another_fleet_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="another fleet"):
        restore_estimator(new_fleet(50), encode_estimator(learnt()))


def test_a_snapshot_of_another_version_is_refused() -> None:
    version, grid, columns = msgspec.msgpack.decode(encode_estimator(learnt()))
    with pytest.raises(InvalidArgument, match="version"):
        restore_estimator(new_fleet(), msgspec.msgpack.encode([version + 1, grid, columns]))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("centre_ms", np.nan),
        ("spread_ms", -1.0),
        ("prior_ms", 0.0),
        ("class_code", 6),
        ("window", 200),
        ("run", 64),
    ],
)
def test_what_cannot_have_been_learnt_is_refused(column: str, value: float) -> None:
    estimator, successor = learnt(), new_fleet()
    estimator.agents.columns()[column][3] = value
    with pytest.raises(InvalidArgument, match="cannot have been learnt"):
        restore_estimator(successor, encode_estimator(estimator))
    assert not successor.agents.samples.any()


@given(st.binary(max_size=200) | st.integers(0, 300).map(lambda cut: encode_estimator(new_fleet())[:cut]))
def test_bytes_that_are_no_snapshot_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidArgument):
        restore_estimator(new_fleet(), data)
