"""Ed25519 as RFC 8032 defines it, in integers: slow, plain, and able to make what a careful library never would."""

from __future__ import annotations

from hashlib import sha512

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P

Point = tuple[int, int]
NEUTRAL: Point = (0, 1)


def add(one: Point, other: Point) -> Point:
    (x1, y1), (x2, y2) = one, other
    product = D * x1 * x2 * y1 * y2 % P
    x3 = (x1 * y2 + x2 * y1) * pow(1 + product, -1, P)
    y3 = (y1 * y2 + x1 * x2) * pow(1 - product, -1, P)
    return x3 % P, y3 % P


def multiply(scalar: int, point: Point) -> Point:
    result = NEUTRAL
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def negate(point: Point) -> Point:
    return -point[0] % P, point[1]


def encode(point: Point) -> bytes:
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def decode(data: bytes) -> Point:
    """Of what is not canonical, too; ValueError where there is no such point."""
    number = int.from_bytes(data, "little")
    y, sign = (number & (1 << 255) - 1) % P, number >> 255
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x * x % P != square:
        raise ValueError("no point")
    return (-x % P if x & 1 != sign else x), y


def hash_number(*parts: bytes) -> int:
    return int.from_bytes(sha512(b"".join(parts)).digest(), "little")


def satisfies(public: bytes, signature: bytes, message: bytes, cofactor: int = 1) -> bool:
    """S B = R + h A, both sides times `cofactor`; h is taken modulo the order of B, as libraries do, S as it is."""
    h = hash_number(signature[:32], public, message)
    s = int.from_bytes(signature[32:], "little")
    left = multiply(s, BASE)
    right = add(decode(signature[:32]), multiply(h % L, decode(public)))
    return multiply(cofactor, left) == multiply(cofactor, right)


BASE = decode(bytes.fromhex("5866666666666666666666666666666666666666666666666666666666666666"))
ORDER_EIGHT = decode(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"))
SMALL = [multiply(times, ORDER_EIGHT) for times in range(8)]
