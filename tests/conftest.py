"""What every test may lean on: a way to run coroutines, waiting without sleeping, and a guard of the event loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from blockbuster import BlockBuster
from hypothesis import settings

T = TypeVar("T")

TESTS = Path(__file__).resolve().parent
GUARDED = (TESTS / "unit" / "roles", TESTS / "simulation")
RUN_TIMEOUT_S = 60.0

# Every run draws others, so what fifty miss the next fifty may find; `make soak` draws many at once.
EXAMPLES = 1_000 if os.environ.get("OHMESH_SOAK") == "1" else 50

settings.register_profile("ohmesh", deadline=None, print_blob=True, max_examples=EXAMPLES)
settings.load_profile("ohmesh")


@pytest.fixture
def run() -> Callable[[Coroutine[Any, Any, T]], T]:
    """`run(coroutine)` in a new event loop; what has not ended within a minute fails with the stack it waits in."""

    def run(coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run(bounded(coroutine))

    async def bounded(coroutine: Coroutine[Any, Any, T]) -> T:
        async with asyncio.timeout(RUN_TIMEOUT_S):
            return await coroutine

    return run


@pytest.fixture(autouse=True)
def loop_is_never_blocked(request: pytest.FixtureRequest) -> Iterator[None]:
    """Roles are asyncio all the way: what blocks below a role fails its test."""
    if not any(request.path.is_relative_to(folder) for folder in GUARDED):
        yield
        return
    guard = BlockBuster("ohmesh.roles")
    guard.activate()
    try:
        yield
    finally:
        guard.deactivate()
