"""The three cascades as data."""

from __future__ import annotations

from typing import Any

import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.model.agent_class import STANDARD_CLASSES
from ohmesh.protocols.arrival.cascade_plan import (
    PARALLEL,
    PLANS,
    PRIORITY_FIRST,
    WAVE,
    CascadePlan,
    CascadeStrategy,
    Stage,
    Tier,
)


def stage(name: str, tier: Tier = Tier.AGENTS, class_name: str = "*") -> Stage:
    return Stage(name=name, tier=tier, timeout_ms=100, rate=0.9, class_name=class_name)


def test_a_wave_has_three_tiers_with_their_times_rates_and_budgets() -> None:
    told = [(s.name, s.timeout_ms, s.rate, s.budget_ms, s.is_gate) for s in WAVE.stages]
    assert told == [
        ("sectors", 200, 0.98, 60, True),
        ("clusters", 1_000, 0.95, 40, False),
        ("agents", 2_000, 0.95, 220, False),
    ]


def test_parallel_is_one_second_for_nine_of_ten() -> None:
    assert [(s.timeout_ms, s.rate) for s in PARALLEL.stages] == [(1_000, 0.90)]


def test_priority_first_goes_class_by_class_and_forgets_no_class() -> None:
    told = [(s.class_name, s.rate) for s in PRIORITY_FIRST.stages]
    assert told == [("D", 0.99), ("C", 0.98), ("B", 0.95), ("A", 0.90), ("E", 0.85), ("*", 0.85)]
    names = [each.name for each in STANDARD_CLASSES]
    assert PRIORITY_FIRST.stage_of_classes([*names, "robots"]).tolist() == [3, 2, 1, 0, 4, 5, 5]
    assert WAVE.stage_of_classes(names).tolist() == [2] * 6


def test_every_strategy_has_its_plan() -> None:
    assert {strategy: plan.strategy for strategy, plan in PLANS.items()} == {
        each: each for each in CascadeStrategy
    }


@pytest.mark.parametrize(
    "stages",
    [
        (),
        (stage("s", Tier.SECTORS),),
        (stage("a"), stage("s", Tier.SECTORS)),
        (stage("s", Tier.SECTORS), stage("s", Tier.SECTORS), stage("a")),
        (stage("a", class_name="A"),),
        (stage("a"), stage("b")),
    ],
)
def test_stages_that_are_no_cascade_are_refused(stages: tuple[Stage, ...]) -> None:
    with pytest.raises(InvalidArgument, match="no cascade"):
        CascadePlan(CascadeStrategy.WAVE, stages)


@pytest.mark.parametrize(
    "wrong", [{"timeout_ms": 0}, {"timeout_ms": float("inf")}, {"rate": 0}, {"rate": 1.1}]
)
def test_a_stage_that_cannot_end_or_be_met_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match="above 0"):
        Stage(**{"name": "x", "tier": Tier.AGENTS, "timeout_ms": 1, "rate": 1, **wrong})
