"""The verbs about a fleet as a Mesh has them."""

from __future__ import annotations

from ohmesh.mesh.async_mesh import AsyncMesh
from ohmesh.mesh.mirroring import mirrored


class FleetMirror:
    fleet = mirrored(AsyncMesh.fleet)
    fleet_agents = mirrored(AsyncMesh.fleet_agents)
    fleet_best = mirrored(AsyncMesh.fleet_best)
    fleet_sectors = mirrored(AsyncMesh.fleet_sectors)
    fleet_clusters = mirrored(AsyncMesh.fleet_clusters)
    ping = mirrored(AsyncMesh.ping)
    broadcast = mirrored(AsyncMesh.broadcast)
    ask = mirrored(AsyncMesh.ask)
    delegate = mirrored(AsyncMesh.delegate)
    cascade = mirrored(AsyncMesh.cascade)
    start_operation = mirrored(AsyncMesh.start_operation)
    operations = mirrored(AsyncMesh.operations)
    operation = mirrored(AsyncMesh.operation)
    wait_operation = mirrored(AsyncMesh.wait_operation)
    fleet_trend = mirrored(AsyncMesh.fleet_trend)
    fleet_failures = mirrored(AsyncMesh.fleet_failures)
    fleet_breakers = mirrored(AsyncMesh.fleet_breakers)
    fleet_open_breaker = mirrored(AsyncMesh.fleet_open_breaker)
    fleet_close_breaker = mirrored(AsyncMesh.fleet_close_breaker)
    runbook_daily = mirrored(AsyncMesh.runbook_daily)
    runbook_sector = mirrored(AsyncMesh.runbook_sector)
    runbook_add_agents = mirrored(AsyncMesh.runbook_add_agents)
