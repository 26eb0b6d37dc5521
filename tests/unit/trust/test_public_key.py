"""Which keys may be enrolled: those that RFC 8032 makes, and none that verifies more than it should."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import InvalidArgument
from ohmesh.trust.public_key import checked_public_key, is_small_order, key_id
from tests.unit.trust import curve

Y_ONLY = (1 << 255) - 1


def written(y: int, sign: int) -> bytes:
    return (y | sign << 255).to_bytes(32, "little")


# Every way to write a point of small order: with either sign, and with P added where that fits.
SMALL_ORDER = sorted(
    {
        written(y, sign)
        for point in curve.SMALL
        for y in (point[1], point[1] + curve.P)
        for sign in (0, 1)
        if y <= Y_ONLY
    }
)


@given(st.binary(min_size=32, max_size=32))
def test_every_key_that_is_made_of_a_seed_may_be_enrolled(seed: bytes) -> None:
    key = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    assert checked_public_key(key) == key
    assert not is_small_order(key)


def test_there_are_eight_points_of_small_order() -> None:
    assert len(set(curve.SMALL)) == 8
    assert all(curve.multiply(8, point) == curve.NEUTRAL for point in curve.SMALL)
    assert len(SMALL_ORDER) == 14


@pytest.mark.parametrize("key", SMALL_ORDER, ids=bytes.hex)
def test_a_key_of_small_order_is_refused_however_it_is_written(key: bytes) -> None:
    assert is_small_order(key)
    with pytest.raises(InvalidArgument, match=r"small order|canonical"):
        checked_public_key(key)


@pytest.mark.parametrize("y", range(curve.P, Y_ONLY + 1))
def test_a_key_that_is_not_written_canonically_is_refused(y: int) -> None:
    """There are 19 of them, with either sign."""
    for sign in (0, 1):
        with pytest.raises(InvalidArgument, match="canonical"):
            checked_public_key(written(y, sign))


@given(st.integers(2, curve.P - 2))
def test_what_is_no_point_is_refused_and_what_is_one_is_taken(y: int) -> None:
    key = written(y, 0)
    try:
        curve.decode(key)
    except ValueError:
        with pytest.raises(InvalidArgument, match="not a point"):
            checked_public_key(key)
    else:
        assert checked_public_key(key) == key


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_key_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(InvalidArgument, match=f"{size} bytes"):
        checked_public_key(bytes(size))


def test_the_id_of_a_key_is_the_beginning_of_its_sha256() -> None:
    assert key_id(bytes(32)).hex() == "66687aadf862bd776c8fc18b8e9f8e20"
