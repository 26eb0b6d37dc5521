"""The verbs of StateVerbs as Mesh has them."""

from __future__ import annotations

from ohmesh.mesh.async_mesh import AsyncMesh
from ohmesh.mesh.mirroring import mirrored


class MirroredStateVerbs:
    """Part of Mesh: the same names and parameters, without an event loop."""

    freeze = mirrored(AsyncMesh.freeze)
    thaw = mirrored(AsyncMesh.thaw)
    drain = mirrored(AsyncMesh.drain)
    avoid = mirrored(AsyncMesh.avoid)
    release = mirrored(AsyncMesh.release)
    heal = mirrored(AsyncMesh.heal)
    fleet_context = mirrored(AsyncMesh.fleet_context)
    set_context = mirrored(AsyncMesh.set_context)
    merge_context = mirrored(AsyncMesh.merge_context)
    verify_context = mirrored(AsyncMesh.verify_context)
    sync_context = mirrored(AsyncMesh.sync_context)
    restore_context = mirrored(AsyncMesh.restore_context)
