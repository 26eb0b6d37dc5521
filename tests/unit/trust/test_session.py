"""A handshake gives two enrolled sides the same keys, and anybody else nothing."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import NotTrusted
from ohmesh.model.hybrid_time import pack_stamp
from ohmesh.trust.identity import Identity
from ohmesh.trust.key_ring import EnrolledKey, KeyRing
from ohmesh.trust.session import (
    HELLO,
    WELCOME,
    Hello,
    Party,
    PendingSession,
    SessionKeys,
    Welcome,
    welcome_session,
)
from ohmesh.trust.statement import sign_statement
from tests.unit.trust import curve

NAMES = ("alice", "bob", "carol")
IDENTITIES = {name: Identity.from_seed(name, name[:1].encode() * 32) for name in NAMES}
RING = KeyRing()
for _name, _identity in IDENTITIES.items():
    RING.enrol(EnrolledKey(_name, _identity.public_key))
NOW_MS = 1_770_000_000_000
STAMP = pack_stamp(NOW_MS, 0)


def party(name: str) -> Party:
    return Party(IDENTITIES[name], "mesh", RING)


def begin(name: str = "alice", responder: str = "bob", secret: bytes = b"1" * 32) -> PendingSession:
    return PendingSession(party(name), responder, secret, b"n" * 32, stamp=STAMP)


def answer(hello: bytes, name: str = "bob", now_ms: int = NOW_MS) -> tuple[SessionKeys, bytes]:
    return welcome_session(party(name), hello, b"2" * 32, stamp=STAMP, now_ms=now_ms)


def test_both_sides_have_the_same_keys_each_for_its_direction() -> None:
    pending = begin()
    theirs, welcome = answer(pending.hello)
    ours = pending.finish(welcome, NOW_MS)
    assert (ours.peer, theirs.peer) == ("bob", "alice")
    assert ours.session_id == theirs.session_id
    assert (ours.sending, ours.receiving) == (theirs.receiving, theirs.sending)
    assert ours.sending != ours.receiving
    assert {len(ours.sending), len(ours.receiving)} == {32}


def test_every_session_has_keys_of_its_own() -> None:
    keys = {answer(begin(secret=bytes([number]) * 32).hello)[0].sending for number in range(1, 20)}
    assert len(keys) == 19
    pending = begin()
    assert answer(pending.hello)[0].sending != answer(replace_nonce())[0].sending


def replace_nonce() -> bytes:
    return PendingSession(party("alice"), "bob", b"1" * 32, b"m" * 32, stamp=STAMP).hello


def test_keys_do_not_show_in_text() -> None:
    keys, _ = answer(begin().hello)
    assert keys.sending.hex() not in repr(keys)
    assert repr(keys.sending) not in repr(keys)


HELLO_BYTES = begin().hello
WELCOME_BYTES = answer(HELLO_BYTES)[1]


@given(st.integers(0, 8 * len(HELLO_BYTES) - 1))
def test_a_hello_of_which_one_bit_is_another_is_not_answered(bit: int) -> None:
    altered = bytearray(HELLO_BYTES)
    altered[bit // 8] ^= 1 << bit % 8
    with pytest.raises(NotTrusted):
        answer(bytes(altered))


@given(st.integers(0, 8 * len(WELCOME_BYTES) - 1))
def test_a_welcome_of_which_one_bit_is_another_gives_no_keys(bit: int) -> None:
    altered = bytearray(WELCOME_BYTES)
    altered[bit // 8] ^= 1 << bit % 8
    with pytest.raises(NotTrusted):
        begin().finish(bytes(altered), NOW_MS)


def test_a_hello_to_somebody_else_is_not_answered() -> None:
    with pytest.raises(NotTrusted, match="for 'carol'"):
        answer(begin(responder="carol").hello)


def test_a_welcome_of_somebody_else_gives_no_keys() -> None:
    _, welcome = answer(begin(responder="carol").hello, name="carol")
    with pytest.raises(NotTrusted, match="does not answer"):
        begin().finish(welcome, NOW_MS)


def test_a_welcome_to_an_earlier_hello_gives_no_keys() -> None:
    _, welcome = answer(begin(secret=b"3" * 32).hello)
    with pytest.raises(NotTrusted, match="does not answer"):
        begin().finish(welcome, NOW_MS)


@pytest.mark.parametrize("late_ms", [-30_001, 30_001])
def test_an_old_hello_is_not_answered_and_an_old_welcome_gives_no_keys(late_ms: int) -> None:
    pending = begin()
    with pytest.raises(NotTrusted, match="ago"):
        answer(pending.hello, now_ms=NOW_MS + late_ms)
    _, welcome = answer(pending.hello)
    with pytest.raises(NotTrusted, match="ago"):
        pending.finish(welcome, NOW_MS + late_ms)


def test_a_stranger_and_another_mesh_are_not_answered() -> None:
    stranger = replace(party("alice"), identity=Identity.from_seed("alice", b"s" * 32))
    with pytest.raises(NotTrusted, match="nobody"):
        answer(PendingSession(stranger, "bob", b"1" * 32, b"n" * 32, stamp=STAMP).hello)
    elsewhere = replace(party("alice"), mesh="other")
    with pytest.raises(NotTrusted, match="other"):
        answer(PendingSession(elsewhere, "bob", b"1" * 32, b"n" * 32, stamp=STAMP).hello)


def test_a_statement_for_another_purpose_is_no_hello() -> None:
    with pytest.raises(NotTrusted):
        answer(WELCOME_BYTES)


# Points of X25519 for which every secret gives zero: 0, 1, and p - 1, as they may be written.
@pytest.mark.parametrize("ephemeral", [0, 1, curve.P - 1, curve.P, curve.P + 1])
def test_an_ephemeral_key_that_fixes_the_secret_is_refused(ephemeral: int) -> None:
    weak = ephemeral.to_bytes(32, "little")
    hello = sign_statement(
        IDENTITIES["alice"], "mesh", HELLO, msgspec.msgpack.encode(Hello("bob", weak, b"n" * 32)), stamp=STAMP
    )
    with pytest.raises(NotTrusted, match="ephemeral"):
        answer(hello)
    pending = begin()
    content = Welcome("alice", weak, sha256(pending.hello).digest())
    welcome = sign_statement(IDENTITIES["bob"], "mesh", WELCOME, msgspec.msgpack.encode(content), stamp=STAMP)
    with pytest.raises(NotTrusted, match="ephemeral"):
        pending.finish(welcome, NOW_MS)


@pytest.mark.parametrize("payload", [b"", b"\xc0", msgspec.msgpack.encode(["bob", b"short", b"n" * 32])])
def test_a_hello_that_cannot_be_read_is_not_answered(payload: bytes) -> None:
    hello = sign_statement(IDENTITIES["alice"], "mesh", HELLO, payload, stamp=STAMP)
    with pytest.raises(NotTrusted, match="cannot be read"):
        answer(hello)
