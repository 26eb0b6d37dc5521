"""The verbs that look after a fleet as methods: AsyncMesh has them, and Mesh mirrors them."""

from __future__ import annotations

from ohmesh.model.fleet_breaker import BreakersPage
from ohmesh.model.fleet_failure import FailuresPage
from ohmesh.model.fleet_trend import TrendPage
from ohmesh.operations import breakers, trends
from ohmesh.operations.parameter import parse_arguments
from ohmesh.operations.runbook import RunbookReport
from ohmesh.operations.runbook_arguments import AddAgents, DailyCheck, SilentSector
from ohmesh.operations.runbook_daily import daily
from ohmesh.operations.runbook_growth import add_agents
from ohmesh.operations.runbook_sector import silent_sector
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

    async def fleet_failures(self) -> FailuresPage:
        """Agents that fail, the class of each failure, and what is done about it."""
        return await breakers.fleet_failures(self.client, breakers.FleetFailures())

    async def fleet_breakers(self) -> BreakersPage:
        """Breakers of clusters, sectors and the mesh that are not closed."""
        return await breakers.fleet_breakers(self.client, breakers.FleetBreakers())

    async def fleet_open_breaker(self, part: str) -> BreakersPage:
        """Of a cluster ("s007.c04"), a sector ("s007") or the whole ("mesh"): nobody there is asked anything."""
        return await breakers.open_breaker(self.client, _part(part))

    async def fleet_close_breaker(self, part: str) -> BreakersPage:
        return await breakers.close_breaker(self.client, _part(part))

    async def runbook_daily(self, *, dry_run: bool = False) -> RunbookReport:
        """The health of the fleet, point by point; it changes nothing."""
        return await daily(self.client, DailyCheck(dry_run=dry_run))

    async def runbook_sector(self, sector: str, *, dry_run: bool = False) -> RunbookReport:
        """Bring a sector ("s007") back that does not answer; what is in order is left alone."""
        given = {"sector": sector, "dry_run": dry_run}
        return await silent_sector(self.client, parse_arguments(SilentSector, given, strict=True))

    async def runbook_add_agents(
        self, count: int, *, own: bool = False, wait: float = 60.0, key: str = "", dry_run: bool = False
    ) -> RunbookReport:
        """Simulated agents are started; own: places for agents of yours, which are waited for so long. The same key
        goes on where it was."""
        given = {"count": count, "own": own, "wait_s": wait, "key": key, "dry_run": dry_run}
        return await add_agents(self.client, parse_arguments(AddAgents, given, strict=True))


def _part(part: str) -> breakers.BreakerPart:
    return parse_arguments(breakers.BreakerPart, {"part": part}, strict=True)
