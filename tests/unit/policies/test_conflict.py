"""Priorities, deadlines, escalation and methods of conflicts, as tables."""

import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.model.conflict import ConflictDetail, ConflictMethod, ConflictType
from ohmesh.model.fleet_message import Scope
from ohmesh.policies.conflict import (
    escalates_to,
    failure_of,
    is_quarantined,
    method_of,
    priority_of,
    time_to_resolve_ms,
)
from ohmesh.policies.failure_class import FailureClass

T = ConflictType


@pytest.mark.parametrize(
    ("kind", "depth", "agents", "priority"),
    [
        (T.CONTEXT_DIVERGENCE, 0, 1, 2),
        (T.CONTEXT_DIVERGENCE, 10, 1, 2),
        (T.CONTEXT_DIVERGENCE, 11, 1, 3),
        (T.CONTEXT_DIVERGENCE, 1, 30_000, 2),
        (T.DATA_CONTRADICTION, 0, 1, 2),
        (T.DATA_CONTRADICTION, 0, 100, 2),
        (T.DATA_CONTRADICTION, 0, 101, 3),
        (T.DATA_CONTRADICTION, 99, 1, 2),
        (T.TEMPORAL_PARADOX, 0, 1, 4),
        (T.CAPABILITY_MISMATCH, 99, 30_000, 1),
        (T.HASH_MISMATCH, 0, 1, 4),
        (T.OTHER, 99, 30_000, 2),
    ],
)
def test_priorities_are_those_of_the_table(kind: T, depth: int, agents: int, priority: int) -> None:
    detail = ConflictDetail(kind, divergence_depth=depth, affects_agent_count=agents)
    assert priority_of(detail) == priority


@pytest.mark.parametrize(
    ("priority", "time_ms", "tiers"),
    [
        (4, 0, (Scope.SECTOR, Scope.ALL)),
        (3, 60_000, (Scope.SECTOR,)),
        (2, 600_000, ()),
        (1, 3_600_000, ()),
        (0, 86_400_000, ()),
    ],
)
def test_deadlines_and_escalation_follow_the_priority(
    priority: int, time_ms: int, tiers: tuple[Scope, ...]
) -> None:
    assert time_to_resolve_ms(priority) == time_ms
    assert escalates_to(priority) == tiers


@pytest.mark.parametrize("priority", [-1, 5])
def test_there_are_no_other_priorities(priority: int) -> None:
    with pytest.raises(InvalidArgument):
        time_to_resolve_ms(priority)


def test_each_type_has_its_method() -> None:
    assert {kind: method_of(kind) for kind in T} == {
        T.CONTEXT_DIVERGENCE: ConflictMethod.BRANCH_AND_RECONCILE,
        T.DATA_CONTRADICTION: ConflictMethod.PROVENANCE_TRACE,
        T.TEMPORAL_PARADOX: ConflictMethod.CLOCK_RECONCILIATION,
        T.CAPABILITY_MISMATCH: ConflictMethod.REROUTE_AND_REMAP,
        T.HASH_MISMATCH: ConflictMethod.RELOAD_KNOWN_GOOD,
        T.OTHER: ConflictMethod.ASK_A_PERSON,
    }


@pytest.mark.parametrize(
    ("kind", "contradicted", "failure", "is_held"),
    [
        (T.HASH_MISMATCH, 0, FailureClass.CONTEXT_CORRUPTION, True),
        (T.DATA_CONTRADICTION, 2, FailureClass.NONE, False),
        (T.DATA_CONTRADICTION, 3, FailureClass.BYZANTINE_BEHAVIOR, True),
        (T.CONTEXT_DIVERGENCE, 3, FailureClass.NONE, False),
        (T.TEMPORAL_PARADOX, 0, FailureClass.NONE, False),
        (T.CAPABILITY_MISMATCH, 9, FailureClass.NONE, False),
    ],
)
def test_who_is_quarantined_is_said_by_the_classes_of_failure(
    kind: T, contradicted: int, failure: FailureClass, is_held: bool
) -> None:
    assert failure_of(kind, contradicted) is failure
    assert is_quarantined(failure) is is_held
