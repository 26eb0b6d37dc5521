"""What the verbs about conflicts take; the conventions are those of `arguments.py`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from ohmesh.errors import InvalidArgument
from ohmesh.model.conflict import ConflictState, ConflictType
from ohmesh.model.conflict_request import MAX_LISTED_CONFLICTS, ConflictAction
from ohmesh.operations.moments import parse_moment

_POSITIONAL = {"positional": True}
STATES = tuple(one.value for one in ConflictState)
TYPES = tuple(one.value for one in ConflictType)
ACTIONS = tuple(one.value for one in ConflictAction)

Id = Annotated[
    str,
    Meta(
        description="The conflict.",
        min_length=1,
        max_length=64,
        pattern="^[A-Za-z0-9_-]+$",
        extra=_POSITIONAL,
    ),
]


class ListConflicts(Struct, frozen=True, kw_only=True):
    ended: Annotated[bool, Meta(description="Also those that are settled.")] = False
    state: Annotated[
        str, Meta(description="Only in this state.", extra_json_schema={"enum": ["", *STATES]})
    ] = ""
    type: Annotated[str, Meta(description="Only of this type.", extra_json_schema={"enum": ["", *TYPES]})] = (
        ""
    )
    agent: Annotated[
        str,
        Meta(
            description="Only those that this agent reported, is in quarantine for, or is blamed for.",
            max_length=128,
        ),
    ] = ""
    since: Annotated[
        str,
        Meta(description="Reported at or after: how long ago (2h, 1d) or a time (2026-01-31T10:00, UTC)."),
    ] = ""
    until: Annotated[str, Meta(description="First reported before; said in the same ways.")] = ""
    limit: Annotated[int, Meta(description="At most this many.", ge=1, le=MAX_LISTED_CONFLICTS)] = 100

    def __post_init__(self) -> None:
        _check("state", self.state, ("", *STATES))
        _check("type", self.type, ("", *TYPES))
        for name, text in (("since", self.since), ("until", self.until)):
            if text:
                parse_moment(name, text)


class OneConflict(Struct, frozen=True, kw_only=True):
    conflict_id: Id


class ResolveConflict(Struct, frozen=True, kw_only=True):
    conflict_id: Id
    action: Annotated[
        str,
        Meta(
            description="winner: name what is right; released: its agents go back to duty; discarded: what they said "
            "counts for nothing, and they stay off duty.",
            extra_json_schema={"enum": list(ACTIONS)},
        ),
    ] = ConflictAction.WINNER.value
    winner: Annotated[
        str,
        Meta(
            description="The value that holds, the hash of the branch, or the agent whose clock is wrong, as "
            "`conflicts get` shows them.",
            max_length=1_000,
        ),
    ] = ""
    reason: Annotated[str, Meta(description="Why: kept in the log.", max_length=1_000)] = ""

    def __post_init__(self) -> None:
        _check("action", self.action, ACTIONS)
        is_winner = self.action == ConflictAction.WINNER.value
        if is_winner and not self.winner:
            raise InvalidArgument(
                "winner: say what is right.",
                hint="Or end it otherwise: --action released, --action discarded.",
            )
        if self.winner and not is_winner:
            raise InvalidArgument(f"winner: there is none where a conflict is {self.action}.")


class VerifyConflicts(Struct, frozen=True, kw_only=True):
    pass


def _check(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InvalidArgument(
            f"{name}: {value!r} is not one.", hint=f"It is one of {', '.join(filter(None, known))}."
        )
