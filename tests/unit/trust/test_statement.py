"""Statements convince whoever has the ring, and nobody of anything else than what was said."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import NotTrusted
from ohmesh.model.hybrid_time import pack_stamp
from ohmesh.trust.identity import Identity
from ohmesh.trust.key_ring import EnrolledKey, KeyRing
from ohmesh.trust.statement import (
    STATEMENT_VERSION,
    Statement,
    check_recent,
    is_statement,
    open_statement,
    sign_statement,
)

ALICE = Identity.from_seed("alice", b"a" * 32)
MALLORY = Identity.from_seed("mallory", b"m" * 32)
RING = KeyRing()
RING.enrol(EnrolledKey("alice", ALICE.public_key, 1_000, 2_000))
RING.enrol(EnrolledKey("mallory", MALLORY.public_key))
SAID = sign_statement(ALICE, "mesh", "vote", b"for", stamp=pack_stamp(1_500, 3))


def test_what_was_said_is_read_by_whoever_has_the_ring() -> None:
    assert is_statement(SAID)
    assert open_statement(SAID, RING, "mesh", "vote") == Statement(
        STATEMENT_VERSION, "mesh", "vote", "alice", pack_stamp(1_500, 3), b"for"
    )


@pytest.mark.parametrize(("mesh", "purpose"), [("other", "vote"), ("mesh", "heartbeat"), ("mesh", "")])
def test_what_was_said_for_something_else_was_not_said_for_this(mesh: str, purpose: str) -> None:
    with pytest.raises(NotTrusted, match="was expected"):
        open_statement(SAID, RING, mesh, purpose)


@given(st.integers(0, 8 * len(SAID) - 1))
def test_a_statement_of_which_one_bit_is_another_convinces_nobody(bit: int) -> None:
    altered = bytearray(SAID)
    altered[bit // 8] ^= 1 << bit % 8
    with pytest.raises(NotTrusted):
        open_statement(bytes(altered), RING, "mesh", "vote")


@given(st.binary(max_size=200))
def test_bytes_that_are_no_statement_convince_nobody(data: bytes) -> None:
    for prefix in (b"", b"\xc1\x02", SAID[:82]):
        with pytest.raises(NotTrusted):
            open_statement(prefix + data, RING, "mesh", "vote")


@pytest.mark.parametrize("size", range(0, len(SAID), 7))
def test_a_statement_that_was_cut_off_convinces_nobody(size: int) -> None:
    with pytest.raises(NotTrusted):
        open_statement(SAID[:size], RING, "mesh", "vote")


def test_nobody_speaks_in_anothers_name() -> None:
    forged = msgspec.msgpack.encode(Statement(1, "mesh", "vote", "alice", pack_stamp(1_500, 0), b"against"))
    signature = MALLORY.sign(b"ohmesh statement 1\0" + MALLORY.key_id + forged)
    with pytest.raises(NotTrusted, match=r"'alice'.*'mallory'"):
        open_statement(b"\xc1\x02" + MALLORY.key_id + signature + forged, RING, "mesh", "vote")


def test_the_same_bytes_signed_for_another_use_are_no_statement() -> None:
    said = SAID[82:]
    with pytest.raises(NotTrusted, match="does not fit"):
        open_statement(SAID[:18] + ALICE.sign(said) + said, RING, "mesh", "vote")


@pytest.mark.parametrize("at_ms", [999, 2_000])
def test_what_was_said_outside_of_the_keys_time_does_not_count(at_ms: int) -> None:
    late = sign_statement(ALICE, "mesh", "vote", b"for", stamp=pack_stamp(at_ms, 0))
    with pytest.raises(NotTrusted, match="does not count"):
        open_statement(late, RING, "mesh", "vote")


@pytest.mark.parametrize(
    ("now_ms", "is_recent"), [(1_400, True), (1_600, True), (1_399, False), (1_601, False)]
)
def test_what_was_said_too_long_ago_may_be_a_replay(now_ms: int, is_recent: bool) -> None:
    statement = open_statement(SAID, RING, "mesh", "vote")
    if is_recent:
        assert check_recent(statement, now_ms, 100) is None  # type: ignore[func-returns-value]
    else:
        with pytest.raises(NotTrusted, match="ago"):
            check_recent(statement, now_ms, 100)


def test_a_writer_in_another_language_may_encode_as_it_likes() -> None:
    """The array with 16 bits of length and the payload as a longer bin than needed: other bytes, the same statement."""
    said = (
        b"\xdc\x00\x06\x01\xd9\x04mesh\xd9\x04vote\xd9\x05alice\xcf"
        + pack_stamp(1_500, 3).to_bytes(8, "big")
        + b"\xc5\x00\x03for"
    )
    signature = ALICE.sign(b"ohmesh statement 1\0" + ALICE.key_id + said)
    opened = open_statement(b"\xc1\x02" + ALICE.key_id + signature + said, RING, "mesh", "vote")
    assert opened.payload == b"for"
