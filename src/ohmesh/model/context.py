"""A context: what an agent goes by, as entries of a name and bytes. It is versioned, and named by what it holds.

    content   the entries, ordered by name; its name is the BLAKE2b hash of them
    version   a content and the versions that it came from; its name is the hash of that

So the same entries are one content wherever they are, and the same version means the same entries with the same past.
A version has no parent (the first), one (a change) or two (a merge). Its mark, the first 8 bytes of its name, travels
in every heartbeat. BLAKE2b: RFC 7693, with a `person` for each of the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from ohmesh.errors import InvalidArgument

HASH_BYTES = 32
MARK_BYTES = 8
MAX_PARENTS = 2
MAX_ENTRIES = 10_000
MAX_CONTEXT_BYTES = 262_144
MAX_KEY_LENGTH = 256

Hash = Annotated[bytes, Meta(min_length=HASH_BYTES, max_length=HASH_BYTES)]
Key = Annotated[str, Meta(min_length=1, max_length=MAX_KEY_LENGTH)]
Entries = Mapping[str, bytes]

_CONTENT_PERSON = b"ohmesh content"
_VERSION_PERSON = b"ohmesh context"
_encode = msgspec.msgpack.Encoder().encode
_decode_entries = msgspec.msgpack.Decoder(
    Annotated[list[tuple[Key, bytes]], Meta(max_length=MAX_ENTRIES)]
).decode


class ContextVersion(Struct, array_like=True, frozen=True):
    """parents: names of the versions that it came from, ascending. content: the name of what it holds."""

    parents: Annotated[tuple[Hash, ...], Meta(max_length=MAX_PARENTS)]
    content: Hash

    @property
    def hash(self) -> bytes:
        """Its name, 32 bytes."""
        person = _VERSION_PERSON
        return blake2b(
            _encode([list(self.parents), self.content]), digest_size=HASH_BYTES, person=person
        ).digest()


def version_of(content: bytes, *parents: bytes) -> ContextVersion:
    """`content` encoded, parents in any order."""
    return ContextVersion(tuple(sorted(set(parents))), hash_content(content))


def hash_content(content: bytes) -> bytes:
    return blake2b(content, digest_size=HASH_BYTES, person=_CONTENT_PERSON).digest()


def mark_of(version: bytes) -> int:
    """The first 8 bytes of its name as columns hold them; 0 for no context."""
    return int.from_bytes(version[:MARK_BYTES], "big") if version else 0


def mark_text(mark: int) -> str:
    """16 hexadecimal digits, as a registry shows it; "" for no context."""
    return mark.to_bytes(MARK_BYTES, "big").hex() if mark else ""


def encode_content(entries: Entries) -> bytes:
    """The same bytes for the same entries. Raises InvalidArgument: too many, too large, a key that cannot be one."""
    if len(entries) > MAX_ENTRIES:
        raise InvalidArgument(f"A context of {len(entries)} entries; at most {MAX_ENTRIES}.")
    for key in entries:
        if not 0 < len(key) <= MAX_KEY_LENGTH:
            raise InvalidArgument(
                f"A context cannot have the key {key[:40]!r}: 1 to {MAX_KEY_LENGTH} characters."
            )
    data = _encode(sorted(entries.items()))
    if len(data) > MAX_CONTEXT_BYTES:
        raise InvalidArgument(
            f"A context of {len(data)} bytes; at most {MAX_CONTEXT_BYTES}.",
            hint="Keep what is large in a blob, and its key in the context.",
        )
    return data


def decode_content(content: bytes) -> dict[str, bytes]:
    """Raises InvalidArgument: not what `encode_content` made."""
    if len(content) > MAX_CONTEXT_BYTES:
        raise InvalidArgument(f"A context of {len(content)} bytes; at most {MAX_CONTEXT_BYTES}.")
    try:
        pairs = _decode_entries(content)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"A context of {len(content)} bytes cannot be read: {error}.") from error
    entries = dict(pairs)
    if list(entries.items()) != sorted(pairs):
        raise InvalidArgument("The entries of a context are not in order, or one stands there twice.")
    return entries
