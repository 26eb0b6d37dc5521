"""Cascades as data: the stages of one, each with its time, its rate and what follows when it falls short.

*wave*: the sectors first, then their clusters, then the agents; without the sectors nothing goes on. *parallel*: all
agents at once. *priority_first*: class by class, the most important first; a class that falls short is noted, and the
next one begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum

import numpy as np
from numpy.typing import NDArray

from ohmesh.errors import InvalidArgument

OTHERS = "*"
MAX_STAGES = 64


class CascadeStrategy(StrEnum):
    WAVE = "wave"
    PARALLEL = "parallel"
    PRIORITY_FIRST = "priority_first"


class Tier(Enum):
    """What is counted in a stage: sectors and clusters that took the message, agents that are ready."""

    SECTORS = "sectors"
    CLUSTERS = "clusters"
    AGENTS = "agents"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """timeout_ms: from its begin, or for agents from T where that is later, until it counts as short. rate: of what it
    counts. budget_ms: what it should take; measured against, never enforced; 0 where none is set. is_gate: when it is
    short nothing goes on. class_name: of the agents of this stage; OTHERS are those that no other stage names."""

    name: str
    tier: Tier
    timeout_ms: float
    rate: float
    budget_ms: float = 0.0
    is_gate: bool = False
    class_name: str = OTHERS

    def __post_init__(self) -> None:
        if not (0 < self.timeout_ms < float("inf") and 0 < self.rate <= 1):
            raise InvalidArgument(
                f"Stage {self.name!r} has a timeout of {self.timeout_ms:g} ms and a rate of {self.rate}.",
                hint="Both are above 0, the rate at most 1.",
            )


@dataclass(frozen=True, slots=True)
class CascadePlan:
    """Stages in their order. Those of agents come last, and each agent belongs to one of them."""

    strategy: CascadeStrategy
    stages: tuple[Stage, ...]

    def __post_init__(self) -> None:
        tiers = [stage.tier for stage in self.stages]
        names = [stage.class_name for stage in self.stages if stage.tier is Tier.AGENTS]
        first = len(tiers) - len(names)
        if (
            not names
            or len(tiers) > MAX_STAGES
            or Tier.AGENTS in tiers[:first]
            or len(set(tiers[:first])) != first
            or len(set(names)) != len(names)
            or OTHERS not in names
        ):
            raise InvalidArgument(
                f"These stages are no cascade: {', '.join(stage.name for stage in self.stages) or 'none'}.",
                hint="At most one of sectors and of clusters, then agents, each class once and "
                f"{OTHERS!r} for the rest; at most {MAX_STAGES}.",
            )

    @property
    def first_of_agents(self) -> int:
        return next(place for place, stage in enumerate(self.stages) if stage.tier is Tier.AGENTS)

    def stage_of_classes(self, class_names: Sequence[str]) -> NDArray[np.uint8]:
        """The place of its stage for each class, shape (len(class_names),): an index for a column of class codes."""
        by_name = {
            stage.class_name: place for place, stage in enumerate(self.stages) if stage.tier is Tier.AGENTS
        }
        return np.array([by_name.get(name, by_name[OTHERS]) for name in class_names], np.uint8)


WAVE = CascadePlan(
    CascadeStrategy.WAVE,
    (
        Stage(name="sectors", tier=Tier.SECTORS, timeout_ms=200, rate=0.98, budget_ms=60, is_gate=True),
        Stage(name="clusters", tier=Tier.CLUSTERS, timeout_ms=1_000, rate=0.95, budget_ms=40),
        Stage(name="agents", tier=Tier.AGENTS, timeout_ms=2_000, rate=0.95, budget_ms=220),
    ),
)
PARALLEL = CascadePlan(
    CascadeStrategy.PARALLEL, (Stage(name="agents", tier=Tier.AGENTS, timeout_ms=1_000, rate=0.90),)
)
_CLASS_RATES = (("D", 0.99), ("C", 0.98), ("B", 0.95), ("A", 0.90), ("E", 0.85))
PRIORITY_FIRST = CascadePlan(
    CascadeStrategy.PRIORITY_FIRST,
    (
        *(
            Stage(name=f"class {name}", tier=Tier.AGENTS, timeout_ms=1_000, rate=rate, class_name=name)
            for name, rate in _CLASS_RATES
        ),
        Stage(name="other classes", tier=Tier.AGENTS, timeout_ms=1_000, rate=0.85),
    ),
)
PLANS = {plan.strategy: plan for plan in (WAVE, PARALLEL, PRIORITY_FIRST)}
