"""A fixture for pytest: `pytest_plugins = ["ohmesh.testing.pytest_plugin"]` in your conftest.py, and

    def test_shouting(ohmesh_mesh):
        mesh = ohmesh_mesh([shout])
        assert mesh.call("shout", "hello") == "HELLO"

It is named by whoever wants it and not loaded by itself: no other test run pays for its imports.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Protocol

import pytest

from ohmesh.mesh.opening import Agent
from ohmesh.mesh.sync_mesh import Mesh
from ohmesh.testing.in_memory import sync_mesh


class OpenMesh(Protocol):
    """What the fixture gives: the parameters of `testing.sync_mesh`."""

    def __call__(self, agents: Sequence[Agent] = (), *, workers: int = 1) -> Mesh: ...


@pytest.fixture
def ohmesh_mesh() -> Iterator[OpenMesh]:
    """Call it with agents: a Mesh that runs them in memory. Every mesh is closed when the test ends."""
    with ExitStack() as opened:

        def open_mesh(agents: Sequence[Agent] = (), *, workers: int = 1) -> Mesh:
            return opened.enter_context(sync_mesh(agents, workers=workers))

        yield open_mesh
