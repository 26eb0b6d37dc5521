"""The port Entropy from a seed. Streams are independent by name: one more process does not shift the others' draws."""

from __future__ import annotations

import random


def stream(seed: int, name: str) -> random.Random:
    """A generator that depends on nothing but `seed` and `name` (a string seed is hashed by SHA-512, not by hash())."""
    return random.Random(f"{seed}/{name}")


class SimulatedEntropy:
    def __init__(self, seed: int, name: str) -> None:
        self._source = stream(seed, name)

    def bits(self, count: int) -> int:
        return self._source.getrandbits(count)

    def rng(self) -> random.Random:
        return random.Random(self._source.getrandbits(128))
