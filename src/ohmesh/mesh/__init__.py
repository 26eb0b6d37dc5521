"""The Python door: `AsyncMesh`, and `Mesh`, which is an AsyncMesh in a thread of its own.

    with Mesh.connect() as mesh:                      # the mesh that `ohmesh up` started here, or connect(url)
        print(mesh.call("text", "What a lovely day"))
        handles = [mesh.submit_nowait("text", line) for line in lines]
        print([handle.result() for handle in handles])

    async with AsyncMesh.connect() as mesh:           # the same names, awaited
        print(await mesh.call("text", "What a lovely day"))

What is not one of our keywords is passed to the task's function. An argument of yours that is named like one of ours
(priority, timeout, retries, delay, key, requires) is given by position.
"""

from __future__ import annotations

from ohmesh.mesh.async_mesh import AsyncMesh
from ohmesh.mesh.sync_mesh import Handle, Mesh

__all__ = ["AsyncMesh", "Handle", "Mesh"]
