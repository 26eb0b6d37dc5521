"""The chain of the conflict log: every way of tampering is found and named."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import InvalidArgument
from ohmesh.protocols.conflict.chain import NO_DIGEST, Head, Link, link_after, read_link, verify_chain

Entries = list[tuple[int, bytes]]


def chain(*bodies: bytes) -> tuple[Entries, Head]:
    head, entries = Head(), []
    for body in bodies:
        data, head = link_after(head, body)
        entries.append((head.sequence, data))
    return entries, head


def changed(data: bytes, **fields: object) -> bytes:
    return msgspec.msgpack.encode(msgspec.structs.replace(read_link(data), **fields))


BODIES = (b"a", b"b", b"c", b"d")


def test_a_chain_is_whole_and_ends_at_its_head() -> None:
    entries, head = chain(*BODIES)
    verdict = verify_chain(entries, head)
    assert verdict.is_whole
    assert verdict.head == head
    assert head.sequence == 4


def test_the_digest_is_the_published_one() -> None:
    entries, _ = chain(b"a")
    # printf 'ohmesh conflict log 1\0' + 32 zero bytes + 8 bytes of 1 + 'a' | sha256sum
    assert read_link(entries[0][1]).digest.hex() == DIGEST_OF_A
    assert read_link(entries[0][1]).previous == NO_DIGEST


@pytest.mark.parametrize("place", range(4))
def test_a_changed_body_is_named(place: int) -> None:
    entries, head = chain(*BODIES)
    entries[place] = (place + 1, changed(entries[place][1], body=b"x"))
    verdict = verify_chain(entries, head)
    assert (verdict.is_whole, verdict.sequence) == (False, place + 1)


@pytest.mark.parametrize("place", range(4))
def test_a_changed_link_is_named(place: int) -> None:
    entries, head = chain(*BODIES)
    entries[place] = (place + 1, changed(entries[place][1], previous=b"\1" * 32))
    verdict = verify_chain(entries, head)
    assert not verdict.is_whole
    # Of the last one nothing follows that would tell it from the one before; both are named as a pair.
    assert verdict.sequence == (place + 1 if place < 3 else 3)


def test_a_missing_one_a_moved_one_and_one_that_is_none_are_named() -> None:
    entries, head = chain(*BODIES)
    assert verify_chain(entries[:1] + entries[2:], head).sequence == 2
    moved = [entries[0], (2, entries[2][1]), (3, entries[1][1]), entries[3]]
    assert verify_chain(moved, head).sequence == 2
    assert verify_chain([entries[0], (2, b"\xc1"), *entries[2:]], head).sequence == 2


def test_an_end_that_was_cut_off_is_found_by_the_noted_head() -> None:
    entries, head = chain(*BODIES)
    verdict = verify_chain(entries[:2], head)
    assert not verdict.is_whole
    assert verdict.sequence == 3
    assert "3 to 4" in verdict.why
    assert verify_chain(entries[:2]).is_whole


def test_an_end_that_was_written_anew_is_found_by_the_noted_head() -> None:
    entries, head = chain(*BODIES)
    other, _ = chain(b"a", b"b", b"x", b"y")
    assert verify_chain(other).is_whole
    assert not verify_chain(other, head).is_whole
    assert len(entries) == len(other)


def test_a_page_is_verified_from_the_head_before_it() -> None:
    entries, head = chain(*BODIES)
    half = verify_chain(entries[:2]).head
    assert verify_chain(entries[2:], head, after=half).is_whole
    assert not verify_chain(entries[2:], head, after=Head(2, b"\2" * 32)).is_whole


def test_an_entry_of_another_version_is_refused() -> None:
    with pytest.raises(InvalidArgument):
        read_link(msgspec.msgpack.encode(Link(9, 1, NO_DIGEST, b"")))


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=8), st.data())
def test_any_changed_body_is_found(bodies: list[bytes], data: st.DataObject) -> None:
    entries, head = chain(*bodies)
    place = data.draw(st.integers(0, len(bodies) - 1))
    body = data.draw(st.binary(max_size=8).filter(lambda one: one != bodies[place]))
    entries[place] = (place + 1, changed(entries[place][1], body=body))
    assert verify_chain(entries, head).sequence == place + 1


DIGEST_OF_A = "8b99d1ef7834cb7ebb552705b8e9da940c8d72dddd2ce86e4f33d289325a431f"
