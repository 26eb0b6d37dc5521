"""What somebody said, so that a third party can be convinced of it: signed bytes that travel and are kept as they are.

    0xC1 0x02, key id (16), signature (64), statement

`statement` is the MessagePack array [version, mesh, purpose, signer, stamp, payload]; the signature is over
"ohmesh statement 1" and a zero byte, the key id, and the statement byte for byte. Nothing is ever encoded again to
verify it, so it does not matter in which of many ways a writer encoded it. Purpose, mesh and signer are inside: a
vote is no heartbeat, and what was said in one mesh was not said in another. 0xC1 begins nothing else: MessagePack
never uses it.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from ohmesh.errors import NotTrusted
from ohmesh.model.hybrid_time import physical_ms
from ohmesh.trust.identity import SIGNATURE_BYTES, Identity, is_signed_by
from ohmesh.trust.key_ring import KeyRing
from ohmesh.trust.public_key import KEY_ID_BYTES

STATEMENT_VERSION = 1
STATEMENT_MARK = b"\xc1\x02"
MAX_NAME_LENGTH = 128

_DOMAIN = b"ohmesh statement 1\0"
_HEAD = len(STATEMENT_MARK) + KEY_ID_BYTES + SIGNATURE_BYTES

Name = Annotated[str, Meta(max_length=MAX_NAME_LENGTH)]


class Statement(Struct, array_like=True, frozen=True):
    """stamp: hybrid time of the saying. purpose: what the payload is, a word that its reader expects."""

    version: int
    mesh: Name
    purpose: Name
    signer: Name
    stamp: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
    payload: bytes


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Statement)


def sign_statement(identity: Identity, mesh: str, purpose: str, payload: bytes, *, stamp: int) -> bytes:
    said = _encode(Statement(STATEMENT_VERSION, mesh, purpose, identity.name, stamp, payload))
    signature = identity.sign(_DOMAIN + identity.key_id + said)
    return STATEMENT_MARK + identity.key_id + signature + said


def is_statement(data: bytes) -> bool:
    return data[:2] == STATEMENT_MARK


def open_statement(data: bytes, ring: KeyRing, mesh: str, purpose: str) -> Statement:
    """What was said, when it is proven. Whether its key counted is asked at the time of the statement, so that what was
    kept can be verified later; of what is heard just now, `check_recent` is to be asked as well.

    Raises NotTrusted: anything of it is not as it should be."""
    if len(data) <= _HEAD or not is_statement(data):
        raise NotTrusted(f"{len(data)} bytes are no signed statement.")
    identifier, signature, said = data[2:18], data[18:_HEAD], data[_HEAD:]
    try:
        statement = _decoder.decode(said)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NotTrusted(f"A signed statement of {len(said)} bytes cannot be read: {error}.") from error
    key = ring.key(identifier, physical_ms(statement.stamp))
    if not is_signed_by(key.public_key, signature, _DOMAIN + identifier + said):
        raise NotTrusted(
            f"The signature by the key {identifier.hex()} of {key.name!r} does not fit what was said."
        )
    found = (statement.version, statement.mesh, statement.purpose, statement.signer)
    wanted = (STATEMENT_VERSION, mesh, purpose, key.name)
    if found != wanted:
        raise NotTrusted(f"What was signed is {found!r}; {wanted!r} was expected.")
    return statement


def check_recent(statement: Statement, now_ms: int, max_age_ms: int) -> None:
    """Raises NotTrusted: it was said too long ago, or will be; a replay, or by a key that has ended since."""
    said_ms = physical_ms(statement.stamp)
    if abs(now_ms - said_ms) > max_age_ms:
        raise NotTrusted(
            f"{statement.signer!r} signed this {now_ms - said_ms} ms ago, by the stamp; {max_age_ms} are allowed."
        )
