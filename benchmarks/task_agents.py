"""The trivial task of benchmarks/tasks.py: two integers and 200 bytes."""

from __future__ import annotations

from ohmesh import agent


@agent(kind="add")
def add(left: int, right: int, text: str) -> int:
    return left + right
