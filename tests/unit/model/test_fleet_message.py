"""Messages of the fleet: when one is past its time, and whether its payload is the one that was sent."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.model.fleet_message import Coordinate, MessageHead, TargetState, Verb, hash_payload
from ohmesh.model.hybrid_time import pack_stamp
from ohmesh.model.trinary import Trinary


def order(payload: bytes = b"", payload_hash: bytes = b"") -> Coordinate:
    return Coordinate(
        MessageHead("m", "me", pack_stamp(1, 0)), Verb.ACT, payload=payload, payload_hash=payload_hash
    )


@pytest.mark.parametrize(("now_ms", "is_expired"), [(0, False), (1_500, False), (1_501, True)])
def test_a_message_is_past_its_time_when_more_than_that_has_gone(now_ms: int, is_expired: bool) -> None:
    head = MessageHead("m", "me", pack_stamp(1_000, 65_535), ttl_ms=500)
    assert head.is_expired(now_ms) is is_expired


@given(st.binary(max_size=64))
def test_a_payload_is_whole_with_its_own_hash(payload: bytes) -> None:
    assert order(payload, hash_payload(payload)).is_whole()


@given(st.binary(min_size=1, max_size=64), st.data())
def test_a_payload_of_which_one_bit_is_another_is_not_whole(payload: bytes, data: st.DataObject) -> None:
    bit = data.draw(st.integers(0, 8 * len(payload) - 1))
    altered = bytearray(payload)
    altered[bit // 8] ^= 1 << bit % 8
    assert not order(bytes(altered), hash_payload(payload)).is_whole()


def test_a_payload_without_a_hash_is_not_whole_and_nothing_without_one_is() -> None:
    assert not order(b"payload").is_whole()
    assert order().is_whole()
    assert not order(b"", hash_payload(b"it was cut off")).is_whole()


def test_the_hash_is_one_that_every_language_has() -> None:
    assert hash_payload(b"abc") == hashlib.sha256(b"abc").digest()


def test_the_states_of_targets_begin_with_the_trinary_ones() -> None:
    assert {state.name: int(state) for state in TargetState if abs(state) <= 1} == {
        state.name: int(state) for state in Trinary
    }
