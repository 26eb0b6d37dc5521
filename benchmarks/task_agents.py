"""The trivial task of benchmarks/tasks.py: two integers and 200 bytes."""

from __future__ import annotations

from ohmesh import agent


@agent(kind="add")
def add(left: int, right: int, text: str) -> int:
    return left + right


@agent(kind="add-item")
def add_item(item: list[object]) -> object:
    """The same as one argument, as `map` gives it."""
    left, right, _ = item
    return left + right  # type: ignore[operator]  # integers, by the benchmark


@agent(kind="add-pair")
def add_pair(left: int, right: int) -> int:
    """Two small integers and nothing else."""
    return left + right
