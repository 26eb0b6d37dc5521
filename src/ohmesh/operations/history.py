"""The verbs about history: what has ended, and what happened, however long ago."""

from __future__ import annotations

from ohmesh.errors import InvalidArgument
from ohmesh.model.history import AskEvents, AskHistory
from ohmesh.operations.history_arguments import ListEvents, ListHistory
from ohmesh.operations.history_results import HistoryEvent, HistoryEvents, TaskHistory
from ohmesh.operations.moments import parse_moment, written
from ohmesh.operations.tasks import describe
from ohmesh.roles.client import Client


async def list_history(client: Client, arguments: ListHistory) -> TaskHistory:
    """Tasks by their ends, the last first. EngineUnavailable: the ledger is away, MeshUnreachable: nobody answers."""
    since_ms, until_ms = _span(client, arguments)
    question = AskHistory(
        kind=arguments.kind,
        state=arguments.state.lower(),
        host=arguments.worker,
        since_ms=since_ms,
        until_ms=until_ms,
        limit=arguments.limit,
        after=arguments.after,
    )
    page = await client.history.tasks(question)
    return TaskHistory([describe(view) for view in page.tasks], page.after, page.behind, _selection(question))


async def list_events(client: Client, arguments: ListEvents) -> HistoryEvents:
    page = await client.history.events(AskEvents(arguments.kind, arguments.limit))
    events = [HistoryEvent(each.at_ms, each.kind, each.subject, each.detail) for each in page.events]
    selection = f"kind={arguments.kind}" if arguments.kind else ""
    return HistoryEvents(events, page.is_cut, page.behind, selection)


def _span(client: Client, arguments: ListHistory) -> tuple[int, int]:
    """Both are counted from one now."""
    now_ms = client.requests.now_ms()
    since_ms, until_ms = (
        parse_moment(name, text).resolved_ms(now_ms) if text else 0
        for name, text in (("since", arguments.since), ("until", arguments.until))
    )
    if since_ms and until_ms and since_ms >= until_ms:
        raise InvalidArgument(
            f"Nothing can have ended since {written(since_ms)} and before {written(until_ms)}.",
            hint="`since` is the earlier of the two: `--since 2h --until 1h` is the hour before the last.",
        )
    return since_ms, until_ms


def _selection(question: AskHistory) -> str:
    """All that a task had to match, moments resolved."""
    named = (("kind", question.kind), ("state", question.state), ("worker", question.host))
    parts = [f"{name}={value}" for name, value in named if value]
    parts += [f"ended>={written(question.since_ms)}"] if question.since_ms else []
    parts += [f"ended<{written(question.until_ms)}"] if question.until_ms else []
    return " and ".join(parts)
