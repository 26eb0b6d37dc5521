"""The daily health check: it reads, changes nothing, and says of each point what it saw."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from ohmesh.model.conflict_request import MAX_LISTED_CONFLICTS, ConflictsPage, ListConflicts
from ohmesh.model.fleet_breaker import AskBreakers, BreakersPage
from ohmesh.model.fleet_reading import AgentsPage, FleetDescription, ScopesPage
from ohmesh.model.fleet_request import DescribeFleet, ListAgents, ListScopes
from ohmesh.model.fleet_trend import AskTrend, TrendPage
from ohmesh.operations.conflict_results import ConflictView, view_of
from ohmesh.operations.runbook import Procedure, RunbookReport, Seen, attention, not_set_up, ok
from ohmesh.operations.runbook_arguments import DailyCheck
from ohmesh.roles.client import Client

DAY_MS = 86_400_000
CRITICAL = 3  # of the priorities of conflicts, 3 and 4
A_PATTERN = 3
DRIFTING = 0.5
RISEN = 1.5
CHURN = 0.05
SLOW = "flag=degraded and state=active and not class=human"
UNSTABLE = "flag=unstable and state=active"


class DailyHealth:
    def __init__(self, client: Client) -> None:
        self._client = client
        self._conflicts: list[ConflictView] = []

    async def run(self, arguments: DailyCheck) -> RunbookReport:
        procedure = Procedure("daily", is_dry_run=arguments.dry_run)
        for step, purpose, work in (
            ("breakers", "look for breakers that are open", self._breakers),
            (
                "conflict trend",
                "compare the conflicts of the last day with the day before",
                self._conflict_trend,
            ),
            ("critical conflicts", "list unresolved conflicts of priority 3 and 4", self._critical),
            (
                "conflict patterns",
                "group the last day's conflicts by type and by who is blamed",
                self._patterns,
            ),
            ("churn", "compare who is there with the last day", self._churn),
            (
                "drifting clusters",
                "find clusters whose drift is high or whose impedance has risen",
                self._drifting,
            ),
            ("slow agents", "find agents whose score stays above 800", self._slow),
            ("backups", "look whether the last backup is current", self._backups),
        ):
            await procedure.do(step, purpose, work)
        return procedure.report()

    async def _breakers(self) -> Seen:
        page = await self._client.fleet.ask(AskBreakers(), BreakersPage)
        if not page.breakers:
            return ok("every breaker is closed")
        found = [f"{one.part} {one.state}" for one in page.breakers]
        return attention(f"{len(found)} are not closed: {', '.join(found[:3])}", *found)

    async def _conflict_trend(self) -> Seen:
        now_ms = time.time_ns() // 1_000_000
        question = ListConflicts(ended=True, since_ms=float(now_ms - 2 * DAY_MS), limit=MAX_LISTED_CONFLICTS)
        page = await self._client.fleet.ask(question, ConflictsPage)
        self._conflicts = [view_of(one) for one in page.conflicts]
        lately = sum(one.last_ms >= now_ms - DAY_MS for one in self._conflicts)
        before, is_cut = len(self._conflicts) - lately, len(self._conflicts) == MAX_LISTED_CONFLICTS
        least = "at least " if is_cut else ""
        evidence = (
            f"{least}{lately} conflicts in the last day, {before} in the day before; {page.open} open, "
            f"{page.conflict_rate:.2%} of answers"
        )
        return attention(evidence) if lately > max(before, 1) * RISEN else ok(evidence)

    async def _critical(self) -> Seen:
        page = await self._client.fleet.ask(ListConflicts(limit=MAX_LISTED_CONFLICTS), ConflictsPage)
        found = [one for one in map(view_of, page.conflicts) if one.priority >= CRITICAL and not one.ended_ms]
        if not found:
            return ok("none is open")
        return attention(f"{len(found)} are open: ohmesh conflicts", *(one.id for one in found))

    async def _patterns(self) -> Seen:
        """Of what the trend read."""
        types = Counter(one.type for one in self._conflicts)
        blamed = Counter(agent for one in self._conflicts for agent in one.blamed)
        found = [f"{count} of type {kind}" for kind, count in types.most_common() if count >= A_PATTERN]
        found += [
            f"{agent} is blamed for {count}" for agent, count in blamed.most_common() if count >= A_PATTERN
        ]
        evidence = f"{len(self._conflicts)} conflicts in two days"
        return (
            attention(f"{evidence}: {'; '.join(found[:3])}", *found)
            if found
            else ok(f"{evidence}, none alike")
        )

    async def _churn(self) -> Seen:
        fleet = await self._client.fleet.ask(DescribeFleet(), FleetDescription)
        trend = await self._client.fleet.ask(AskTrend(ago_ms=DAY_MS), TrendPage)
        counts = _known(trend.agents)
        rates = _known(trend.active_rate)
        now = f"{fleet.active:,} of {fleet.agents:,} agents active, {fleet.offline:,} offline"
        if not counts or not rates:
            return not_set_up(f"{now}; nothing is known of the last day yet")
        evidence = f"{now}; in the last day {min(counts):,.0f} to {max(counts):,.0f}, at least {min(rates):.1%} active"
        has_churned = max(counts) - min(counts) > CHURN * max(counts) or 1 - min(rates) > CHURN
        return attention(evidence) if has_churned or fleet.offline else ok(evidence)

    async def _drifting(self) -> Seen:
        page = await self._client.fleet.ask(ListScopes(clusters=True), ScopesPage)
        found = [
            f"{one.scope}: drift {one.drift:.2f}, {one.unstable} unstable"
            for one in page.scopes
            if (one.drift or 0.0) > DRIFTING
        ]
        trend = await self._client.fleet.ask(AskTrend(ago_ms=DAY_MS), TrendPage)
        means = _known(trend.impedance_ms)
        if len(means) > 1 and means[-1] > RISEN * _mean(means[:-1]):
            found.append(
                f"mesh: mean impedance {means[-1]:.0f} ms, {_mean(means[:-1]):.0f} ms over the last day"
            )
        evidence = f"{len(page.scopes)} clusters"
        return (
            attention(f"{len(found)} of {evidence} drift high", *found)
            if found
            else ok(f"{evidence}, none drifts")
        )

    async def _slow(self) -> Seen:
        page = await self._client.fleet.ask(ListAgents(SLOW, limit=20), AgentsPage)
        unstable = await self._client.fleet.ask(ListAgents(UNSTABLE, limit=1), AgentsPage)
        if not page.total:
            return ok(f"nobody's score is above 800; {unstable.total} are unstable")
        return attention(
            f"{page.total} agents have a score above 800, {unstable.total} are unstable",
            *(f"{one.agent} {one.lead_ms:.0f} ms" for one in page.agents),
        )

    async def _backups(self) -> Seen:
        return not_set_up("this mesh makes no backups yet; copy its data directory while it is down")


def _known(column: Sequence[float | None]) -> list[float]:
    return [value for value in column if value is not None]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


async def daily(client: Client, arguments: DailyCheck) -> RunbookReport:
    return await DailyHealth(client).run(arguments)
