"""Which 32 bytes may be enrolled as an Ed25519 public key, and what names it.

A key of small order has signatures that fit many messages; one that is not written in its only canonical way is two
keys to whoever compares bytes. The library accepts both when it verifies (signatures of the same kind too), so they are
refused here: keys at enrolment, signatures before they are verified.
Sources: RFC 8032, section 5.1; Chalkias, Garillot and Nikolaenko, Taming the Many EdDSAs (2020), section 3.
"""

from __future__ import annotations

from hashlib import sha256

from ohmesh.errors import InvalidArgument

KEY_BYTES = 32
KEY_ID_BYTES = 16

_PRIME = 2**255 - 19
_D = -121665 * pow(121666, -1, _PRIME) % _PRIME
_Y_BITS = (1 << 255) - 1
_ORDER_EIGHT_Y = int.from_bytes(
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
)
# A point has an order of at most 8 exactly where its y is one of these.
_SMALL_ORDER_Y = frozenset((0, 1, _PRIME - 1, _ORDER_EIGHT_Y, _PRIME - _ORDER_EIGHT_Y))


def checked_public_key(key: bytes) -> bytes:
    """`key` itself. Raises InvalidArgument: not 32 bytes, not written canonically, of small order, or no point at
    all."""
    if len(key) != KEY_BYTES:
        raise _refused(key, f"it has {len(key)} bytes and not {KEY_BYTES}")
    y = int.from_bytes(key, "little") & _Y_BITS
    if y >= _PRIME:
        raise _refused(key, "it is not written in the canonical way")
    if y in _SMALL_ORDER_Y:
        raise _refused(key, "it has a small order, so its signatures prove nothing")
    if not _is_on_the_curve(y):
        raise _refused(key, "it is not a point of the curve")
    return key


def is_small_order(point: bytes) -> bool:
    """Whether these 32 bytes stand for a point of small order, written in whatever way."""
    return (int.from_bytes(point, "little") & _Y_BITS) % _PRIME in _SMALL_ORDER_Y


def key_id(key: bytes) -> bytes:
    """The first 16 bytes of the SHA-256 of a public key. It names the key, not its owner, who may have two for a
    while."""
    return sha256(key).digest()[:KEY_ID_BYTES]


def _is_on_the_curve(y: int) -> bool:
    """Whether (y^2 - 1) / (d y^2 + 1) is a square, which x^2 has to be (Euler's criterion)."""
    square = y * y % _PRIME
    return pow((square - 1) * (_D * square + 1) % _PRIME, (_PRIME - 1) // 2, _PRIME) == 1


def _refused(key: bytes, why: str) -> InvalidArgument:
    return InvalidArgument(
        f"The public key {key[:8].hex()}... cannot be enrolled: {why}.",
        hint="Make a new identity on that side, and enrol its key.",
    )
