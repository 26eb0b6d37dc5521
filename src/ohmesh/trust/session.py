"""A session between two identities: fresh keys that only these two know, each direction its own.

    initiator                                   responder
    hello: ephemeral key, nonce, responder  ->
                                            <-  welcome: ephemeral key, hash of the hello

Both are signed statements, so each side proves its name; the welcome names the hello, so neither can be put together
with another. Keys come from X25519 by HKDF-SHA256 over the hash of both messages, and are gone with the process: who
steals an identity later reads nothing of it and cannot speak in it. That the initiator lives is known with its first
sealed frame, so a responder keeps an older session until then.
Sources: Krawczyk, SIGMA (2003), section 5; RFC 7748, section 6.1; RFC 5869.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Annotated, TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Meta, Struct

from ohmesh.errors import NotTrusted
from ohmesh.trust.identity import Identity
from ohmesh.trust.key_ring import KeyRing
from ohmesh.trust.statement import Statement, check_recent, open_statement, sign_statement

HELLO = "session hello"
WELCOME = "session welcome"
SESSION_KEY_BYTES = 32
SESSION_ID_BYTES = 8
MAX_AGE_MS = 30_000

_INFO = b"ohmesh session 1"
Bytes32 = Annotated[bytes, Meta(min_length=32, max_length=32)]


Content = TypeVar("Content")


class Hello(Struct, array_like=True, frozen=True):
    """responder: whom it is for."""

    responder: str
    ephemeral: Bytes32
    nonce: Bytes32


class Welcome(Struct, array_like=True, frozen=True):
    """hello: SHA-256 of the hello as it arrived."""

    initiator: str
    ephemeral: Bytes32
    hello: Bytes32


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """What `ohmesh.trust.seal` works with. peer: the proven name of the other side."""

    peer: str
    session_id: bytes
    sending: bytes = field(repr=False)
    receiving: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Party:
    """One side: who it is, in which mesh, and whom it believes."""

    identity: Identity
    mesh: str
    ring: KeyRing
    max_age_ms: int = MAX_AGE_MS


class PendingSession:
    """An initiator that has said `hello`, and waits for its welcome. `secret`, `nonce`: 32 random bytes each, never
    used twice. `stamp`: hybrid time now."""

    def __init__(self, party: Party, responder: str, secret: bytes, nonce: bytes, *, stamp: int) -> None:
        self._party = party
        self._responder = responder
        self._private = X25519PrivateKey.from_private_bytes(secret)
        hello = Hello(responder, self._private.public_key().public_bytes_raw(), nonce)
        self.hello = sign_statement(
            party.identity, party.mesh, HELLO, msgspec.msgpack.encode(hello), stamp=stamp
        )

    def finish(self, welcome: bytes, now_ms: int) -> SessionKeys:
        """Raises NotTrusted: the welcome is not one of the responder to this hello."""
        statement, content = _opened(self._party, welcome, WELCOME, Welcome, now_ms)
        found = (statement.signer, content.initiator, content.hello)
        if found != (self._responder, self._party.identity.name, sha256(self.hello).digest()):
            raise NotTrusted(f"The welcome of {statement.signer!r} does not answer this hello.")
        shared = _exchange(self._private, content.ephemeral, statement.signer)
        session_id, first, second = _derive(shared, self.hello, welcome)
        return SessionKeys(statement.signer, session_id, sending=first, receiving=second)


def welcome_session(
    party: Party, hello: bytes, secret: bytes, *, stamp: int, now_ms: int
) -> tuple[SessionKeys, bytes]:
    """A responder's keys, and the welcome to send. `secret`: 32 random bytes, never used twice.

    Raises NotTrusted: the hello is not one of an enrolled identity to this one, just now."""
    statement, content = _opened(party, hello, HELLO, Hello, now_ms)
    if content.responder != party.identity.name:
        raise NotTrusted(f"The hello of {statement.signer!r} is for {content.responder!r}.")
    private = X25519PrivateKey.from_private_bytes(secret)
    shared = _exchange(private, content.ephemeral, statement.signer)
    answer = Welcome(statement.signer, private.public_key().public_bytes_raw(), sha256(hello).digest())
    welcome = sign_statement(party.identity, party.mesh, WELCOME, msgspec.msgpack.encode(answer), stamp=stamp)
    session_id, first, second = _derive(shared, hello, welcome)
    return SessionKeys(statement.signer, session_id, sending=second, receiving=first), welcome


def _opened(
    party: Party, data: bytes, purpose: str, kind: type[Content], now_ms: int
) -> tuple[Statement, Content]:
    statement = open_statement(data, party.ring, party.mesh, purpose)
    check_recent(statement, now_ms, party.max_age_ms)
    try:
        return statement, msgspec.msgpack.decode(statement.payload, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise NotTrusted(f"What {statement.signer!r} signed cannot be read: {error}.") from error


def _exchange(private: X25519PrivateKey, ephemeral: bytes, peer: str) -> bytes:
    try:
        return private.exchange(X25519PublicKey.from_public_bytes(ephemeral))
    except ValueError as error:  # the result is all zeros: a point of small order
        raise NotTrusted(f"The ephemeral key of {peer!r} cannot be used.") from error


def _derive(shared: bytes, hello: bytes, welcome: bytes) -> tuple[bytes, bytes, bytes]:
    """Session id, key of the initiator's direction, key of the responder's."""
    salt = sha256(sha256(hello).digest() + sha256(welcome).digest()).digest()
    length = SESSION_ID_BYTES + 2 * SESSION_KEY_BYTES
    material = HKDF(SHA256(), length, salt, _INFO).derive(shared)
    return (
        material[:SESSION_ID_BYTES],
        material[SESSION_ID_BYTES:-SESSION_KEY_BYTES],
        material[-SESSION_KEY_BYTES:],
    )
