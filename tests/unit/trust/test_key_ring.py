"""Enrolled keys: whose they are, when they count, and that a revoked one stays so."""

from __future__ import annotations

import pytest

from ohmesh.errors import InvalidArgument, NotTrusted
from ohmesh.trust.identity import Identity
from ohmesh.trust.key_ring import EnrolledKey, KeyRing, KeyRingConfig
from tests.unit.trust.curve import NEUTRAL, encode

KEYS = [Identity.from_seed("one", bytes([seed]) * 32).public_key for seed in range(6)]


def test_a_key_counts_from_its_beginning_until_its_end() -> None:
    ring = KeyRing()
    identifier = ring.enrol(EnrolledKey("one", KEYS[0], 100, 200))
    assert [ring.key(identifier, now).name for now in (100, 199)] == ["one", "one"]
    for now in (99, 200):
        with pytest.raises(NotTrusted, match="does not count"):
            ring.key(identifier, now)


def test_a_name_has_the_old_key_and_the_new_one_while_they_overlap() -> None:
    ring = KeyRing()
    old = ring.enrol(EnrolledKey("one", KEYS[0], 0, 200))
    new = ring.enrol(EnrolledKey("one", KEYS[1], 100))
    assert [key.key_id for key in ring.keys_of("one")] == [old, new]
    assert ring.key(old, 150).name == ring.key(new, 150).name == "one"
    assert ring.expire(199) == 0
    assert ring.expire(200) == 1
    assert [key.key_id for key in ring.keys_of("one")] == [new]


def test_a_key_that_is_enrolled_again_has_its_new_time() -> None:
    ring = KeyRing()
    identifier = ring.enrol(EnrolledKey("one", KEYS[0], 0, 100))
    assert ring.enrol(EnrolledKey("one", KEYS[0], 0, 200)) == identifier
    assert ring.key(identifier, 150).until_ms == 200
    assert len(ring) == len(ring.keys_of("one")) == 1


def test_a_key_belongs_to_one_name() -> None:
    ring = KeyRing()
    ring.enrol(EnrolledKey("one", KEYS[0]))
    with pytest.raises(InvalidArgument, match="'one', not of 'two'"):
        ring.enrol(EnrolledKey("two", KEYS[0]))


def test_a_revoked_key_is_refused_and_stays_so() -> None:
    ring = KeyRing()
    identifier = ring.enrol(EnrolledKey("one", KEYS[0]))
    ring.revoke(identifier)
    ring.revoke(identifier)
    with pytest.raises(NotTrusted, match="revoked"):
        ring.key(identifier, 0)
    with pytest.raises(NotTrusted, match="revoked"):
        ring.enrol(EnrolledKey("one", KEYS[0]))
    assert ring.keys_of("one") == []


def test_an_unknown_key_is_nobodys() -> None:
    with pytest.raises(NotTrusted, match="nobody"):
        KeyRing().key(bytes(16), 0)


def test_a_key_that_may_not_be_is_not_enrolled() -> None:
    with pytest.raises(InvalidArgument, match="small order"):
        KeyRing().enrol(EnrolledKey("one", encode(NEUTRAL)))


def test_the_ring_is_bounded() -> None:
    ring = KeyRing(KeyRingConfig(keys=3, keys_of_name=2, revoked=1))
    first = ring.enrol(EnrolledKey("one", KEYS[0]))
    ring.enrol(EnrolledKey("one", KEYS[1]))
    with pytest.raises(InvalidArgument, match="2 of 2 for 'one'"):
        ring.enrol(EnrolledKey("one", KEYS[2]))
    ring.enrol(EnrolledKey("two", KEYS[2]))
    with pytest.raises(InvalidArgument, match="3 of 3"):
        ring.enrol(EnrolledKey("three", KEYS[3]))
    ring.revoke(first)
    ring.enrol(EnrolledKey("three", KEYS[3]))
    with pytest.raises(InvalidArgument, match="can be remembered"):
        ring.revoke(bytes(16))
