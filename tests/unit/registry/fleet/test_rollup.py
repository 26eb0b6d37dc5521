"""Summaries of parts, against adding up agents one by one; and of parts with nobody or one agent in them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.model.agent import Duty
from ohmesh.model.fleet_agent import FLAGS, FleetAgent
from ohmesh.model.topology import Topology
from ohmesh.registry.fleet.columns import Doubles
from ohmesh.registry.fleet.impedance import health
from ohmesh.registry.fleet.liveness import VACANT, is_able
from ohmesh.registry.fleet.part import MESH, Part
from ohmesh.registry.fleet.registry import FleetRegistry
from ohmesh.registry.fleet.rollup import NOBODY, Summaries, active_rate, roll_up, tally_clusters
from ohmesh.registry.fleet.view import view
from tests.unit.registry.fleet.fleets import SMALL, START_MS, fleet, hear, joining, rows_of

NOW_MS = START_MS + 12_000
HUMAN = 5
SHAPE = Topology(sectors=2, clusters=2, agents=3)
ALL_PARTS = [MESH, *(Part(s) for s in range(2)), *(Part(s, c) for s in range(2) for c in range(2))]


@st.composite
def registries(draw: st.DrawFn) -> FleetRegistry:
    registry = FleetRegistry(SHAPE)
    rows = np.array(sorted(draw(st.sets(st.integers(0, SHAPE.size - 1)))), np.intp)
    codes = np.array(draw(st.lists(st.sampled_from((0, 3, HUMAN)), min_size=len(rows), max_size=len(rows))))
    registry.insert(joining(rows, class_codes=codes.astype(np.uint8)))
    for row in rows.tolist():
        for turn in range(draw(st.integers(0, 3))):
            hear(
                registry,
                rows_of(row),
                START_MS + 2_000 * turn,
                rtt_ms=draw(st.sampled_from((0, 10, 500))),
                processing_ms=draw(st.floats(1, 2_000)),
                drift=draw(st.sampled_from((0, 0.2, 0.6))),
                reliability=draw(st.floats(0, 1)),
                queue_depth=draw(st.integers(0, 5)),
            )
    registry.set_duty(rows[: draw(st.integers(0, 2))], Duty.QUARANTINED)
    registry.leave(rows[-1 : draw(st.sampled_from((None, -1)))])
    registry.sweep(NOW_MS)
    return registry


def at(summaries: Summaries, place: int) -> dict[str, float]:
    return {name: getattr(summaries, name)[place].item() for name in Summaries.__dataclass_fields__}


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def nearest_rank(values: list[float], share: float) -> float:
    return sorted(values)[math.ceil(share * len(values)) - 1] if values else math.nan


def expected(registry: FleetRegistry, part: Part) -> dict[str, float]:
    columns = registry.columns
    well = health(columns, is_able(columns), NOW_MS)
    rows = [row for row in range(SHAPE.size)[part.rows(SHAPE)] if columns.liveness[row] != VACANT]
    agents: list[tuple[int, FleetAgent]] = [(row, view(registry, row)) for row in rows]
    members = [(row, agent) for row, agent in agents if agent.liveness != "left"]
    able = [agent for _, agent in members if (agent.liveness, agent.duty) == ("active", "ready")]
    timed = [
        row for row, agent in members if agent.liveness in ("active", "suspect") and agent.class_name != "F"
    ]
    leads = [float(columns.lead_ms[row]) for row in timed]
    return {
        "members": len(members),
        "able": len(able),
        "active_rate": len(able) / len(members) if members else math.nan,
        "mean_lead_ms": mean(leads),
        "p50_lead_ms": nearest_rank(leads, 0.5),
        "p95_lead_ms": nearest_rank(leads, 0.95),
        "least_lead_ms": min(leads, default=math.nan),
        "most_lead_ms": max(leads, default=math.nan),
        "queue_depth": mean([float(columns.queue_depth[row]) for row in timed]),
        "reliability": mean([float(columns.reliability[row]) for row in timed]),
        "drift": mean([float(columns.drift[row]) for row in timed]),
        "health": mean([float(well[row]) for row, _ in members]),
        **{name: sum(name in agent.flags for _, agent in members) for name in FLAGS},
    }


@given(registries())
def test_every_part_is_summed_up_as_its_agents_are(registry: FleetRegistry) -> None:
    rollup = roll_up(registry, NOW_MS)
    levels = (rollup.mesh, rollup.sectors, rollup.clusters)
    places = [(0, 0), (1, 0), (1, 1), *((2, number) for number in range(4))]
    for part, (level, place) in zip(ALL_PARTS, places, strict=True):
        found, wanted = at(levels[level], place), expected(registry, part)
        for name, value in wanted.items():
            allowed = 0.011 if name in ("p50_lead_ms", "p95_lead_ms") else 1e-6
            assert found[name] == pytest.approx(value, rel=allowed, abs=1e-9, nan_ok=True), (part, name)
        assert active_rate(registry, part) == pytest.approx(wanted["active_rate"], nan_ok=True)
    levels_and_children: list[tuple[Summaries, int, Doubles, Doubles]] = [
        (rollup.clusters, 3, *_agents(registry)),
        (rollup.sectors, 2, rollup.clusters.mean_lead_ms, rollup.clusters.health),
        (rollup.mesh, 2, rollup.sectors.mean_lead_ms, rollup.sectors.health),
    ]
    for summaries, below, lead, well in levels_and_children:
        assert summaries.fastest.tolist() == best(lead.tolist(), below, min)
        assert summaries.slowest.tolist() == best(lead.tolist(), below, max)
        assert summaries.healthiest.tolist() == best(well.tolist(), below, max)
        assert summaries.sickest.tolist() == best(well.tolist(), below, min)


def _agents(registry: FleetRegistry) -> tuple[Doubles, Doubles]:
    children, _ = tally_clusters(registry, NOW_MS)
    return children.lead_ms, children.health


def best(values: list[float], size: int, choose: Callable[..., int]) -> list[int]:
    """In each group of `size`, the first of the best; NOBODY where all are NaN."""
    found = []
    for start in range(0, len(values), size):
        known = [place for place in range(start, start + size) if not math.isnan(values[place])]
        found.append(choose(known, key=lambda place: values[place]) if known else NOBODY)
    return found


def test_an_empty_fleet_has_no_figures_and_nobody_stands_out() -> None:
    whole = at(roll_up(FleetRegistry(SMALL), NOW_MS).mesh, 0)
    assert (whole["members"], whole["able"], whole["fastest"], whole["sickest"]) == (0, 0, NOBODY, NOBODY)
    assert all(math.isnan(whole[name]) for name in ("active_rate", "mean_lead_ms", "p95_lead_ms", "health"))


def test_one_agent_is_the_fastest_and_the_slowest_and_every_quantile_exactly() -> None:
    registry = FleetRegistry(SMALL)
    registry.insert(joining(rows_of(17)))
    hear(registry, rows_of(17), rtt_ms=33.3)
    rollup = roll_up(registry, NOW_MS)
    cluster = at(rollup.clusters, 3)
    assert cluster["fastest"] == cluster["slowest"] == cluster["healthiest"] == cluster["sickest"] == 17
    lead = float(registry.columns.lead_ms[17])
    assert [cluster[name] for name in ("p50_lead_ms", "p95_lead_ms", "mean_lead_ms")] == [lead] * 3
    assert at(rollup.mesh, 0)["fastest"] == 1
    assert at(rollup.sectors, 1)["fastest"] == 3


def test_parts_are_weighted_by_their_agents() -> None:
    registry = FleetRegistry(SMALL)
    registry.insert(joining(rows_of(0, 1, 2, 3, 10)))
    hear(registry, rows_of(0, 1, 2, 3), rtt_ms=0, processing_ms=10)
    hear(registry, rows_of(10), rtt_ms=0, processing_ms=110)
    assert roll_up(registry, NOW_MS).mesh.mean_lead_ms[0] == pytest.approx(30)


def test_a_hundred_fast_sectors_do_not_hide_the_tail() -> None:
    """The p95 of p95s would be 10 ms here."""
    shape = Topology(sectors=10, clusters=1, agents=10)
    registry = fleet(shape)
    for sector in range(10):
        rows = np.arange(10) + 10 * sector
        hear(registry, rows, START_MS + 1, rtt_ms=0, processing_ms=np.where(rows >= 94, 900, 10))
    whole = roll_up(registry, NOW_MS).mesh
    assert whole.p95_lead_ms[0] == pytest.approx(900, rel=0.01)


def test_people_do_not_drown_the_others_and_are_summed_up_when_they_are_asked_for() -> None:
    registry = fleet(class_codes=np.where(np.arange(30) % 3, 0, HUMAN))
    people = np.arange(30) % 3 == 0
    for sector in range(3):
        rows = np.arange(10) + 10 * sector
        hear(registry, rows, processing_ms=np.where(people[rows], 60_000, 10), rtt_ms=0)
    whole = roll_up(registry, START_MS).mesh
    assert (whole.mean_lead_ms[0], whole.members[0], whole.able[0]) == (pytest.approx(10), 30, 30)
    asked = roll_up(registry, START_MS, among=people).mesh
    assert (asked.mean_lead_ms[0], asked.members[0]) == (pytest.approx(60_000), 10)


def test_two_hosts_that_share_a_cluster_add_up_to_it() -> None:
    registry = fleet()
    rows = np.arange(SMALL.size)
    for sector in range(3):
        hear(registry, rows[:10] + 10 * sector, START_MS + 1, processing_ms=rows[:10] * 7 + 1)
    halves = [tally_clusters(registry, NOW_MS, among=rows % 2 == half)[1] for half in (0, 1)]
    added, whole = halves[0] + halves[1], tally_clusters(registry, NOW_MS)[1]
    assert added.sums == pytest.approx(whole.sums)
    assert (added.sketches == whole.sketches).all()
    assert (added.least_ms == whole.least_ms).all()
    assert (added.most_ms == whole.most_ms).all()
