"""What the verbs about conflicts answer."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from ohmesh.model.conflict import Conflict
from ohmesh.model.conflict_request import ConflictEvent


class ConflictView(Struct, frozen=True, kw_only=True):
    """One conflict; fields are those of ohmesh.model.conflict.Conflict and its detail. evidence: as text where it is
    one, else hex. told: tiers that have heard of it. story: each change, where one conflict was asked for."""

    id: str
    type: str
    state: str
    priority: int
    method: str
    reported_ms: int
    last_ms: int
    deadline_ms: int
    ended_ms: int = 0
    count: int = 0
    reporters: int = 0
    agents: tuple[str, ...] = ()
    operation: str = ""
    word: str = ""
    expected: str = ""
    received: str = ""
    evidence: str = ""
    context_hash: str = ""
    divergence_depth: int = 0
    affects_agent_count: int = 0
    quarantined: tuple[str, ...] = ()
    blamed: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    outcome: str = ""
    winner: str = ""
    by: str = ""
    story: tuple[ConflictEvent, ...] = ()

    def __str__(self) -> str:
        end = f": {self.outcome}" if self.outcome else ""
        return f"{self.id} {self.type} {self.state}, priority {self.priority}, {self.reporters} agents{end}"


class ConflictList(Struct, frozen=True):
    """open: how many there are, shown or not. conflict_rate: of all answers of agents lately, the part that was a
    conflict."""

    conflicts: list[ConflictView]
    open: int = 0
    quarantined: tuple[str, ...] = ()
    conflict_rate: float = 0.0

    def __iter__(self) -> Iterator[ConflictView]:
        return iter(self.conflicts)

    def __len__(self) -> int:
        return len(self.conflicts)

    def __str__(self) -> str:
        return "\n".join(map(str, self.conflicts))


def view_of(conflict: Conflict, story: tuple[ConflictEvent, ...] = ()) -> ConflictView:
    detail = conflict.detail
    return ConflictView(
        id=conflict.id,
        type=detail.type.value,
        state=conflict.state.value,
        priority=conflict.priority,
        method=conflict.method.value,
        reported_ms=conflict.at_ms,
        last_ms=conflict.last_ms,
        deadline_ms=conflict.deadline_ms,
        ended_ms=conflict.ended_ms,
        count=conflict.count,
        reporters=conflict.reporters,
        agents=conflict.agents,
        operation=conflict.operation,
        word=detail.word,
        expected=detail.expected,
        received=detail.received,
        evidence=_text(detail.data),
        context_hash=detail.context_hash.hex(),
        divergence_depth=detail.divergence_depth,
        affects_agent_count=detail.affects_agent_count,
        quarantined=conflict.quarantined,
        blamed=conflict.blamed,
        told=conflict.told,
        outcome=conflict.outcome,
        winner=conflict.winner,
        by=conflict.by,
        story=story,
    )


def _text(data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return data.hex()
    return text if text.isprintable() else data.hex()
