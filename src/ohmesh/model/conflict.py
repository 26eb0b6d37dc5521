"""Conflicts: what agents contradict each other or the mesh about, from the first report until it is settled.

A conflict is one thing that is wrong, whoever and however many report it: `count` reports of `agents`. Its state goes

    open --> resolving --> resolved
     |  `--> in_quarantine --> resolving --> released
     |             |                `------> discarded
     `--> escalated, from any of those; a person, or an answer that comes late, still ends it

and the last three are the end; only the agents of what was discarded may still be released. Source: MESH-30K, conflict
resolution.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from ohmesh.model.fleet_message import ReportedConflict

MAX_EVIDENCE_BYTES = 4_096


class ConflictType(StrEnum):
    """CONTEXT_DIVERGENCE: two versions of a context went apart. DATA_CONTRADICTION: two agents hold different values
    of one fact. TEMPORAL_PARADOX: an effect is stamped before its cause. CAPABILITY_MISMATCH: an agent cannot do what
    it declares. HASH_MISMATCH: a context is not the one that its hash says. OTHER: a word of the agent's own, or none.
    """

    CONTEXT_DIVERGENCE = "context_divergence"
    DATA_CONTRADICTION = "data_contradiction"
    TEMPORAL_PARADOX = "temporal_paradox"
    CAPABILITY_MISMATCH = "capability_mismatch"
    HASH_MISMATCH = "hash_mismatch"
    OTHER = "other"


class ConflictMethod(StrEnum):
    """How a conflict is resolved; ASK_A_PERSON where no machine can."""

    BRANCH_AND_RECONCILE = "branch_and_reconcile"
    PROVENANCE_TRACE = "provenance_trace"
    CLOCK_RECONCILIATION = "clock_reconciliation"
    REROUTE_AND_REMAP = "reroute_and_remap"
    RELOAD_KNOWN_GOOD = "reload_known_good"
    ASK_A_PERSON = "ask_a_person"


class ConflictState(StrEnum):
    OPEN = "open"
    IN_QUARANTINE = "in_quarantine"
    RESOLVING = "resolving"
    ESCALATED = "escalated"
    RESOLVED = "resolved"
    RELEASED = "released"
    DISCARDED = "discarded"


ENDED = frozenset({ConflictState.RESOLVED, ConflictState.RELEASED, ConflictState.DISCARDED})
FOLLOWING: dict[ConflictState, frozenset[ConflictState]] = {
    ConflictState.OPEN: frozenset(ConflictState) - {ConflictState.OPEN},
    ConflictState.IN_QUARANTINE: frozenset({ConflictState.RESOLVING, ConflictState.ESCALATED}) | ENDED,
    ConflictState.RESOLVING: frozenset({ConflictState.IN_QUARANTINE, ConflictState.ESCALATED}) | ENDED,
    ConflictState.ESCALATED: frozenset({ConflictState.IN_QUARANTINE, ConflictState.RESOLVING}) | ENDED,
    ConflictState.RESOLVED: frozenset(),
    ConflictState.RELEASED: frozenset(),
    ConflictState.DISCARDED: frozenset({ConflictState.RELEASED}),
}


class ConflictDetail(Struct, frozen=True):
    """What was reported. word: as the agent said it. data: evidence, cut at 4,096 bytes. context_hash: of the
    agent's own context. divergence_depth: versions since the common ancestor. affects_agent_count: as far as known."""

    type: ConflictType
    word: str = ""
    expected: str = ""
    received: str = ""
    data: bytes = b""
    context_hash: bytes = b""
    divergence_depth: int = 0
    affects_agent_count: int = 1

    @property
    def key(self) -> tuple[str, ...]:
        """Reports of the same key are one conflict. Which of two values was expected depends on who says it."""
        values = (self.expected, self.received)
        if self.type is ConflictType.DATA_CONTRADICTION:
            values = (min(values), max(values))
        return (self.type.value, self.word.lower(), *values, self.context_hash.hex())


class Conflict(Struct, frozen=True, kw_only=True):
    """agents: ids of those that reported it, in the order of the fleet, at most 1,000; `reporters` is how many they
    are. count: of reports. at_ms, last_ms: mesh time of the first and the last report. deadline_ms: mesh time by which
    it is to be settled. quarantined: agents that are off duty because of it. told: tiers that have heard of it.
    operation: in which it was reported first. winner: of what was contradicted, the value that holds.
    by: who ended it, a method or a person. blamed: agents that turned out to be at fault."""

    id: str
    detail: ConflictDetail
    at_ms: int
    last_ms: int
    priority: int
    deadline_ms: int
    method: ConflictMethod
    state: ConflictState = ConflictState.OPEN
    agents: tuple[str, ...] = ()
    reporters: int = 0
    count: int = 0
    operation: str = ""
    quarantined: tuple[str, ...] = ()
    blamed: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    outcome: str = ""
    winner: str = ""
    by: str = ""
    ended_ms: int = 0

    @property
    def is_ended(self) -> bool:
        return self.state in ENDED


_BY_WORD = {one.value: one for one in ConflictType}


def detail_of(reported: ReportedConflict | None) -> ConflictDetail:
    """None: it conflicts and does not say why."""
    if reported is None:
        return ConflictDetail(ConflictType.OTHER)
    return ConflictDetail(
        _BY_WORD.get(reported.kind.strip().lower(), ConflictType.OTHER),
        reported.kind[:64],
        reported.expected[:1_000],
        reported.received[:1_000],
        reported.data[:MAX_EVIDENCE_BYTES],
        reported.context_hash,
        reported.divergence_depth,
        max(1, reported.affected_agents),
    )
