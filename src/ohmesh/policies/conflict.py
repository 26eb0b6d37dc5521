"""How urgent a conflict is, until when it has to be settled, who hears of it, and what settles it.

    type                  priority                          settled by             quarantine
    CONTEXT_DIVERGENCE    3 if more than 10 versions, or 2  BRANCH_AND_RECONCILE   no
    DATA_CONTRADICTION    3 if above 100 agents, or 2       PROVENANCE_TRACE       of who contradicts 3 or more
    TEMPORAL_PARADOX      4                                 CLOCK_RECONCILIATION   no
    CAPABILITY_MISMATCH   1                                 REROUTE_AND_REMAP      no
    HASH_MISMATCH         4                                 RELOAD_KNOWN_GOOD      yes
    OTHER                 2                                 ASK_A_PERSON           no

    priority    4 now    3 a minute    2 ten minutes    1 an hour    0 a day

From 3 on the sector hears of it, at 4 the orchestrator too; who missed its deadline is told to a person. Who is
quarantined is said by the classes of failure (failure_class): a wrong hash is CONTEXT_CORRUPTION, an agent that
contradicts 3 others is BYZANTINE_BEHAVIOR. Source: MESH-30K, conflict priorities; the two last methods and the day are
ours, the source names none.
"""

from __future__ import annotations

from ohmesh.errors import InvalidArgument
from ohmesh.model.conflict import ConflictDetail, ConflictMethod, ConflictType
from ohmesh.model.fleet_message import Scope
from ohmesh.policies.failure_class import RESPONSES, FailureClass, FailureConfig, Remedy

HIGHEST = 4
DEEP = 10
WIDE = 100

_DEADLINES_MS = {4: 0, 3: 60_000, 2: 600_000, 1: 3_600_000, 0: 86_400_000}
_METHODS = {
    ConflictType.CONTEXT_DIVERGENCE: ConflictMethod.BRANCH_AND_RECONCILE,
    ConflictType.DATA_CONTRADICTION: ConflictMethod.PROVENANCE_TRACE,
    ConflictType.TEMPORAL_PARADOX: ConflictMethod.CLOCK_RECONCILIATION,
    ConflictType.CAPABILITY_MISMATCH: ConflictMethod.REROUTE_AND_REMAP,
    ConflictType.HASH_MISMATCH: ConflictMethod.RELOAD_KNOWN_GOOD,
    ConflictType.OTHER: ConflictMethod.ASK_A_PERSON,
}


def priority_of(detail: ConflictDetail) -> int:
    """0 to 4; 4 is the most urgent."""
    match detail.type:
        case ConflictType.TEMPORAL_PARADOX | ConflictType.HASH_MISMATCH:
            return 4
        case ConflictType.CONTEXT_DIVERGENCE:
            return 3 if detail.divergence_depth > DEEP else 2
        case ConflictType.DATA_CONTRADICTION:
            return 3 if detail.affects_agent_count > WIDE else 2
        case ConflictType.CAPABILITY_MISMATCH:
            return 1
        case ConflictType.OTHER:
            return 2


def time_to_resolve_ms(priority: int) -> int:
    """From the first report. Raises InvalidArgument: not 0 to 4."""
    try:
        return _DEADLINES_MS[priority]
    except KeyError:
        raise InvalidArgument(f"{priority} is no priority of a conflict; they are 0 to {HIGHEST}.") from None


def escalates_to(priority: int) -> tuple[Scope, ...]:
    """Who hears of it beside the lead of the cluster where it was seen; ALL is the orchestrator."""
    if priority >= HIGHEST:
        return (Scope.SECTOR, Scope.ALL)
    return (Scope.SECTOR,) if priority >= HIGHEST - 1 else ()


def method_of(kind: ConflictType) -> ConflictMethod:
    return _METHODS[kind]


def failure_of(kind: ConflictType, contradicted: int, config: FailureConfig | None = None) -> FailureClass:
    """The class of failure of an agent in such a conflict, which contradicts so many other agents by now."""
    if kind is ConflictType.HASH_MISMATCH:
        return FailureClass.CONTEXT_CORRUPTION
    is_byzantine = contradicted >= (config or FailureConfig()).contradicted
    if kind is ConflictType.DATA_CONTRADICTION and is_byzantine:
        return FailureClass.BYZANTINE_BEHAVIOR
    return FailureClass.NONE


def is_quarantined(failure: FailureClass) -> bool:
    return failure is not FailureClass.NONE and Remedy.QUARANTINE in RESPONSES[failure].remedies
