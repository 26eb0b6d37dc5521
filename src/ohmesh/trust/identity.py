"""An identity: an Ed25519 key pair with the name of the process or agent whose it is.

The private key does not leave this object but as PEM, and shows in no text. Source: RFC 8032.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from ohmesh.errors import InvalidArgument
from ohmesh.trust.public_key import is_small_order, key_id

SEED_BYTES = 32
SIGNATURE_BYTES = 64


class Identity:
    def __init__(self, name: str, private: Ed25519PrivateKey) -> None:
        self.name = name
        self._private = private
        self.public_key = private.public_key().public_bytes_raw()
        self.key_id = key_id(self.public_key)

    @classmethod
    def from_seed(cls, name: str, seed: bytes) -> Identity:
        """`seed`: 32 bytes that nobody can guess; the same seed is the same identity. Raises InvalidArgument."""
        if len(seed) != SEED_BYTES:
            raise InvalidArgument(
                f"An identity is made of {SEED_BYTES} random bytes; {len(seed)} were given."
            )
        return cls(name, Ed25519PrivateKey.from_private_bytes(seed))

    @classmethod
    def from_pem(cls, name: str, pem: bytes) -> Identity:
        """Raises InvalidArgument: no Ed25519 private key in PEM, or an encrypted one."""
        try:
            private = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError) as error:
            raise InvalidArgument(f"The identity of {name!r} cannot be read: {error}.") from None
        if not isinstance(private, Ed25519PrivateKey):
            raise InvalidArgument(f"The identity of {name!r} is not an Ed25519 key.")
        return cls(name, private)

    def to_pem(self) -> bytes:
        """PKCS 8, not encrypted: for a file that only its owner may read."""
        return self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def sign(self, message: bytes) -> bytes:
        """64 bytes, always the same for the same message. What others sign for us must never be of their choosing: use
        `ohmesh.trust.statement`, which says what a signature is for."""
        return self._private.sign(message)

    def __repr__(self) -> str:
        return f"Identity({self.name!r}, key {self.key_id.hex()})"


def is_signed_by(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """`public_key`: one that was checked when it was enrolled."""
    if len(signature) != SIGNATURE_BYTES or is_small_order(signature[:32]):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
