"""The verbs about conflicts as a Mesh has them."""

from __future__ import annotations

from ohmesh.mesh.async_mesh import AsyncMesh
from ohmesh.mesh.mirroring import mirrored


class ConflictMirror:
    conflicts = mirrored(AsyncMesh.conflicts)
    conflict = mirrored(AsyncMesh.conflict)
    resolve_conflict = mirrored(AsyncMesh.resolve_conflict)
    verify_conflicts = mirrored(AsyncMesh.verify_conflicts)
