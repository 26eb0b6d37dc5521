"""What the orchestrator answers about conflicts: those that are open from memory, what has ended from the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from ohmesh.errors import InvalidArgument, UnknownConflict
from ohmesh.model.conflict import Conflict, ConflictState, ConflictType
from ohmesh.model.conflict_request import (
    ConflictEvent,
    ConflictLogState,
    ConflictQuestion,
    ConflictsPage,
    ConflictStory,
    GetConflict,
    ListConflicts,
    ResolveConflict,
    VerifyConflicts,
)
from ohmesh.roles.fleet.conflict_index import ConflictQuery

if TYPE_CHECKING:
    from ohmesh.roles.fleet.conflict_desk import ConflictDesk

Kind = TypeVar("Kind", ConflictType, ConflictState)
NAMED_IN_LISTS = 3  # agents of each, so that a page fits into a message


async def answer(desk: ConflictDesk, question: ConflictQuestion, client: str) -> msgspec.Struct:
    await desk.loaded()
    match question:
        case ListConflicts():
            return await _list(desk, question)
        case GetConflict():
            return await _get(desk, question.conflict)
        case ResolveConflict():
            return ConflictStory(await desk.resolve(question, client))
        case VerifyConflicts():
            verdict = await desk.log.verify()
            head = verdict.head
            return ConflictLogState(
                desk.log.name,
                verdict.is_whole,
                head.sequence,
                head.digest.hex(),
                verdict.sequence,
                verdict.why,
            )


async def _list(desk: ConflictDesk, question: ListConflicts) -> ConflictsPage:
    query = ConflictQuery(
        since_ms=question.since_ms,
        until_ms=question.until_ms,
        agent=question.agent,
        type=_word(ConflictType, question.kind),
        limit=question.limit,
    )
    state = _word(ConflictState, question.state)
    found = [one for one in desk.queue.open() if query.fits(one) and state in (None, one.state)]
    wants_ended = (
        question.ended
        if state is None
        else state
        in (
            ConflictState.RESOLVED,
            ConflictState.RELEASED,
            ConflictState.DISCARDED,
        )
    )
    if wants_ended and len(found) < question.limit:
        logged = await desk.log.query(query)
        found += [one for one in logged if one.is_ended and state in (None, one.state)]
    return desk.page([_brief(one) for one in found[: question.limit]])


async def _get(desk: ConflictDesk, conflict_id: str) -> ConflictStory:
    entries = await desk.log.find(conflict_id)
    conflict = desk.queue.find(conflict_id) or (entries[-1].conflict if entries else None)
    if conflict is None:
        raise UnknownConflict(
            f"There is no conflict {conflict_id}.", hint="`ohmesh conflicts list --ended` has them."
        )
    story = tuple(
        ConflictEvent(
            entry.at_ms,
            entry.change,
            entry.conflict.state.value,
            entry.conflict.priority,
            entry.conflict.outcome,
            entry.conflict.by,
        )
        for entry in entries
    )
    return ConflictStory(conflict, story)


def _brief(conflict: Conflict) -> Conflict:
    detail = msgspec.structs.replace(conflict.detail, data=b"")
    return msgspec.structs.replace(conflict, detail=detail, agents=conflict.agents[:NAMED_IN_LISTS])


def _word(kind: type[Kind], word: str) -> Kind | None:
    if not word:
        return None
    try:
        return kind(word)
    except ValueError:
        raise InvalidArgument(f"{word!r} is none of {', '.join(one.value for one in kind)}.") from None
