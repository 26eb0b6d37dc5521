"""What is asked of the orchestrator about conflicts, and its answers."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from ohmesh.model.conflict import Conflict

MAX_LISTED_CONFLICTS = 500

Page = Annotated[int, Meta(ge=1, le=MAX_LISTED_CONFLICTS)]


class ConflictAction(StrEnum):
    """WINNER: this value, branch or agent is right. RELEASED: its agents go back to duty. DISCARDED: what they said
    counts for nothing, and they stay off duty."""

    WINNER = "winner"
    RELEASED = "released"
    DISCARDED = "discarded"


class ListConflicts(Struct, frozen=True, tag="conflicts", kw_only=True):
    """ended: those too that are settled. state, kind: of which state and type; "" is every one.
    Times are mesh time in milliseconds."""

    ended: bool = False
    state: str = ""
    kind: str = ""
    agent: str = ""
    since_ms: float = 0.0
    until_ms: float = 1e15
    limit: Page = 100


class GetConflict(Struct, frozen=True, tag="conflict"):
    conflict: str


class ResolveConflict(Struct, frozen=True, tag="resolve_conflict", kw_only=True):
    conflict: str
    action: ConflictAction
    winner: str = ""
    reason: str = ""


class VerifyConflicts(Struct, frozen=True, tag="verify_conflicts"):
    """Is the log of conflicts whole?"""


class ConflictsPage(Struct, frozen=True):
    """open: how many there are. conflict_rate: of the answers of agents since this orchestrator took over, the part
    that was a conflict; KPI K5 wants at most 0.01."""

    conflicts: tuple[Conflict, ...]
    open: int = 0
    quarantined: tuple[str, ...] = ()
    conflict_rate: float = 0.0


class ConflictEvent(Struct, frozen=True):
    at_ms: int
    change: str
    state: str
    priority: int
    outcome: str = ""
    by: str = ""


class ConflictStory(Struct, frozen=True):
    conflict: Conflict
    story: tuple[ConflictEvent, ...] = ()


class ConflictLogState(Struct, frozen=True):
    """sequence: of the first entry that is wrong; 0 where none is. digest: of the last one, in hex."""

    log: str
    is_whole: bool
    entries: int
    digest: str
    sequence: int = 0
    why: str = ""


ConflictQuestion = ListConflicts | GetConflict | ResolveConflict | VerifyConflicts
