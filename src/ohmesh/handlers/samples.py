"""Small pure functions that the kind `function` may always call: something to try a new mesh with."""

from __future__ import annotations

from collections import Counter


def add(first: float, second: float) -> float:
    return first + second


def count_words(text: str) -> dict[str, int]:
    """How often each word occurs, in lower case, the most frequent first."""
    words = (word.strip(".,;:!?\"'()").lower() for word in text.split())
    return dict(Counter(word for word in words if word).most_common())
