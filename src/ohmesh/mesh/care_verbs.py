"""The verbs that look after a fleet as methods: AsyncMesh has them, and Mesh mirrors them."""

from __future__ import annotations

from ohmesh.model.fleet_trend import TrendPage
from ohmesh.operations import trends
from ohmesh.operations.parameter import parse_arguments
from ohmesh.roles.client import Client


class CareVerbs:
    """`client` is the role underneath."""

    client: Client

    async def fleet_trend(
        self, part: str = "mesh", *, since: str = "1h", until: str = "", step: str = ""
    ) -> TrendPage:
        """How the mesh, a sector ("s007") or a cluster ("s007.c04") has been, in columns. since, until: how long ago
        ("2h") or a time. step: "10s", "1min" or "1h"; without it the finest that reaches back so far."""
        given = {"part": part, "since": since, "until": until, "step": step}
        return await trends.fleet_trend(self.client, parse_arguments(trends.FleetTrend, given, strict=True))
