"""The verbs about conflicts in a fleet."""

from __future__ import annotations

import time

from ohmesh.model import conflict_request as q
from ohmesh.operations import conflict_arguments as a
from ohmesh.operations.conflict_results import ConflictList, ConflictView, view_of
from ohmesh.operations.moments import parse_moment
from ohmesh.roles.client import Client

WORK_TIMEOUT_S = 30.0  # a winner is told to agents before the answer comes


async def list_conflicts(client: Client, arguments: a.ListConflicts) -> ConflictList:
    """The most urgent first, then those that are settled, the latest first."""
    now_ms = time.time_ns() // 1_000_000
    question = q.ListConflicts(
        ended=arguments.ended,
        state=arguments.state,
        kind=arguments.type,
        agent=arguments.agent,
        since_ms=parse_moment("since", arguments.since).resolved_ms(now_ms) if arguments.since else 0.0,
        until_ms=parse_moment("until", arguments.until).resolved_ms(now_ms) if arguments.until else 1e15,
        limit=arguments.limit,
    )
    page = await client.fleet.ask(question, q.ConflictsPage)
    found = [view_of(one) for one in page.conflicts]
    return ConflictList(found, page.open, page.quarantined, page.conflict_rate)


async def get_conflict(client: Client, arguments: a.OneConflict) -> ConflictView:
    """With its story. Raises UnknownConflict."""
    told = await client.fleet.ask(q.GetConflict(arguments.conflict_id), q.ConflictStory)
    return view_of(told.conflict, told.story)


async def resolve_conflict(client: Client, arguments: a.ResolveConflict) -> ConflictView:
    """Raises UnknownConflict, and InvalidArgument where it has ended or that winner is none of the choices."""
    wish = q.ResolveConflict(
        conflict=arguments.conflict_id,
        action=q.ConflictAction(arguments.action),
        winner=arguments.winner,
        reason=arguments.reason,
    )
    told = await client.fleet.ask(wish, q.ConflictStory, timeout_s=WORK_TIMEOUT_S)
    return view_of(told.conflict)


async def verify_conflicts(client: Client, _arguments: a.VerifyConflicts) -> q.ConflictLogState:
    return await client.fleet.ask(q.VerifyConflicts(), q.ConflictLogState, timeout_s=WORK_TIMEOUT_S)
