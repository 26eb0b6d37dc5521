"""Randomness, as roles may see it: ids, jitter, nonces. The simulator's comes from its seed."""

from __future__ import annotations

import random
from typing import Protocol


class Entropy(Protocol):
    def bits(self, count: int) -> int:
        """A non-negative integer of `count` random bits."""
        ...

    def rng(self) -> random.Random:
        """A new generator, seeded from this source, for a protocol or policy to draw from."""
        ...
