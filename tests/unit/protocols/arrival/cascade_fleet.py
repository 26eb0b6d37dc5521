"""A fleet of fifty sectors of two clusters of four agents, and a cascade over it."""

from __future__ import annotations

import numpy as np

from ohmesh.model.topology import Topology
from ohmesh.protocols.arrival.cascade import Cascade, Instruction
from ohmesh.protocols.arrival.cascade_plan import CascadePlan, Tier
from ohmesh.protocols.arrival.cascade_sector import CascadeSector
from ohmesh.protocols.arrival.operation import SectorRecord
from tests.unit.protocols.arrival.operation_events import answers, record_of, released

FLEET = Topology(sectors=50, clusters=2, agents=4)
START = 1_000.0
CLASSES = ("D", "C", "B", "A", "E", "F", "A", "A")  # of the eight agents of a sector


def rows_in_sector(sector: int) -> tuple[int, ...]:
    part = FLEET.rows_of_sector(sector)
    return tuple(range(part.start, part.stop))


def cascade_of(plan: CascadePlan, *, sectors: int = 50, target_ms: float = START) -> Cascade:
    found = []
    for sector in range(sectors):
        record = record_of(rows_in_sector(sector), sector=sector, target_ms=target_ms)
        has_classes = sum(stage.tier is Tier.AGENTS for stage in plan.stages) > 1
        stages = plan.stage_of_classes(CLASSES) if has_classes else None
        found.append(CascadeSector(record, plan, FLEET, stages))
    return Cascade("op", plan, found, START)


def fold(sector: int, *, ready: int = 8, asked: int = 8, target_ms: float = START) -> SectorRecord:
    """A sector in which the first `asked` agents were asked and the first `ready` are so."""
    rows = rows_in_sector(sector)
    record = record_of(rows, sector=sector, target_ms=target_ms)
    record.take(released(*rows[:asked]))
    record.take(answers(*rows[:ready], target_ms=target_ms))
    return record


def fold_of_classes(sector: int, *names: str) -> SectorRecord:
    """A sector in which the agents of these classes are ready, and nobody else was asked."""
    rows = np.array(rows_in_sector(sector))[np.isin(CLASSES, names)]
    record = record_of(rows_in_sector(sector), sector=sector, target_ms=START)
    record.take(answers(*rows.tolist(), target_ms=START))
    return record


def reach(cascade: Cascade, *sectors: int, now_ms: float, clusters: int = 0) -> list[Instruction]:
    told: list[Instruction] = []
    for sector in sectors:
        told += cascade.reached(sector, now_ms, clusters=clusters)
    return told
