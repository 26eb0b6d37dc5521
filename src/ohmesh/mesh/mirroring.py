"""How a Mesh has the methods of an AsyncMesh."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

if TYPE_CHECKING:
    from ohmesh.mesh.async_mesh import AsyncMesh
    from ohmesh.mesh.sync_mesh import Mesh

P = ParamSpec("P")
R = TypeVar("R")


def mirrored(
    method: Callable[Concatenate[AsyncMesh, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[Mesh, P], R]:
    """The method of the same name and parameters that returns what the other one would have been awaited for."""

    @functools.wraps(method)
    def call(self: Mesh, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.background.run(method(self.mesh, *args, **kwargs))

    return call
