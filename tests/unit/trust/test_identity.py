"""Identities: the vectors of RFC 8032, and signatures that other verifiers would take."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import InvalidArgument
from ohmesh.trust.identity import Identity, is_signed_by
from ohmesh.trust.public_key import checked_public_key
from tests.unit.trust import curve

# Section 7.1 of RFC 8032, tests 1 to 3: seed, public key, message, signature.
VECTORS = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]  # fmt: skip

A_NUMBER = 0x1234567 * 8 + 3  # a private scalar, as good as any
ONE = Identity.from_seed("one", bytes(32))


@pytest.mark.parametrize(("seed", "public", "message", "signature"), VECTORS)
def test_the_vectors_of_the_standard_come_out(seed: str, public: str, message: str, signature: str) -> None:
    identity = Identity.from_seed("one", bytes.fromhex(seed))
    assert identity.public_key.hex() == public
    assert identity.sign(bytes.fromhex(message)).hex() == signature
    assert is_signed_by(identity.public_key, bytes.fromhex(signature), bytes.fromhex(message))


@given(st.binary(max_size=100), st.integers(0, 8 * 64 - 1))
def test_a_signature_of_which_one_bit_is_another_proves_nothing(message: bytes, bit: int) -> None:
    signature = bytearray(ONE.sign(message))
    assert is_signed_by(ONE.public_key, bytes(signature), message)
    signature[bit // 8] ^= 1 << bit % 8
    assert not is_signed_by(ONE.public_key, bytes(signature), message)


@given(st.binary(min_size=1, max_size=100), st.data())
def test_a_message_of_which_one_bit_is_another_was_not_signed(message: bytes, data: st.DataObject) -> None:
    bit = data.draw(st.integers(0, 8 * len(message) - 1))
    altered = bytearray(message)
    altered[bit // 8] ^= 1 << bit % 8
    assert not is_signed_by(ONE.public_key, ONE.sign(message), bytes(altered))


@pytest.mark.parametrize("signature", [b"", bytes(63), bytes(65), b"\xff" * 64])
def test_what_is_no_signature_proves_nothing(signature: bytes) -> None:
    assert not is_signed_by(ONE.public_key, signature, b"")


def shifted(times_l: int) -> Callable[[], tuple[bytes, bytes, bytes]]:
    """A good signature whose number has the order of the group added, so often: the same point, another text."""

    def make() -> tuple[bytes, bytes, bytes]:
        signature = ONE.sign(b"message")
        number = int.from_bytes(signature[32:], "little") + times_l * curve.L
        return ONE.public_key, signature[:32] + number.to_bytes(32, "little"), b"message"

    return make


def crafted(
    public_small: int | None,
    nonce_small: int | None,
    *,
    cofactorless: bool,
    public_raw: bytes = b"",
    nonce_raw: bytes = b"",
) -> Callable[[], tuple[bytes, bytes, bytes]]:
    """A key a B + T and a nonce r B + U, with S = r + h a, so the equation holds times 8 always, and as it is when
    U + h T = 0. A part that is None has no B; `..._raw` is how it is written when not in its canonical way."""

    def make() -> tuple[bytes, bytes, bytes]:
        private = 0 if public_raw or public_small == -1 else A_NUMBER
        torsion = curve.decode(public_raw) if public_raw else curve.SMALL[abs(public_small or 0)]
        public_point = torsion if not private else curve.add(curve.multiply(private, curve.BASE), torsion)
        public = public_raw or curve.encode(public_point)
        for attempt in itertools.count():
            message = attempt.to_bytes(4, "little")
            nonce = 0 if nonce_raw or nonce_small == -1 else A_NUMBER + attempt
            part = (
                curve.decode(nonce_raw)
                if nonce_raw
                else curve.SMALL[attempt % 8 if nonce_small is None else abs(nonce_small)]
            )
            nonce_point = part if not nonce else curve.add(curve.multiply(nonce, curve.BASE), part)
            encoded = nonce_raw or curve.encode(nonce_point)
            h = curve.hash_number(encoded, public, message)
            number = (nonce + h * private) % curve.L
            signature = encoded + number.to_bytes(32, "little")
            if curve.satisfies(public, signature, message) == cofactorless:
                assert curve.satisfies(public, signature, message, cofactor=8)
                return public, signature, message
        raise AssertionError("unreachable")

    return make


NOT_CANONICAL_ONE = (curve.P + 1).to_bytes(32, "little")  # y = 1, the neutral point

# What "Taming the Many EdDSAs" tells verifiers apart by, made here. Only a mixed key with a mixed nonce whose parts
# cancel is taken: it is what a strict verifier without cofactor accepts.
CASES: dict[str, tuple[Callable[[], tuple[bytes, bytes, bytes]], bool]] = {
    "0 small key, small nonce": (crafted(-1, -1, cofactorless=True), False),
    "1 small key, mixed nonce": (crafted(-1, 3, cofactorless=True), False),
    "2 mixed key, small nonce": (crafted(1, -1, cofactorless=True), False),
    "3 mixed key, mixed nonce": (crafted(1, 3, cofactorless=True), True),
    "4 mixed, only times 8": (crafted(1, 3, cofactorless=False), False),
    "5 mixed, only times 8, another part": (crafted(5, 2, cofactorless=False), False),
    "6 number above the order": (shifted(1), False),
    "7 number far above the order": (shifted(13), False),
    "8 small nonce, not canonical": (crafted(0, None, cofactorless=True, nonce_raw=NOT_CANONICAL_ONE), False),
    "9 small key, not canonical": (crafted(None, 0, cofactorless=True, public_raw=NOT_CANONICAL_ONE), False),
}


@pytest.mark.parametrize("name", CASES)
def test_signatures_that_verifiers_disagree_about_are_judged_strictly(name: str) -> None:
    make, is_taken = CASES[name]
    public, signature, message = make()
    try:
        verdict = is_signed_by(checked_public_key(public), signature, message)
    except InvalidArgument:
        verdict = False
    assert verdict is is_taken


def test_an_identity_is_the_same_after_its_pem() -> None:
    again = Identity.from_pem("one", ONE.to_pem())
    assert again.public_key == ONE.public_key
    assert again.sign(b"x") == ONE.sign(b"x")


def pem_of(kind: str) -> bytes:
    key = (
        generate_private_key(SECP256R1()) if kind == "elliptic" else load_pem_private_key(ONE.to_pem(), None)
    )
    encryption = BestAvailableEncryption(b"secret") if kind == "encrypted" else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


@pytest.mark.parametrize(
    "pem", [b"", b"-----BEGIN PRIVATE KEY-----", pem_of("elliptic"), pem_of("encrypted")]
)
def test_a_pem_of_something_else_is_refused(pem: bytes) -> None:
    with pytest.raises(InvalidArgument, match="identity of 'one'"):
        Identity.from_pem("one", pem)


def test_the_private_key_shows_in_no_text() -> None:
    assert str(ONE) == repr(ONE) == f"Identity('one', key {ONE.key_id.hex()})"


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_seed_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(InvalidArgument, match="32 random bytes"):
        Identity.from_seed("one", bytes(size))
