"""A chain of hashes over the conflict log: whoever changes, drops, adds or moves an entry is found, and where.

    digest(n) = SHA-256("ohmesh conflict log 1" 0x00, digest(n - 1), sequence (8 bytes, big-endian), body)

The first entry follows 32 zero bytes. An entry holds its predecessor's digest and its own body, byte for byte as they
were hashed. A chain proves only that it was not changed after its head was noted elsewhere, so cutting off its end is
found by comparing with a head that is kept apart. Source: Haber and Stornetta, How to Time-Stamp a Digital Document
(1991), section 5.1.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

import msgspec
from msgspec import Struct

from ohmesh.errors import InvalidArgument

NO_DIGEST = bytes(32)
_DOMAIN = b"ohmesh conflict log 1\0"


class Link(Struct, array_like=True, frozen=True):
    """previous: digest of the entry before. body: any bytes."""

    version: int
    sequence: int
    previous: bytes
    body: bytes

    @property
    def digest(self) -> bytes:
        return sha256(_DOMAIN + self.previous + self.sequence.to_bytes(8, "big") + self.body).digest()


class Head(Struct, array_like=True, frozen=True):
    """The end of a chain; sequence 0 is an empty one."""

    sequence: int = 0
    digest: bytes = NO_DIGEST


class ChainVerdict(Struct, frozen=True):
    """sequence: of the first entry that is wrong, 0 where the chain is whole. head: of the last entry that was read
    before that was seen."""

    is_whole: bool
    head: Head
    sequence: int = 0
    why: str = ""


LINK_VERSION = 1
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Link).decode


def link_after(head: Head, body: bytes) -> tuple[bytes, Head]:
    """The bytes to append, and the head once they are there."""
    link = Link(LINK_VERSION, head.sequence + 1, head.digest, body)
    return _encode(link), Head(link.sequence, link.digest)


def read_link(data: bytes) -> Link:
    """Raises InvalidArgument."""
    try:
        link = _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"{len(data)} bytes are no entry of a conflict log: {error}.") from error
    if link.version != LINK_VERSION or link.sequence < 1 or len(link.previous) != len(NO_DIGEST):
        raise InvalidArgument(f"An entry of version {link.version} with sequence {link.sequence} is none.")
    return link


def verify_chain(
    entries: Iterable[tuple[int, bytes]], head: Head | None = None, *, after: Head | None = None
) -> ChainVerdict:
    """(sequence in the log, bytes), ascending, from the entry after `after` on; the whole chain without it.
    head: the end that was noted elsewhere; a chain that ends before it, or passes by it, is wrong."""
    at = after or Head()
    entries = list(entries)
    for place, (sequence, data) in enumerate(entries):
        if sequence != at.sequence + 1:
            return ChainVerdict(False, at, at.sequence + 1, f"Entry {at.sequence + 1} is missing.")
        try:
            link = read_link(data)
        except InvalidArgument as error:
            return ChainVerdict(False, at, sequence, str(error))
        if link.sequence != sequence:
            return ChainVerdict(False, at, sequence, f"It was written as entry {link.sequence}.")
        if link.previous != at.digest:
            return _broken(at, link, entries[place + 1 : place + 2])
        at = Head(sequence, link.digest)
        if head is not None and sequence == head.sequence and link.digest != head.digest:
            return ChainVerdict(False, at, sequence, "It is not the one whose digest was noted as the head.")
    if head is not None and at.sequence < head.sequence:
        return ChainVerdict(
            False, at, at.sequence + 1, f"Entries {at.sequence + 1} to {head.sequence} are cut off."
        )
    return ChainVerdict(True, at)


def _broken(at: Head, link: Link, following: list[tuple[int, bytes]]) -> ChainVerdict:
    """`link` does not follow `at`. Where the entry after it was written after exactly this link, the one before is
    not the one that was written."""
    sequence = link.sequence
    if sequence == 1:
        return ChainVerdict(False, at, 1, "The first entry follows another one.")
    try:
        is_kept = not following or read_link(following[0][1]).previous == link.digest
    except InvalidArgument:
        is_kept = True
    if is_kept:
        why = f"Entry {sequence} was written after another one."
        return ChainVerdict(False, at, sequence - 1, why)
    return ChainVerdict(
        False, at, sequence, f"It does not follow entry {sequence - 1}, nor does the next follow it."
    )
